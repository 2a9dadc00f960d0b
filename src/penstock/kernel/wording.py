"""Values as texts."""

from __future__ import annotations

from typing import Any

import msgspec


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON. Raises what msgspec raises for what is no JSON (TypeError, ValueError, OverflowError)."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
