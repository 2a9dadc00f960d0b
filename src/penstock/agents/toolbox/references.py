"""Secrets by reference: what a tool needs to sign in stands in the environment or in a file, never in settings, code or a prompt."""

from __future__ import annotations

import os
from pathlib import Path

from penstock.kernel.errors import SettingsError

MOST = 65_536


def resolved(given: str, what: str) -> str:
    """The value behind ``env:NAME`` or ``file:/path``; anything else is the value itself.

    Read at each use, so a secret that is changed counts from the next call on. Raises `SettingsError`, which names ``what`` needs it and
    where it was looked for, never a value.
    """
    kind, _, place = given.partition(":")
    if kind == "env":
        found = os.environ.get(place)
        if not found:
            raise SettingsError(f"{what}: the environment variable {place} is not set", param=what)
        return found
    if kind == "file":
        try:
            with Path(place).open(encoding="utf-8") as file:
                return file.read(MOST).strip()
        except (OSError, UnicodeDecodeError) as fault:
            raise SettingsError(f"{what}: {place} cannot be read: {type(fault).__name__}", param=what) from None
    return given


def secret(given: str, what: str) -> str:
    """A reference that has to be one: a secret as it is would end in somebody's repository. Raises `SettingsError`."""
    if given.partition(":")[0] not in ("env", "file"):
        raise SettingsError(f"{what}: give env:NAME or file:/path, not the secret itself", param=what)
    return given
