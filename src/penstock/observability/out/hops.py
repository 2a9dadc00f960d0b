"""How often spans were sent on, so that Penstocks which send to each other in a circle stop."""

from __future__ import annotations

from typing import Any, cast

import msgspec

HOPS = "penstock.hops"
"""Attribute of a resource: how many Penstocks have sent its spans on."""

MOST_HOPS = 4
"""What has been through as many is not sent on again."""


def hops(resource: str) -> int:
    """How many Penstocks have sent the spans of a resource (JSON text) on."""
    if HOPS not in resource:
        return 0
    told = _read(resource).get(HOPS)
    # Whoever writes something else there has sent it on often enough.
    return told if isinstance(told, int) and told >= 0 else MOST_HOPS


def one_more(resource: str) -> str:
    """The resource as it goes on from here."""
    return msgspec.json.encode({**_read(resource), HOPS: hops(resource) + 1}).decode()


def _read(resource: str) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", msgspec.json.decode(resource)) if resource else {}
    except msgspec.DecodeError:
        return {}  # a pattern of the settings that replaces more than texts broke it; the spans go on without it
