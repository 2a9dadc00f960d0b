"""Replacing secrets and personal data in what is about to be stored.

Works on bytes as they are on the wire, JSON escapes included, and leaves JSON valid: no pattern reaches over a quotation mark. Each
built-in pattern has an anchor, a few literal bytes that it cannot match without; looking for the anchor costs a fraction of running the
expression, so a text without secrets costs about a microsecond per kilobyte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from penstock.kernel.errors import SettingsError

_BUILT_IN: tuple[tuple[str, tuple[bytes, ...], str], ...] = (
    # One secret is matched from its issuer's prefix to the first character that cannot belong to it.
    ("api-key", (b"sk-", b"sk_", b"rk_", b"pk_"), r"\b(?:sk|rk|pk)[-_](?:[a-z]{2,12}[-_]){0,3}[A-Za-z0-9_-]{16,}"),
    ("api-key", (b"AIza",), r"\bAIza[A-Za-z0-9_-]{30,}"),
    (
        "api-key",
        (b"gsk_", b"hf_", b"xai-", b"r8_", b"glpat-", b"npm_", b"pypi-"),
        r"\b(?:gsk_|hf_|xai-|r8_|glpat-|npm_|pypi-)[A-Za-z0-9_-]{16,}",
    ),
    ("penstock-key", (b"psk_",), r"\bpsk[-_][A-Za-z0-9_-]{16,}"),
    ("aws-key", (b"AKIA", b"ASIA"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    (
        "github-token",
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
    ),
    ("slack-token", (b"xox", b"xapp-"), r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}"),
    ("jwt", (b"eyJ",), r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    ("bearer", (b"earer ", b"EARER "), r"(?i:\bbearer) +(?!\[redacted)[A-Za-z0-9._~+/-]{16,}=*"),
    (
        "private-key",
        (b"-----BEGIN ",),
        r'-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:\\.|[^"\\])*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|(?=")|\Z)',
    ),
    # A password within a URL: scheme://user:password@host.
    ("url-password", (b"://",), r"(?<=://)[^\s\"'/@:\\]{1,64}:[^\s\"'/@\\]{1,128}(?=@)"),
)
_EMAIL = r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}\b"
_PHONE = r"(?<![\w.])\+\d{1,3}(?:[ ().\-/]{0,2}\d){6,12}(?!\w)"


class Redactor:
    """Replaces what its patterns match by ``[redacted: name]``.

    ``patterns`` are the installation's own, by name. Raises `SettingsError` for one that is not a regular expression or that matches
    the empty text.
    """

    def __init__(self, *, emails: bool = False, phones: bool = False, patterns: Mapping[str, str] | None = None) -> None:
        rules = [(name, anchors, _compile(name, text)) for name, anchors, text in _BUILT_IN]
        if emails:
            rules.append(("email", (b"@",), _compile("email", _EMAIL)))
        if phones:
            rules.append(("phone", (b"+",), _compile("phone", _PHONE)))
        rules.extend((name, (), _compile(name, text)) for name, text in (patterns or {}).items())
        self._rules = [(anchors, pattern, f"[redacted: {name}]".encode()) for name, anchors, pattern in rules]

    def bytes(self, data: bytes) -> tuple[bytes, int]:
        """The data with secrets replaced, and how many were."""
        found = 0
        for anchors, pattern, mark in self._rules:
            if anchors:
                for anchor in anchors:
                    if anchor in data:
                        break
                else:
                    continue
            data, times = pattern.subn(mark, data)
            found += times
        return data, found

    def text(self, text: str) -> str:
        """The text with secrets replaced."""
        return self.bytes(text.encode("utf-8", "replace"))[0].decode("utf-8", "replace")


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
