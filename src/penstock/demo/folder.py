"""The demo's folder: made anew on every run, and never anybody else's."""

from __future__ import annotations

import shutil
from pathlib import Path

from penstock.kernel.errors import SettingsError

MARK = "made-by-penstock-demo"


def fresh(directory: Path) -> Path:
    """An empty folder of the demo's own at ``directory``, absolute; what an earlier demo left there is removed.

    Raises `SettingsError` when something else is there: the demo removes only what it made.
    """
    directory = directory.absolute()
    try:
        if directory.exists():
            if not directory.is_dir() or (any(directory.iterdir()) and not (directory / MARK).is_file()):
                raise SettingsError(
                    f"{directory} holds something that the demo did not make; give another folder with --dir", param="--dir"
                )
            shutil.rmtree(directory)
        directory.mkdir(parents=True, mode=0o700)
        (directory / MARK).write_text("`penstock demo` removes this folder whenever it starts.\n", "utf-8")
    except OSError as fault:
        raise SettingsError(f"{directory} cannot be made anew: {fault.strerror}; give another with --dir", param="--dir") from fault
    return directory
