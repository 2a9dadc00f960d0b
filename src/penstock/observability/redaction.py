"""Replacing secrets and personal data in what is about to be stored.

Works on bytes as they are on the wire, JSON escapes included, and leaves JSON valid: no pattern reaches over a quotation mark. Each
built-in pattern has scouts, cheap searches for what it cannot match without; where they find nothing the pattern itself is not run.
And before the scouts one search for all their beginnings together, at memory speed, since most texts hold none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from penstock.kernel.errors import SettingsError

_SCOUTS: dict[str, bytes] = {
    # Each begins with one literal, rare in text, which the search finds at memory speed; only there it looks around.
    "_": rb"_(?:(?<=[srp]k_)|(?<=pss_)|(?<=gh[pousr]_)|(?<=hf_)|(?<=r8_)|(?<=npm_)|(?<=github_pat_))",
    "-": rb"-(?:(?<=[srp]k-)|(?<=xai-)|(?<=glpat-)|(?<=pypi-)|(?<=xox[abeoprs]-)|(?<=xapp-)|(?=----BEGIN ))",
    "A": rb"A(?:Iza|KIA|SIA)",
    "J": rb"J(?<=eyJ)",
    "b": rb"b(?=earer )",
    "B": rb"B(?=earer |EARER )",
    "/": rb"/(?<=:/)(?=/)",
    "@": rb"@",
    "+": rb"\+",
}
"""Cheap searches, by the character that each begins with. A rule runs only where one of its scouts found something."""

_NEEDLES: tuple[bytes, ...] = tuple(
    b"sk_ rk_ pk_ pss_ ghp_ gho_ ghu_ ghs_ ghr_ hf_ r8_ npm_ github_pat_ sk- rk- pk- xai- glpat- pypi- xox xapp- --BEGIN "
    b"AIza AKIA ASIA eyJ bearer Bearer BEARER ://".split()
)
"""What each scout needs at least one of, but for the two that look for a single character."""
_SINGLE = frozenset("@+")

_BUILT_IN: tuple[tuple[str, str, str], ...] = (
    # One secret is matched from its issuer's prefix to the first character that cannot belong to it.
    ("api-key", "-_", r"\b(?:sk|rk|pk)[-_](?:[a-z]{2,12}[-_]){0,3}[A-Za-z0-9_-]{16,}"),
    ("api-key", "A", r"\bAIza[A-Za-z0-9_-]{30,}"),
    ("api-key", "-_", r"\b(?:gsk_|hf_|xai-|r8_|glpat-|npm_|pypi-)[A-Za-z0-9_-]{16,}"),
    ("penstock-key", "-_", r"\bps[ks][-_][A-Za-z0-9_-]{16,}"),
    ("aws-key", "A", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("github-token", "_", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    ("slack-token", "-", r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}"),
    ("jwt", "J", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    ("bearer", "bB", r"(?i:\bbearer) +(?!\[redacted)[A-Za-z0-9._~+/-]{16,}=*"),
    (
        "private-key",
        "-",
        r'-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:\\.|[^"\\])*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|(?=")|\Z)',
    ),
    # A password within a URL: scheme://user:password@host.
    ("url-password", "/", r"(?<=://)[^\s\"'/@:\\]{1,64}:[^\s\"'/@\\]{1,128}(?=@)"),
)
_EMAIL = r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}\b"
_PHONE = r"(?<![\w.])\+\d{1,3}(?:[ ().\-/]{0,2}\d){6,12}(?!\w)"


class Redactor:
    """Replaces what its patterns match by ``[redacted: name]``.

    ``patterns`` are the installation's own, by name. Raises `SettingsError` for one that is not a regular expression or that matches
    the empty text.
    """

    def __init__(self, *, emails: bool = False, phones: bool = False, patterns: Mapping[str, str] | None = None) -> None:
        rules = [(name, scouts, _compile(name, text)) for name, scouts, text in _BUILT_IN]
        if emails:
            rules.append(("email", "@", _compile("email", _EMAIL)))
        if phones:
            rules.append(("phone", "+", _compile("phone", _PHONE)))
        wanted = {scout for _, scouts, _ in rules for scout in scouts}
        self._scouts = [(name, ord(name), re.compile(pattern).search) for name, pattern in _SCOUTS.items() if name in wanted]
        self._needles = _together(_NEEDLES)
        self._single = [ord(name) for name in sorted(_SINGLE & wanted)]
        self._rules = [(frozenset(scouts), pattern, _mark(name)) for name, scouts, pattern in rules]
        self._own = [(_compile(name, text), _mark(name)) for name, text in (patterns or {}).items()]

    def suspects(self, data: bytes) -> bool:
        """Whether there may be anything to replace in ``data``, which may be many texts at once; False is certain."""
        return bool(self._own) or bool(self._seen(data))

    def bytes(self, data: bytes) -> tuple[bytes, int]:
        """The data with secrets replaced, and how many were."""
        found = 0
        if seen := self._seen(data):
            for scouts, pattern, mark in self._rules:
                if not scouts.isdisjoint(seen):
                    data, times = pattern.subn(mark, data)
                    found += times
        for pattern, mark in self._own:
            data, times = pattern.subn(mark, data)
            found += times
        return data, found

    def _seen(self, data: bytes) -> set[str]:
        """The scouts that found something."""
        if self._needles is not None and not self._needles.find_matches_as_indexes(data) and not any(one in data for one in self._single):
            return set()
        # To see that a character is not there at all costs a tenth of the search that begins with it.
        return {name for name, first, search in self._scouts if first in data and search(data) is not None}

    def text(self, text: str) -> str:
        """The text with secrets replaced."""
        return self.bytes(text.encode("utf-8", "replace"))[0].decode("utf-8", "replace")


class _Needles(Protocol):
    def find_matches_as_indexes(self, haystack: bytes) -> list[tuple[int, int, int]]: ...


def _together(needles: tuple[bytes, ...]) -> _Needles | None:
    """One search for all of them: 0.2 to 1 us a kilobyte, where the scouts take 5. None on a machine for which there is no such library."""
    try:
        library: Any = import_module("ahocorasick_rs")
    except ImportError:
        return None
    # The leftmost match is what it searches for with vector instructions.
    return library.BytesAhoCorasick(needles, matchkind=library.MatchKind.LeftmostFirst)


def _mark(name: str) -> bytes:
    return f"[redacted: {name}]".encode()


def _compile(name: str, text: str) -> re.Pattern[bytes]:
    try:
        pattern = re.compile(text.encode())
    except re.error as fault:
        raise SettingsError(
            f"observability.redact_patterns.{name}: not a regular expression: {fault}", param=f"observability.redact_patterns.{name}"
        ) from fault
    if pattern.search(b"") is not None:
        raise SettingsError(
            f"observability.redact_patterns.{name}: matches the empty text, so it would redact everything",
            param=f"observability.redact_patterns.{name}",
        )
    return pattern
