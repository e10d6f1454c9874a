"""One shape for everything that is refused or fails: `{"error": "a sentence"}`, under whichever status fits.

Floor 8.
"""

from __future__ import annotations

import difflib
import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from workbench.api.params import ALLOWED
from workbench.api.schemas import ErrorBody
from workbench.errors import ConfigError, WorkbenchError

log = logging.getLogger(__name__)

MAX_QUOTED = 80  # characters of what came that are shown again


class Refused(Exception):
    """An answer other than the one asked for: a status, and a sentence that says why and what is allowed."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says about these refusals."""
    why = {
        400: "bytes that are no request",
        401: "not logged in, or a token that is unknown or has expired",
        403: "the caller's role is too low, or another page asks",
        404: "no such thing",
        405: "another method is meant",
        409: "not in this state of the source",
        413: "the body is too large",
        414: "the address is too long",
        421: "the server is called by a name that is not its own",
        422: "a parameter is unknown or out of range",
        429: "too many requests; Retry-After says when to ask again",
        431: "the headers are too large",
        500: "a fault of ours; it is in the log",
        503: "not now; the sentence says why",
    }
    return {status: {"model": ErrorBody, "description": why[status]} for status in statuses}


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """Return the one shape of every error."""
    return JSONResponse({"error": sentence}, status, headers)


def install(app: FastAPI) -> None:
    """Give every way to fail the one shape."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return refusal(error.status, error.sentence)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return refusal(422, "; ".join(_sentence(item) for item in error.errors()))

    async def on_purpose(_: Request, error: Exception) -> Response:
        return refusal(422 if isinstance(error, ConfigError | ValueError) else 503, str(error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return refusal(error.status_code, _http_sentence(request, error), dict(error.headers or {}))

    async def fault(request: Request, error: Exception) -> Response:
        log.error("api: %s %s failed", request.method, request.url.path, exc_info=error)
        return refusal(500, "a fault of the hub's own; its log says more")

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(WorkbenchError, on_purpose)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, fault)


def _http_sentence(request: Request, error: HTTPException) -> str:
    path, method = request.url.path[:MAX_QUOTED], request.method
    routes = request.app.openapi()["paths"]
    if error.status_code == 404:
        near = difflib.get_close_matches(path, routes, n=1, cutoff=0.5)
        return f"path: received {path!r}" + (f" (did you mean {near[0]!r}?)" if near else "") + "; allowed: those of /openapi.json"
    if error.status_code == 405:
        return f"method: received {method[:MAX_QUOTED]}; allowed: {', '.join(known.upper() for known in routes.get(path, {}))}"
    if error.status_code == 400:
        return "body: received what can't be read; allowed: a JSON object"
    return str(error.detail)


def _sentence(item: dict[str, Any]) -> str:
    """Return one of pydantic's complaints in this package's words."""
    name = str(item["loc"][-1]) if item["loc"] else "body"
    if item["type"] == "json_invalid":
        return "body: received no JSON; allowed: a JSON object"
    if item["type"] == "missing":
        return f"{name}: received nothing; allowed: {ALLOWED.get(name, 'a value')}"
    quoted = repr(item.get("input"))
    quoted = quoted if len(quoted) <= MAX_QUOTED else quoted[:MAX_QUOTED] + "…"
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, ALLOWED, n=1, cutoff=0.5)
        return (
            f"parameter: received {name[:MAX_QUOTED]!r}"
            + (f" (did you mean {near[0]!r}?)" if near else "")
            + "; allowed: those of /openapi.json"
        )
    inner = item.get("ctx", {}).get("error")
    if isinstance(inner, WorkbenchError):
        return str(inner)
    told = ALLOWED.get(name) or str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{name}: received {quoted}; allowed: {told}"
