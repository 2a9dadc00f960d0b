"""Signatures of thoughts on their way through clients of another vendor's API.

Only the vendor that made a signature can read it, and some (Anthropic in a tool's turn, Gemini 3 on its calls) insist on having it back. In
the normal form a signature names its vendor: ``google:...``. On the wire a vendor's own stands bare, as its API says; another's is wrapped
in URL-safe base64, which every API's field takes and every SDK sends back, and is known again by its mark.
"""

from __future__ import annotations

import base64
import binascii

_MARK = b"penstock:"
WRAPPED = base64.urlsafe_b64encode(_MARK)
"""How every wrapped signature begins; the mark is nine bytes long, so that this holds whatever follows."""

CARRIERS = frozenset({"anthropic.messages", "google.generate"})
"""Shapes whose requests may carry another vendor's signature, which that vendor's provider must not be sent."""


def named(vendor: str, signature: str) -> str:
    """The signature in the normal form."""
    return f"{vendor}:{signature}"


def to_client(signature: str, vendor: str) -> str:
    """What stands in ``vendor``'s API for a signature of the normal form."""
    owner, _, own = signature.partition(":")
    return own if owner == vendor else base64.urlsafe_b64encode(_MARK + signature.encode()).decode()


def from_client(text: str, vendor: str) -> str:
    """The signature that a client of ``vendor``'s API sent back, in the normal form."""
    plain = text.replace("+", "-").replace("/", "_")
    if plain.startswith(WRAPPED.decode()):
        try:
            return base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4)).removeprefix(_MARK).decode()
        except (binascii.Error, ValueError):
            pass  # not ours after all
    return named(vendor, text)


def to_provider(signature: str, vendor: str) -> str | None:
    """The bare signature when ``vendor`` made it, None when another did."""
    owner, _, own = signature.partition(":")
    return own if owner == vendor else None
