"""One recorder a folder: the second is refused and told which process holds it. Floor 2: standard library only."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import StoreError
from workbench.file_lock import FileLock, HeldError

NAME = ".recorder.lock"


def lock_folder(folder: Path) -> FileLock:
    """Return an exclusive hold of a folder. StoreError when somebody has it, or the folder can't be written."""
    try:
        return FileLock(folder / NAME)
    except OSError as error:
        raise StoreError(f"record: can't write in {folder}: {error.strerror or error}; allowed: a folder that can be written") from None
    except HeldError as error:
        raise StoreError(
            f"record: {folder} is being recorded already, by process {error.holder}; allowed: one recorder a folder "
            "(another data_dir, or stop that one; a running hub is told to record by its flag 'record')"
        ) from None
