"""Log probabilities as Gemini writes them, to and from OpenAI chat's, which the normal form keeps.

https://ai.google.dev/api/generate-content#LogprobsResult. Gemini says neither bytes nor, for OpenAI, token ids; the bytes are the token's.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct


class _Token(Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _Top(Struct):
    candidates: list[_Token] | None = None


class _Result(Struct, rename="camel"):
    chosen_candidates: list[_Token] | None = None
    top_candidates: list[_Top] | None = None


class _ChatToken(Struct):
    token: str = ""
    logprob: float = 0.0
    top_logprobs: list[_ChatToken] | None = None


class _Chat(Struct):
    content: list[_ChatToken] | None = None


_RESULT = msgspec.json.Decoder(_Result)
_CHAT = msgspec.json.Decoder(_Chat)


def to_chat(raw: Raw) -> Raw | None:
    """OpenAI chat's ``logprobs``; None when there are none."""
    try:
        result = _RESULT.decode(raw) if bytes(raw) not in (b"", b"null") else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if result is None or result.chosen_candidates is None:
        return None
    tops = [top.candidates or [] for top in result.top_candidates or ()]
    content = [
        {**_chat(token), "top_logprobs": [_chat(one) for one in (tops[at] if at < len(tops) else [])]}
        for at, token in enumerate(result.chosen_candidates)
    ]
    return Raw(msgspec.json.encode({"content": content, "refusal": None}))


def from_chat(raw: Raw) -> dict[str, Any]:
    """Gemini's ``logprobsResult``; an empty one for what is none of OpenAI chat's."""
    try:
        content = _CHAT.decode(raw).content or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        content = []
    return {
        "chosenCandidates": [_own(token) for token in content],
        "topCandidates": [{"candidates": [_own(one) for one in token.top_logprobs or ()]} for token in content],
    }


def _chat(token: _Token) -> dict[str, Any]:
    return {"token": token.token, "logprob": token.log_probability, "bytes": list(token.token.encode())}


def _own(token: _ChatToken) -> dict[str, Any]:
    return {"token": token.token, "logProbability": token.logprob}
