"""The secrets of keys and sessions: how they look, how they are made, and the digest that is all we keep of them."""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib

KEY_PREFIX = "psk_"
SESSION_PREFIX = "pss_"

KEY_PATTERN = re.compile(r"psk_[A-Za-z0-9_-]{43}[A-Za-z0-9]{6}")
"""Matches a whole key, for secret scanners."""

SESSION_PATTERN = re.compile(r"pss_[A-Za-z0-9_-]{43}")

SECRET_PATTERN = re.compile(r"\bps[ks]_[A-Za-z0-9_-]{16,}")
"""Matches a key or session token, also a damaged one, for redaction."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_secret() -> str:
    """A key: ``psk_``, 256 random bits in 43 characters, and 6 characters of checksum by which a scanner knows it from noise."""
    body = secrets.token_urlsafe(32)
    return f"{KEY_PREFIX}{body}{_checksum(body)}"


def new_session_token() -> str:
    """A session token: ``pss_`` and 256 random bits."""
    return f"{SESSION_PREFIX}{secrets.token_urlsafe(32)}"


def is_key(text: str) -> bool:
    """Whether ``text`` has the form of a key and its checksum holds; says nothing about whether the key exists."""
    if KEY_PATTERN.fullmatch(text) is None:
        return False
    return _checksum(text[4:-6]) == text[-6:]


def is_session_token(text: str) -> bool:
    """Whether ``text`` has the form of a session token; says nothing about whether the session exists."""
    return SESSION_PATTERN.fullmatch(text) is not None


def digest(secret: str) -> bytes:
    """SHA-256 of the secret, 32 bytes.

    No salt and no slow hash: the secret is 256 random bits, so it can neither be guessed nor looked up. Looking a digest up in a table
    leaks by its timing nothing that helps to find a secret, since nobody can choose a digest's bits.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode("ascii"))
    digits: list[str] = []
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
