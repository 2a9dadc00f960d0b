"""Failures as Anthropic's API reports them (https://platform.claude.com/docs/en/api/errors), out and in."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from penstock.kernel.errors import UpstreamError
from penstock.kernel.refusals import anthropic_body as body
from penstock.kernel.refusals import anthropic_refusal as render

__all__ = ["body", "render", "upstream_error"]


class _ErrorWire(Struct):
    type: str
    message: str


def upstream_error(raw: bytes | Raw) -> UpstreamError:
    """The failure that a provider reported inside a stream or a reply, from the object under ``error``."""
    try:
        message = msgspec.json.decode(raw, type=_ErrorWire).message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = "without saying which"
    return UpstreamError(f"The provider reported an error: {message}")
