"""How the embedded store's folder is, looked at from outside: without its engine, and without making anything."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from penstock.kernel.errors import StorageError
from penstock.storage.telemetry.inbox import SET_ASIDE, put_at
from penstock.storage.telemetry.questions import Condition


def condition_of(folder: Path) -> Condition:
    """The condition of the store in this folder, which need not be there yet. Blocks for the reading of two folders.

    Raises `StorageError` where they cannot be read.
    """
    try:
        inbox = _sizes(folder / "inbox")
        size = sum(_sizes(folder).values())
    except OSError as fault:
        raise StorageError(f"{folder}: the telemetry store cannot be looked at: {fault.strerror}") from fault
    put = [at for name in inbox if (at := put_at(name)) is not None]
    return Condition(
        where=str(folder),
        bytes=size + sum(inbox.values()),
        waiting=len(put),
        waiting_seconds=max(0.0, time.time() - min(put)) if put else 0.0,
        set_aside=sum(name.endswith(SET_ASIDE) for name in inbox),
    )


def _sizes(folder: Path) -> dict[str, int]:
    """The files of a folder with their bytes; those that go away meanwhile are gone."""
    found: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    found[entry.name] = entry.stat(follow_symlinks=False).st_size
    return found
