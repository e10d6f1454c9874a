"""What every test stands on: an empty world of settings, no network but loopback, a canary key that may appear nowhere.

Order of a run: plain tests, then browser tests, then benches, so that nothing else runs while ratios are measured.
"""

from __future__ import annotations

import base64
import faulthandler
import ipaddress
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from _pytest.runner import runtestprotocol

from tests import scorecard

ROOT = Path(__file__).resolve().parents[1]
CANARY = "canary-7Qx/zk+W8s=Lm2-key"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


# -- an empty world, before any test module is imported ---------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Take away every setting of the person who runs the tests; put a key there that must never be seen again."""
    for name in list(os.environ):
        if name.upper().startswith("WORKBENCH_") or name.endswith(("_API_KEY", "_API_KEY_ID", "_API_SECRET_KEY", "_SECRET_KEY")):
            del os.environ[name]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    world = Path(config.rootpath) / ".work" / f"test-{os.getpid()}"
    os.environ["WORKBENCH_DATA_DIR"] = str(world / "data")
    os.environ["XDG_CONFIG_HOME"] = str(world / "config")
    os.environ["POLYGON_API_KEY"] = CANARY
    config.stash[_WORLD] = world
    config.stash[_SCORES] = []
    config.stash[_TALLIES] = {}


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the tests wrote."""
    shutil.rmtree(config.stash[_WORLD], ignore_errors=True)
    faulthandler.dump_traceback_later(120)  # a thread that does not end keeps the process: say which


_WORLD = pytest.StashKey[Path]()


# -- order ------------------------------------------------------------------------------------------------------------------


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("bench"):
        return 3
    if item.get_closest_marker("browser"):
        return 2
    is_slow = item.get_closest_marker("slow") is not None or item.path.suffix == ".ipynb"
    return 1 if is_slow else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run quick tests first, then slow ones, the browser, and the benches alone at the end."""
    items.sort(key=_rank)


# -- benches on a shared machine ---------------------------------------------------------------------------------------------

BENCH_TRIES = 3


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Measure again when a bench fails, at most three times in all: another program's burst may hit one contender only.

    The answer is asserted in every try; each failed try is printed, so that a ratio that holds only now and then is seen.
    """
    if item.get_closest_marker("bench") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for number in range(1, BENCH_TRIES + 1):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        failed = next((report for report in reports if report.failed), None)
        if failed is None or number == BENCH_TRIES:
            break
        crash = getattr(failed.longrepr, "reprcrash", None)
        print(f"\n{item.nodeid}: try {number} of {BENCH_TRIES} failed: {crash.message if crash else failed.longrepr}")
        item._initrequest()
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


# -- floors of the benches -----------------------------------------------------------------------------------------------------
#
# What each figure has to reach, and how much of it another program's noise may take away. The figures printed at the end of a
# run are the measured ones, whatever the run allowed. Machines that run every change are small and shared, so there a ratio
# fails only below NOISE of its floor: that catches a real regression and not a busy neighbour. `STRICT_FLOORS=1` asks for the
# floors themselves; it is the run whose figures may be quoted.

NOISE = 0.6
IS_STRICT = os.environ.get("STRICT_FLOORS", "") not in ("", "0")
_SCORES = pytest.StashKey[list[str]]()


@pytest.fixture
def floor(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return `floor(what, measured, least=…)` or `floor(what, measured, most=…)`: note a figure, fail when it is too far off.

    `is_absolute`: a goal in seconds or frames and not a ratio; it fails only with STRICT_FLOORS, since it depends on the machine.
    `reached`: what stands today where the floor itself is not met yet; outside strict runs nothing may fall below that.
    """
    scores = request.config.stash[_SCORES]

    def check(
        what: str,
        measured: float,
        *,
        least: float | None = None,
        most: float | None = None,
        is_absolute: bool = False,
        reached: float | None = None,
    ) -> None:
        if (least is None) == (most is None):
            raise ValueError("floor: received both or neither of least and most; allowed: one of them")
        holds = measured >= least if least is not None else measured <= most  # type: ignore[operator]
        bound = f">= {least:g}" if least is not None else f"<= {most:g}"
        scores.append(f"{'holds ' if holds else 'MISSED'}  {measured:10.4g}  {bound:>10}  {what}")
        if IS_STRICT:
            assert holds, f"{what}: measured {measured:.4g}, floor {bound}"
        elif is_absolute:
            return
        elif least is not None:
            guard = least if reached is None else reached
            assert measured >= NOISE * guard, f"{what}: measured {measured:.4g}, below {NOISE:g} of {guard:g} (floor {bound})"
        else:
            assert most is not None
            assert measured <= most / NOISE, f"{what}: measured {measured:.4g}, above the ceiling {bound} by more than noise explains"

    return check


# -- the scorecard ----------------------------------------------------------------------------------------------------------------


@dataclass
class Cases:
    """What a test that runs many cases says of them: how many ran, and the seeds of those that failed."""

    n: int = 0
    failed: list[str] = field(default_factory=list)


_CASES = pytest.StashKey[Cases]()
_TALLIES = pytest.StashKey[dict[str, scorecard.Tally]]()


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Cases:
    """For a test of a scorecard row that runs many cases itself: set `.n`, add failing seeds to `.failed`."""
    return request.node.stash.setdefault(_CASES, Cases())


def _score(item: pytest.Item, report: pytest.TestReport) -> None:
    """Count a test of a scorecard row once: after its call, or at the set-up that failed."""
    mark = item.get_closest_marker("soak")
    if mark is None or report.skipped or not (report.when == "call" or (report.when == "setup" and report.failed)):
        return
    told = item.stash.get(_CASES, None) or Cases(n=1)
    seeds = told.failed or ([item.name] if report.failed else [])
    scorecard.add(item.config.stash[_TALLIES], mark.args, n=told.n, failed=seeds, seconds=report.duration)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the scorecard when rows of it were run, and every figure against its floor, missed ones included."""
    tallies = config.stash[_TALLIES]
    if tallies or scorecard.IS_FULL:
        terminalreporter.section("scorecard" + (" (full counts)" if scorecard.IS_FULL else " (small counts; SOAK=1 runs the full ones)"))
        for line, is_red in scorecard.table(tallies):
            terminalreporter.write_line(line, red=is_red)
    scores = config.stash.get(_SCORES, [])
    if scores:
        terminalreporter.section("floors" + ("" if IS_STRICT else f" (a run with noise: fails below {NOISE:g} of a floor)"))
        for line in scores:
            terminalreporter.write_line(line)


# -- the canary -------------------------------------------------------------------------------------------------------------


def canary_forms() -> tuple[str, ...]:
    """Return the canary key as it could leak: plain, its beginning, in a URL, in base64."""
    encoded = base64.b64encode(CANARY.encode()).decode().rstrip("=")
    return CANARY, CANARY[:12], quote(CANARY, safe=""), encoded


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Fail a test whose output, log or traceback shows the canary key."""
    report = yield
    _score(item, report)
    said = "\n".join(text for _, text in report.sections) + str(report.longrepr or "")
    if any(form in said for form in canary_forms()):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} ({call.when}): the canary API key shows in what this test printed, logged or raised"
        report.sections = []
    return report


@pytest.fixture
def canary() -> tuple[str, ...]:
    """The forms of the key in the environment that must not be found in anything a test writes."""
    return canary_forms()


# -- no network -------------------------------------------------------------------------------------------------------------


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0])
    try:
        return ipaddress.ip_address(host).is_loopback or host in {"0.0.0.0", "::"}
    except ValueError:
        return host in {"localhost", ""}


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Refuse connections that leave this machine, with the error that a machine without network gives."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse(address: object) -> None:
        if not _is_local(address):
            raise OSError(101, f"Network is unreachable (tests reach loopback only): {address}")

    def guarded(self: socket.socket, address: object) -> None:
        refuse(address)
        return connect(self, address)

    def guarded_ex(self: socket.socket, address: object) -> int:
        return connect_ex(self, address) if _is_local(address) else 101

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    patch.setattr(socket.socket, "connect_ex", guarded_ex)
    yield
    patch.undo()


# -- folders and programs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Recorded real days, kept beside the repository; tests that read them are skipped where they are absent."""
    folder = ROOT / ".." / "shared" / "realdata"
    if not folder.is_dir():
        pytest.skip("recorded real data (../shared/realdata) is not here")
    return folder.resolve()


def find_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome, or None. $CHROMIUM wins."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path. Missing is a failure, not a skip: the test command installs it."""
    path = find_chromium()
    if path is None:
        pytest.fail("no Chromium found; install it (Debian: apt-get install chromium) or name it in CHROMIUM", pytrace=False)
    return path


CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium_flags() -> list[str]:
    """How the browser is started: headless and silent on the network."""
    return list(CHROMIUM_FLAGS)


@pytest.fixture(scope="session")
def playwright_driver() -> Iterator[Any]:
    """The one Playwright of a run (its synchronous form refuses a second one in the same thread): `.chromium.launch(…)`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        yield driver
