"""The test command: see that a browser is there, compile bytecode, run every test.

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


def install_browser() -> None:
    """Install Debian's chromium where apt-get and the rights to use it exist; otherwise say what to do."""
    if shutil.which("apt-get") is None:
        print("no Chromium found: install Chromium or Chrome, or name it in CHROMIUM; browser tests will fail", file=sys.stderr)
        return
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    print("no Chromium found: installing Debian's package chromium", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(prefix + command, env=environment, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            print(f"'{' '.join(prefix + command)}' failed ({done.returncode}): run it yourself; browser tests will fail", file=sys.stderr)
            return


def main(arguments: list[str]) -> int:
    """Run the tests; return pytest's exit code."""
    if not has_browser():
        install_browser()
    compileall.compile_dir(ROOT / "workbench", quiet=1)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", *arguments]
    if environment.get("SOAK", "") not in ("", "0"):
        command += ["-o", f"faulthandler_timeout={FULL_TEST_S}"]  # one test of the full counts may take hours
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
