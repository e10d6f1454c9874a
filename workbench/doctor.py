"""One command that says what is wrong: versions, settings, keys, feed, hub, clock, door, disk, calendar, database, browser.

In: settings and a clock. Out: a list of `Check`, each ok / warn / fail / unknown with what was found and the next step. Nothing
here raises for a finding, and no key is ever part of one. Only the configured provider is asked, once, with a short time-out;
the simulated market asks nobody.

Floor 9.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.metadata
import os
import platform
import re
import shutil
import socket
import sqlite3
import ssl
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from workbench.clock import NS_PER_S, Clock, WallClock
from workbench.config import Settings, config_path
from workbench.door import users
from workbench.door.address import check_address, is_exposed
from workbench.errors import ConfigError, WorkbenchError
from workbench.sources.alpaca.vendor import REST_BASE
from workbench.sources.polygon.vendor import PACKAGES

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
STATUS_PATH = "/v1/marketstatus/now"
ALPACA_PATH = "/v2/stocks/bars/latest?symbols=SPY"
TIMEOUT_S = 3.0
DISK_WARN_BYTES, DISK_FAIL_BYTES = 2 << 30, 200 << 20
SKEW_WARN_S, SKEW_FAIL_S = 2.0, 30.0  # the Date header counts whole seconds, so less than two can't be told
SAFE_SQLITE = (3, 51, 3)  # earlier write-ahead logs can corrupt when two connections checkpoint at once
CALENDAR_DAYS = 90


class State(StrEnum):
    """How a check came out, best first."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, how it stands, what was found, what to do about it ('' when nothing)."""

    name: str
    state: State
    found: str
    next_step: str = ""


def examine(settings: Settings | None = None, clock: Clock | None = None) -> list[Check]:
    """Return every check, in the order in which a person would look."""
    clock = clock or WallClock()
    checks = [*check_versions(), check_bytecode()]
    if settings is None:
        settings, check = load_settings()
        checks.append(check)
    if settings is not None:
        checks += [*check_keys(settings), *check_clients(settings), *check_feed(settings, clock)]
        checks += [check_door(settings), check_modes(settings)]
        checks += [check_data_dir(settings.data_dir), check_port(settings.host, settings.port)]
    return [*checks, check_calendar(clock), check_sqlite(), check_browser()]


def worst(checks: Iterable[Check]) -> State:
    """Return the worst state among the checks."""
    return max((check.state for check in checks), key=list(State).index, default=State.OK)


def as_json(checks: list[Check]) -> dict[str, Any]:
    """Return the checks as plain values: {'state': …, 'checks': [{name, state, found, next_step}]}."""
    return {"state": worst(checks).value, "checks": [{**asdict(check), "state": check.state.value} for check in checks]}


def load_settings() -> tuple[Settings | None, Check]:
    """Return the settings in force, or None and why they are refused."""
    try:
        settings = Settings()
    except ConfigError as error:
        return None, Check("settings", State.FAIL, str(error), "mend the setting; until then nothing starts")
    path = config_path()
    origin = f"file {path}" if path.is_file() else "no settings file"
    return settings, Check("settings", State.OK, f"source {settings.source}, {len(settings.symbols)} symbols, {origin}")


def check_versions() -> Iterator[Check]:
    """Compare Python and every package of the core with the lower bounds that the package states."""
    yield Check("python", State.OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    try:
        needs = [Requirement(line) for line in importlib.metadata.requires("workbench") or []]
        own = importlib.metadata.version("workbench")
    except importlib.metadata.PackageNotFoundError:
        yield Check("packages", State.WARN, "the package is not installed, only on the path", "pip install -e .")
        return
    yield Check("workbench", State.OK, own)
    for need in sorted((n for n in needs if n.marker is None), key=lambda n: n.name):
        yield _check_package(need)


def _check_package(need: Requirement) -> Check:
    try:
        version = importlib.metadata.version(need.name)
    except importlib.metadata.PackageNotFoundError:
        return Check(need.name, State.FAIL, "not installed", f'pip install "{need}"')
    if not need.specifier.contains(version, prereleases=True):
        return Check(need.name, State.FAIL, f"{version}, wanted {need.specifier}", f'pip install "{need}"')
    return Check(need.name, State.OK, version)


def check_bytecode() -> Check:
    """Say whether imports are kept compiled; without it every start costs two to three times as much."""
    if sys.dont_write_bytecode:
        return Check("bytecode", State.WARN, "not kept: every start compiles again", "unset PYTHONDONTWRITEBYTECODE")
    return Check("bytecode", State.OK, "kept")


def check_keys(settings: Settings) -> Iterator[Check]:
    """Say which keys are there; never what they are."""
    for name in ("polygon_api_key", "massive_api_key", "alpaca_api_key", "alpaca_secret_key"):
        key = getattr(settings, name)
        is_there = key is not None and bool(key.get_secret_value().strip())
        yield Check(name, State.OK, "present" if is_there else "not present (not needed by the simulated market or a replay)")


def check_clients(settings: Settings) -> Iterator[Check]:
    """Say whether the client of each configured provider is installed."""
    roles = {"source": settings.source, "fallback": settings.fallback, "cross_check": settings.cross_check}
    for role, name in roles.items():
        distribution = "alpaca-py" if name == "alpaca" else PACKAGES[name].distribution if name in PACKAGES else None
        if distribution is None:
            continue
        try:
            yield Check(f"client of {role}", State.OK, f"{distribution} {importlib.metadata.version(distribution)}")
        except importlib.metadata.PackageNotFoundError:
            yield Check(f"client of {role}", State.FAIL, f"{distribution} is not installed", f'pip install "workbench[{name}]"')


def check_feed(settings: Settings, clock: Clock) -> Iterator[Check]:
    """Ask the configured provider once whether it is there and knows the key, and compare its time with ours."""
    if settings.is_attached:
        yield check_hub(settings)
        yield Check("clock skew", State.UNKNOWN, "not measured: the hub's machine asks the provider")
        return
    question = _question(settings)
    if question is None:
        yield Check("feed", State.OK, f"source {settings.source}: needs no network")
        yield Check("clock skew", State.UNKNOWN, f"not measured: source {settings.source} has no clock of its own")
        return
    base, path, headers = question
    before = clock.now_ns()
    try:
        status, date = _ask(base + path, headers)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        yield Check("feed", State.FAIL, f"{base}: {reason}", "check the network, the proxy and the provider's address in the settings")
        yield Check("clock skew", State.UNKNOWN, "not measured: the feed did not answer")
        return
    yield _judge_status(base, status)
    yield _judge_skew(date, (before + clock.now_ns()) / 2 / NS_PER_S)


def _question(settings: Settings) -> tuple[str, str, dict[str, str]] | None:
    """Return (address, path, headers with the key) of one cheap question to the configured provider; None when there is none."""
    if settings.source == "alpaca":
        key, secret = settings.alpaca_keys()
        path = f"{ALPACA_PATH}&feed={settings.alpaca_stock_feed}"
        return (settings.alpaca_rest_base or REST_BASE).rstrip("/"), path, {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}
    if settings.source in PACKAGES:
        base = (settings.rest_base or PACKAGES[settings.source].rest).rstrip("/")
        return base, STATUS_PATH, {"Authorization": f"Bearer {settings.key_for(settings.source)}"}
    return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Refuse: the redirecting answer is what is judged."""
        return


def _ask(url: str, headers: dict[str, str]) -> tuple[int, str]:
    """Return (status, Date header) of one request; the key travels in a header, never in the address."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http(s) by the settings
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.headers.get("Date", "")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Date", "")


def _judge_status(base: str, status: int) -> Check:
    if status == 200:
        return Check("feed", State.OK, f"{base} answers and knows the key")
    if status in (401, 403):
        return Check("feed", State.FAIL, f"{base} refuses the key (status {status})", "check the key and what its plan includes")
    if status == 429:
        return Check("feed", State.WARN, f"{base} says too many requests (429)", "wait a minute; see which other program uses the key")
    return Check("feed", State.WARN, f"{base} answers with status {status}", "check rest_base and the provider's status page")


def _judge_skew(date: str, ours_s: float) -> Check:
    try:
        theirs_s = parsedate_to_datetime(date).timestamp() + 0.5  # the middle of the second that the header names
    except (TypeError, ValueError):
        return Check("clock skew", State.UNKNOWN, "not measured: the feed gave no date")
    skew = ours_s - theirs_s
    found = f"this machine is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the feed"
    if abs(skew) <= SKEW_WARN_S:
        return Check("clock skew", State.OK, f"below {SKEW_WARN_S:.0f} s")
    state = State.FAIL if abs(skew) > SKEW_FAIL_S else State.WARN
    return Check("clock skew", state, found, "switch on time synchronisation; bars close by this machine's clock")


def check_hub(settings: Settings) -> Check:
    """Ask the hub that is attached to whether it is there, lets us in, and how its feed stands."""
    scheme, _, rest = settings.source.partition("://")
    host = rest.rstrip("/") if re.search(r":\d+$", rest.rstrip("/")) else f"{rest.rstrip('/')}:{Settings.model_fields['api_port'].default}"
    base = f"{'https' if scheme == 'hubs' else 'http'}://{host}"
    token = "" if settings.hub_token is None else settings.hub_token.get_secret_value()
    try:
        status, _ = _ask(f"{base}/readyz", {"Authorization": f"Bearer {token}"} if token else {})
    except (OSError, ValueError, http.client.HTTPException) as error:
        found = f"{base}: {getattr(error, 'reason', error)}"
        return Check("hub", State.FAIL, found, "start it there (workbench hub), or check address, port and network")
    if status == 401:
        return Check("hub", State.FAIL, f"{base} asks who we are", "workbench door token NAME --role viewer there, hub_token here")
    if status == 421:
        return Check("hub", State.FAIL, f"{base} is not called so", "name it in the hub's setting origins, as host[:port]")
    if status == 503:
        return Check("hub", State.WARN, f"{base} answers, but its feed is not live", "see its health, or run workbench doctor there")
    return Check("hub", State.OK if status == 200 else State.WARN, f"{base} answers with {status}", "" if status == 200 else "see its log")


def check_door(settings: Settings) -> Check:
    """Say who can reach what is served, and whether the door before it is whole."""
    try:
        check_address(settings)
        if settings.tls_cert is not None and settings.tls_key is not None:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.tls_cert, settings.tls_key)
        book = None if settings.password_file is None else users.read(settings.password_file)
    except ConfigError as error:
        return Check("door", State.FAIL, str(error), "mend it; until then nothing is served")
    except (ssl.SSLError, OSError) as error:
        return Check("door", State.FAIL, f"tls_cert and tls_key: {error}", "use a PEM chain and the key that belongs to it")
    reach = "other machines can reach it" if is_exposed(settings) else "this machine only"
    if book is None:
        return Check("door", State.OK, f"{reach}; nobody is asked to log in")
    found = f"{reach}; people who may come in: {len(book.users)}, programs: {len(book.tokens)}"
    if book.broken:
        return Check("door", State.FAIL, f"password_file: {settings.password_file}: {users.unusable(book.broken[0])}", "set it anew")
    if not book.users and not book.tokens:
        return Check("door", State.WARN, found, "workbench door add NAME --role trader")
    return Check("door", State.OK, found)


def check_modes(settings: Settings) -> Check:
    """See that other users of this machine can't read keys or change what is kept."""
    private = [path for path in (config_path(), settings.password_file, settings.tls_key) if path is not None and path.is_file()]
    if os.name != "posix":
        return Check("file modes", State.UNKNOWN, "not looked at on this system")
    bad = [str(path) for path in private if path.stat().st_mode & 0o077]
    if bad:
        return Check("file modes", State.WARN, f"others can read {', '.join(bad)}", f"chmod 600 {' '.join(bad)}")
    folder = settings.data_dir
    if folder.is_dir() and folder.stat().st_mode & 0o022:
        return Check("file modes", State.WARN, f"others can write to {folder}", f"chmod go-w {folder}")
    return Check("file modes", State.OK, "what holds secrets is private")


def check_data_dir(folder: Path) -> Check:
    """Write and remove a file where the data goes, and look at the space left."""
    existing = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is no folder")
        with tempfile.NamedTemporaryFile(dir=existing) as probe:
            probe.write(b"x")
            probe.flush()
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Check("data folder", State.FAIL, f"{folder}: {error.strerror or error}", "choose another with WORKBENCH_DATA_DIR")
    found = f"{folder}: writable, {free / (1 << 30):.1f} GiB free"
    if free < DISK_WARN_BYTES:
        state = State.FAIL if free < DISK_FAIL_BYTES else State.WARN
        return Check("data folder", state, found, "make room, or choose another with WORKBENCH_DATA_DIR")
    return Check("data folder", State.OK, found)


def check_port(host: str, port: int) -> Check:
    """See whether the desk's address is free."""
    if port == 0:
        return Check("port", State.OK, "any free one")
    with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            found = f"{host}:{port}: {error.strerror or error}"
            return Check("port", State.WARN, found, "is a desk running there? else choose another with --port")
    return Check("port", State.OK, f"{host}:{port} is free")


def check_calendar(clock: Clock) -> Check:
    """See whether the exchange's calendar knows the coming months."""
    from workbench.sessions import Segment, SessionCalendar, to_ny

    try:
        calendar = SessionCalendar.xnys()
        now = clock.now_ns()
        days_left = (calendar.span[1] - now) // (86_400 * NS_PER_S)
        row = calendar.sessions[calendar.latest(now)]
        today = f"latest session {to_ny(int(row['open'])):%Y-%m-%d}, now {Segment(calendar.segment(now)).name}"
    except (WorkbenchError, ImportError) as error:
        return Check("calendar", State.FAIL, str(error), "pip install --upgrade exchange-calendars")
    found = f"sessions known for {days_left} more days, {today}"
    if days_left < CALENDAR_DAYS:
        return Check("calendar", State.WARN if days_left > 0 else State.FAIL, found, "pip install --upgrade exchange-calendars workbench")
    return Check("calendar", State.OK, found)


def check_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Check:
    """Compare SQLite with the first version whose write-ahead log is safe with two connections."""
    text = ".".join(map(str, version))
    if version < SAFE_SQLITE:
        found = f"{text}: two connections that write one file in WAL mode can corrupt it"
        return Check("sqlite", State.WARN, found, "write from one process only, or update SQLite to 3.51.3 or newer")
    return Check("sqlite", State.OK, text)


def find_browser() -> str | None:
    """Return the path of an installed Chromium or Chrome, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def check_browser() -> Check:
    """Look for the browser that the tests drive; running the desk does not need it."""
    path = find_browser()
    if path is None:
        return Check("chromium", State.UNKNOWN, "not found (only the browser tests need it)", "the test command installs it on Debian")
    return Check("chromium", State.OK, path)
