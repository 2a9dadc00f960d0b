"""What names, ids and allow-lists may look like; every message says which field is wrong and what would be right."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

from penstock.kernel.errors import NotFound, RequestError
from penstock.kernel.principal import Limits, Scope

MAX_NAME = 100
MAX_EMAIL = 254
"""RFC 5321, 4.5.3.1.3: a path has 256 octets, angle brackets among them."""

MAX_PATTERNS = 100
MAX_PATTERN = 200
MAX_LIMIT = 10**12
LATEST = 253_402_300_800.0
"""The end of the year 9999, beyond which dates cannot be shown."""

MAX_PAGE = 1000

_ID = re.compile(r"[a-z]{2,8}_[0-9a-f]{32}")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]+\.[^@\s\x00-\x1f]+")


def name(text: str, param: str = "name") -> str:
    """The name without blanks around it: 1 to 100 characters, none of them control characters."""
    text = unicodedata.normalize("NFC", text.strip())
    if not 1 <= len(text) <= MAX_NAME:
        raise RequestError(f"{param}: must have 1 to {MAX_NAME} characters, has {len(text)}", param=param)
    if any(unicodedata.category(c) in {"Cc", "Cs", "Cf", "Zl", "Zp"} for c in text):
        raise RequestError(f"{param}: must not hold control characters", param=param)
    return text


def email(text: str | None) -> str | None:
    """The address in lower case, None for none; the form is checked, not whether mail arrives."""
    if text is None or not text.strip():
        return None
    text = text.strip().lower()
    if len(text) > MAX_EMAIL or _EMAIL.fullmatch(text) is None:
        raise RequestError("email: not an address such as ada@example.com", param="email")
    return text


def is_id(text: str) -> bool:
    """Whether this can be an id."""
    return _ID.fullmatch(text) is not None


def id(text: str, what: str) -> str:
    """The id when it can be one. Raises `NotFound`, as for an id that nobody has."""
    if not is_id(text):
        raise NotFound(f"there is no {what} {text[:60]!r}")
    return text


def cursor(text: str | None) -> str | None:
    """Where a list goes on. Raises `RequestError` for one that no list gave out."""
    if text is not None and _ID.fullmatch(text) is None:
        raise RequestError("cursor: not one that a list returned as next_cursor", param="cursor")
    return text


def page_size(limit: int) -> int:
    """How many rows a page may have: 1 to 1000."""
    if not 1 <= limit <= MAX_PAGE:
        raise RequestError(f"limit: must be 1 to {MAX_PAGE}", param="limit")
    return limit


def scopes(given: Iterable[Scope]) -> tuple[Scope, ...]:
    """The scopes in a fixed order, each once; at least one."""
    chosen = set(given)
    if not chosen:
        raise RequestError(f"scopes: give at least one of {', '.join(Scope)}", param="scopes")
    return tuple(scope for scope in Scope if scope in chosen)


def patterns(given: Sequence[str], param: str) -> tuple[str, ...]:
    """An allow-list: up to 100 names, where only the last character may be ``*``."""
    if len(given) > MAX_PATTERNS:
        raise RequestError(f"{param}: at most {MAX_PATTERNS} entries, got {len(given)}", param=param)
    for pattern in given:
        if not 1 <= len(pattern) <= MAX_PATTERN or not pattern.isprintable() or " " in pattern:
            raise RequestError(f"{param}: an entry needs 1 to {MAX_PATTERN} printable characters without blanks", param=param)
        if "*" in pattern[:-1]:
            raise RequestError(f"{param}: {pattern!r}: '*' may only be the last character", param=param)
    return tuple(dict.fromkeys(given))


def limits(given: Limits) -> Limits:
    """Each limit unset or a whole number of at least 1."""
    for field in Limits.__struct_fields__:
        value: int | None = getattr(given, field)
        if value is not None and not 1 <= value <= MAX_LIMIT:
            raise RequestError(f"limits.{field}: must be 1 to {MAX_LIMIT:,}, or null for none", param=f"limits.{field}")
    return given


def expiry(at: float | None, now: float) -> float | None:
    """A moment to come, in Unix seconds, or None."""
    if at is None:
        return None
    if not math.isfinite(at) or at >= LATEST:
        raise RequestError("expires_at: not a time in Unix seconds before the year 10000", param="expires_at")
    if at <= now:
        raise RequestError("expires_at: must be in the future", param="expires_at")
    return at
