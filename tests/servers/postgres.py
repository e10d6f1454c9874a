"""A PostgreSQL of one's own, on a socket in a folder that goes with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

USER = "journal"


def program(name: str) -> str | None:
    """Return where a program of PostgreSQL's server is: on the path, or where Debian puts it."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(debian[-1]) if debian else None)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Yield the address of an empty database. The server refuses to be root, so then it runs as Debian's user."""
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql (the test command does it where it may)")
    who = {"user": "postgres"} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path has to be short
    try:
        if who:
            shutil.chown(folder, "postgres")
        quiet = {"stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL, "cwd": folder, **who}
        subprocess.run(
            [initdb, "-D", folder / "data", "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"], check=True, **quiet
        )
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        subprocess.run([pg_ctl, "-D", folder / "data", "-l", folder / "log", "-w", "-o", options, "start"], check=True, **quiet)
        try:
            yield f"postgresql://{USER}@/postgres?host={folder}"
        finally:
            subprocess.run([pg_ctl, "-D", folder / "data", "-m", "immediate", "stop"], check=True, **quiet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
