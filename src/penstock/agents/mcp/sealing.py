"""What is secret in the records is sealed with a key that is not in them."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

import msgspec

from penstock.agents.toolbox.references import resolved
from penstock.kernel.errors import SettingsError

SHORTEST = 32
NONCE = 12
FILE = "mcp-tokens.key"


class Unsealable(Exception):
    """It was sealed with another key, or for another place."""


class Seals:
    """AES-256 in Galois/Counter Mode. ``given`` names the key, ``env:NAME`` or ``file:/path``; empty: a file in ``folder``, made when it is
    first needed. What is sealed for one place cannot be read at another."""

    def __init__(self, given: str, folder: Path) -> None:
        self._given = given
        self._file = folder / FILE
        self._key = b""

    def seal(self, value: Any, place: str) -> bytes:
        """JSON values, unreadable. Raises `SettingsError` where the key cannot be had."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # comes with the extra `mcp`

        nonce = os.urandom(NONCE)
        return nonce + AESGCM(self._bytes()).encrypt(nonce, msgspec.json.encode(value), place.encode())

    def open(self, sealed: bytes, place: str) -> Any:
        """What was sealed. Raises `Unsealable` and `SettingsError`."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return msgspec.json.decode(AESGCM(self._bytes()).decrypt(sealed[:NONCE], sealed[NONCE:], place.encode()))
        except InvalidTag:
            raise Unsealable(f"what is kept for {place.partition('/')[0]} was sealed with another key") from None

    def _bytes(self) -> bytes:
        if not self._key:
            text = resolved(self._given, "agents.tokens_key") if self._given else self._own()
            if len(text) < SHORTEST:
                raise SettingsError(f"agents.tokens_key: the key has fewer than {SHORTEST} characters", param="agents.tokens_key")
            self._key = hashlib.sha256(text.encode()).digest()
        return self._key

    def _own(self) -> str:
        draft = self._file.with_name(f"{FILE}.{secrets.token_hex(4)}")
        if not self._file.exists():
            # Whole or not at all, and the first of several processes: a link is never made over a file.
            try:
                with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                    file.write(secrets.token_urlsafe(32))
                    file.flush()
                    os.fsync(file.fileno())
                self._file.hardlink_to(draft)
            except FileExistsError:
                pass
            finally:
                draft.unlink(missing_ok=True)
        return self._file.read_text().strip()
