"""Modules of those who run Penstock, which its settings name: where they are looked for, and what is said of one that cannot be loaded."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType

from penstock.kernel.errors import SettingsError

_OURS = str(Path(__file__).parents[1])
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))


def load(name: str, setting: str) -> ModuleType:
    """Import a module that ``setting`` names: also from the folder that Penstock was started in, which is looked through last, so that
    nothing installed is hidden by it. Raises `SettingsError` with what is wrong, and in which line."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return import_module(name)
    except Exception as fault:  # whatever somebody's module raises while it is imported
        raise SettingsError(f"{setting}: {name!r} cannot be loaded: {said(fault, name)}", param=setting) from fault


def said(fault: Exception, module: str = "") -> str:
    """An exception in words, with the file and line of the code that led to it and is not Penstock's own."""
    if isinstance(fault, ModuleNotFoundError) and fault.name is not None and f"{module}.".startswith(f"{fault.name}."):
        return f"there is no module {fault.name!r}; start Penstock in the folder that holds it, name that in PYTHONPATH, or install it"
    if isinstance(fault, SyntaxError):
        return f"{fault.msg} ({fault.filename}, line {fault.lineno})"
    words = f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__
    frames = traceback.extract_tb(fault.__traceback__)
    frames = [one for one in frames if not one.filename.startswith((_OURS, "<frozen"))]
    theirs = [one for one in frames if not one.filename.startswith(_LIBRARIES)] or frames
    return f"{words} ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else words
