"""The test command: see that a browser and PostgreSQL are there, compile bytecode, run every test.

    .venv/bin/python .ci/test.py [pytest arguments]

Arguments are handed to pytest; without any the whole suite runs. The exit code is pytest's own.
"""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FULL_TEST_S = 6 * 3600
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def has_browser() -> bool:
    """Return whether a Chromium can be found."""
    return bool(os.environ.get("CHROMIUM")) or any(shutil.which(name) for name in BROWSERS)


def has_postgres() -> bool:
    """Return whether PostgreSQL's server can be found: on the path, or where Debian puts it."""
    return bool(shutil.which("initdb")) or any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def install(package: str, otherwise: str) -> None:
    """Install a package of Debian's where apt-get and the rights to use it exist; else say what happens `otherwise`."""
    if shutil.which("apt-get") is None:
        print(f"no {package} found, and no apt-get to install it: {otherwise}", file=sys.stderr)
        return
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    print(f"no {package} found: installing Debian's package", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-q", "-y", "--no-install-recommends", package]):
        done = subprocess.run(prefix + command, env=environment, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            print(f"'{' '.join(prefix + command)}' failed ({done.returncode}): run it yourself; {otherwise}", file=sys.stderr)
            return


def main(arguments: list[str]) -> int:
    """Run the tests; return pytest's exit code."""
    if not has_browser():
        install("chromium", "browser tests will fail (install Chromium or Chrome, or name it in CHROMIUM)")
    if not has_postgres():
        install("postgresql", "the journal's tests on PostgreSQL are skipped")
    compileall.compile_dir(ROOT / "workbench", quiet=1)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", *arguments]
    if environment.get("SOAK", "") not in ("", "0"):
        command += ["-o", f"faulthandler_timeout={FULL_TEST_S}"]  # one test of the full counts may take hours
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
