"""Secrets that others give us to be used again, so that a digest is not enough: kept sealed, with AES-256-GCM.

The key is derived from a secret of the installation, which a variable holds or, on one machine, a file in the data folder that only its
owner may read. It is in no database, and in no backup of one: whoever has those alone reads nothing. A secret is changed by putting the new
one before it: what comes is sealed under the new one, and what was sealed before can be opened as long as the former one stands there.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.kernel.errors import SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SHORTEST = 16
"""Bytes below which a secret of the installation is none."""
FORMER = ".former"
"""Ends the name of the file with the secret before this one, where secrets are files."""
_NONCE = 12


class Unsealable(ValueError):
    """What cannot be opened: damaged, of another place, or sealed under another secret. Holds nothing of it."""


class Sealing:
    """Seals for one ``purpose``. ``masters`` gives the installation's secrets, the one that seals first, and is asked when they are first
    needed."""

    def __init__(self, masters: Callable[[], Sequence[bytes]], purpose: str) -> None:
        self._masters = masters
        self._purpose = purpose
        self._keys: tuple[bytes, ...] = ()

    def seal(self, text: str, place: str) -> str:
        """``text`` as ASCII that says nothing of it but its length. It can be opened for the same ``place`` alone: taken from one row and
        put into another it is worth nothing."""
        nonce = os.urandom(_NONCE)
        return base64.b64encode(nonce + self._ciphers()[0].encrypt(nonce, text.encode(), place.encode())).decode()

    def open(self, sealed: str, place: str) -> str:
        """What was sealed, under whichever of the secrets. Raises `Unsealable`."""
        from cryptography.exceptions import InvalidTag

        for cipher in self._ciphers():
            with contextlib.suppress(InvalidTag, ValueError):
                held = base64.b64decode(sealed, validate=True)
                return cipher.decrypt(held[:_NONCE], held[_NONCE:], place.encode()).decode()
        raise Unsealable(f"what is kept of {self._purpose} cannot be opened with this installation's secret")

    def _ciphers(self) -> Sequence[AESGCM]:
        # An extra, and 50 ms to import.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not self._keys:
            purpose = f"sealing:{self._purpose}".encode()
            self._keys = tuple(hmac.new(master, purpose, hashlib.sha256).digest() for master in self._masters())
        return [AESGCM(key) for key in self._keys]


def can_seal() -> bool:
    """Whether the library for it is installed."""
    return importlib.util.find_spec("cryptography") is not None


def installation_secret(file: Path, value: str | None, setting: str, what: str) -> bytes:
    """A secret of the installation, for ``what``: ``value``, which is what ``setting`` names, or else what ``file`` holds,
    which is made where it is missing. Processes that start together make one: whoever comes second reads the first one's. Raises
    `SettingsError`."""
    if value:
        if len(value) < SHORTEST:
            raise SettingsError(f"what {setting} names holds fewer than {SHORTEST} characters", param=setting)
        return value.encode()
    try:
        if not file.exists():
            fresh = file.with_name(f"{file.name}.{os.getpid()}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(os.urandom(32))
                out.flush()
                os.fsync(out.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(fresh, file)  # unlike a rename it does not replace what another process has made meanwhile
            fresh.unlink()
        found = file.read_bytes()
    except OSError as fault:
        raise SettingsError(f"{file}: the secret for {what} cannot be kept there: {fault.strerror}") from fault
    if len(found) < SHORTEST:
        raise SettingsError(f"{file}: the secret for {what} is damaged; remove the file, and have {what} set anew")
    return found


def installation_secrets(file: Path, value: str | None, setting: str, what: str) -> Sequence[bytes]:
    """`installation_secret` for what is sealed: that one, then those before it. They stand in the further lines of ``value``, or else in
    a file beside ``file``, with `FORMER` behind its name. Raises `SettingsError`."""
    if value and (lines := [line.strip() for line in value.splitlines() if line.strip()]):
        return [installation_secret(file, line, setting, what) for line in lines]
    former = file.with_name(file.name + FORMER)
    return [installation_secret(one, value, setting, what) for one in (file, former) if one == file or one.exists()]
