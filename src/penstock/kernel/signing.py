"""Signatures of webhooks as https://www.standardwebhooks.com has them: HMAC-SHA256 over id, time and body; its libraries verify them."""

from __future__ import annotations

import base64
import hashlib
import hmac

PREFIX = "whsec_"
TOLERANCE = 300
"""Seconds by which a receiver should let the time of a signature differ from its own."""


def signature(secret: str, id: str, at: int, body: bytes) -> str:
    """The value of the header ``webhook-signature``."""
    told = f"{id}.{at}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(_key(secret), told, hashlib.sha256).digest()).decode()


def verify(secret: str, id: str, at: int, body: bytes, given: str) -> bool:
    """Whether one of the signatures in a header is ours; what a receiver does, and our tests."""
    ours = signature(secret, id, at, body)
    return any(hmac.compare_digest(ours, one) for one in given.split())


def _key(secret: str) -> bytes:
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except ValueError:
            pass
    return secret.encode()
