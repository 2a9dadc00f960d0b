"""What makes two requests the same: a digest over everything that the reply depends on, and over whose it is."""

from __future__ import annotations

import hashlib

import msgspec

from penstock.kernel.call import Call

VERSION = 1
"""Raised whenever the same request would give another digest: entries of before are then never found."""
DIGEST = 24

OPERATIONS = frozenset({"chat", "completions", "embeddings", "moderations", "rerank"})
"""What may be answered twice in the same way. Pictures, speech and transcriptions are not kept, counting costs nothing."""

NOT_ASKED = frozenset(
    {"metadata", "model", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "stream", "stream_options", "user"}
)
"""Top-level fields on which no reply depends: who asks, how the reply travels, hints to the provider's own cache. The model's name stands
beside the body, since some APIs put it in the path."""

STATEFUL = frozenset({"background", "container", "conversation", "previous_response_id"})
"""Fields that refer to what the provider remembers, or has it work on: the same words can mean something else tomorrow."""

_OF_ONE_KIND = frozenset({"audio", "logprobs", "modalities", "top_logprobs"})
_CONFIGS = ("generationConfig", "generation_config")
_OF_ONE_KIND_INSIDE = (b"esponseLogprobs", b"esponseModalities", b"esponse_logprobs", b"esponse_modalities")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="sorted").encode


def digest_of(call: Call, apart: str) -> bytes | None:
    """The digest of a call's request among those of ``apart`` (an organisation, or a part of one); None when it must not be cached.

    JSON is brought to one form: the order of keys, white space, escapes and ``1.0`` for ``1`` at the top level make no difference. A stream
    and a whole reply are the same request, but where the reply holds what a stream cannot say (log probabilities, sound).
    """
    if call.operation not in OPERATIONS or call.form is not None or call.principal is None:
        return None
    asked = call.fields  # and not the body: stages before this one put in what it refers to (files, earlier turns)
    if not asked:
        return None
    try:
        fields: dict[str, object] = {name: _decode(raw) for name, raw in asked.items() if name not in NOT_ASKED}
        if not STATEFUL.isdisjoint(fields) and any(fields.get(name) for name in STATEFUL):
            return None
        if fields.get("store") is True and call.shape == "openai.chat":
            return None  # the caller wants it to be found at the provider
        one_kind = not _OF_ONE_KIND.isdisjoint(fields) or any(
            mark in bytes(raw) for name in _CONFIGS if (raw := asked.get(name)) is not None for mark in _OF_ONE_KIND_INSIDE
        )
        kept = {name: _plain(value) for name, value in fields.items() if value is not None}
        mode = (call.stream, call.want_usage) if one_kind else None
        head = (VERSION, apart, call.operation, call.shape, call.model, call.task, call.passthrough, mode)
        text = _encode((head, kept))
    except (msgspec.MsgspecError, UnicodeError, OverflowError, RecursionError):
        return None
    return hashlib.blake2b(text, digest_size=DIGEST).digest()


def partition_of(call: Call, apart: str, rest: bytes) -> bytes:
    """The digest of everything but the last question (``rest``), among those of ``apart``: only what lies in one partition is compared."""
    head = _encode((VERSION, apart, call.operation, call.shape, call.model, call.task, call.passthrough))
    return hashlib.blake2b(head + b"\0" + rest, digest_size=DIGEST).digest()


def _plain(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value
