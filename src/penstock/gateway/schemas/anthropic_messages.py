"""Anthropic messages and their counting, as the OpenAPI document describes them."""

from __future__ import annotations

from penstock.gateway.schemas.failures import ANTHROPIC_ERROR, ANTHROPIC_FAILURES
from penstock.gateway.schemas.notation import Schema, flag, free, many, maybe, number, obj, one, ref, tagged, text, untagged, whole, word
from penstock.gateway.schemas.openai_chat import CAP, MODEL, PROMPT
from penstock.kernel.web import Description

_CACHE = maybe(obj(need=("type",), type={"const": "ephemeral"}, ttl=maybe(text())))
_SOURCE = one(
    tagged("base64", need=("media_type", "data"), media_type=text(), data=text()),
    tagged("url", need=("url",), url=text()),
    tagged("file", need=("file_id",), file_id=text()),
    tagged("text", need=("data",), data=text()),
    untagged("base64", "url", "file", "text", what="A source that only the provider's own shape knows."),
)
_OWN = ("text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking")

_BLOCK = one(
    tagged("text", need=("text",), text=text(), cache_control=_CACHE),
    tagged("image", need=("source",), source=_SOURCE, cache_control=_CACHE),
    tagged(
        "document",
        need=("source",),
        source=_SOURCE,
        title=maybe(text()),
        context=maybe(text()),
        citations=maybe(obj(enabled=flag())),
        cache_control=_CACHE,
    ),
    tagged("tool_use", need=("id", "name", "input"), id=text(), name=text(), input=free(), cache_control=_CACHE),
    tagged(
        "tool_result",
        need=("tool_use_id",),
        tool_use_id=text(),
        content=one(text(), many(ref("AnthropicBlock")), {"type": "null"}),
        is_error=maybe(flag()),
        cache_control=_CACHE,
    ),
    tagged("thinking", need=("thinking",), thinking=text(), signature=maybe(text())),
    tagged("redacted_thinking", need=("data",), data=text()),
    untagged(*_OWN, what="A block that only Anthropic's own endpoint understands."),
)

_CONTENT = one(text(), many(ref("AnthropicBlock")))

_COUNTED: dict[str, Schema] = {
    "model": MODEL,
    "prompt": PROMPT,
    "messages": many(obj(need=("role", "content"), role=word("user", "assistant", "system"), content=_CONTENT)),
    "system": one(text(), many(ref("AnthropicBlock")), {"type": "null"}),
    "tools": maybe(
        many(
            one(
                obj(
                    need=("name", "input_schema"),
                    type=maybe({"const": "custom"}),
                    name=text(),
                    description=maybe(text()),
                    input_schema=free("A JSON Schema."),
                    strict=maybe(flag()),
                    cache_control=_CACHE,
                ),
                untagged("custom", what="A tool of the provider's own."),
            )
        )
    ),
    "tool_choice": maybe(
        obj(
            need=("type",),
            type=word("auto", "any", "tool", "none"),
            name=maybe(text("Of the tool.")),
            disable_parallel_tool_use=maybe(flag()),
        )
    ),
    "thinking": maybe(
        obj(need=("type",), type=text("enabled, adaptive or disabled."), budget_tokens=maybe(whole()), display=maybe(text()))
    ),
    "output_config": maybe(
        obj(format=maybe(tagged("json_schema", need=("schema",), schema=free())), effort=maybe(text())),
    ),
}

_REQUEST: dict[str, Schema] = {
    **_COUNTED,
    "max_tokens": whole(**CAP),
    "stream": maybe(flag("Answer as server-sent events.")),
    "temperature": maybe(number()),
    "top_p": maybe(number()),
    "top_k": maybe(whole()),
    "stop_sequences": maybe(many(text())),
    "metadata": maybe(obj(user_id=maybe(text()))),
    "service_tier": maybe(text()),
}

_TEXT = tagged("text", need=("text",), text=text(), citations=maybe(many(free())))
_TOOL = tagged("tool_use", need=("id", "name", "input"), id=text(), name=text(), input=free())
_SAID = one(
    _TEXT,
    _TOOL,
    tagged("thinking", need=("thinking", "signature"), thinking=text(), signature=text("Empty where another vendor's model thought.")),
    tagged("redacted_thinking", need=("data",), data=text()),
    untagged("text", "tool_use", "thinking", "redacted_thinking", what="A block of the provider's own."),
)
_STOP = maybe(word("end_turn", "stop_sequence", "max_tokens", "model_context_window_exceeded", "tool_use", "refusal", "pause_turn"))

_USAGE = obj(
    "Counts so far; in a whole message of the message. `input_tokens` leaves out what the two cache counts hold.",
    input_tokens=maybe(whole()),
    output_tokens=whole(),
    cache_creation_input_tokens=maybe(whole()),
    cache_read_input_tokens=maybe(whole()),
    output_tokens_details=maybe(obj(thinking_tokens=maybe(whole()))),
)

_MESSAGE = obj(
    need=("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"),
    id=text(),
    type={"const": "message"},
    role={"const": "assistant"},
    model=text(),
    content=many(ref("AnthropicReplyBlock")),
    stop_reason=_STOP,
    stop_sequence=maybe(text()),
    usage=ref("AnthropicUsage"),
)

_EVENTS: tuple[Schema, ...] = (
    tagged("message_start", need=("message",), message=ref("AnthropicMessage")),
    tagged("content_block_start", need=("index", "content_block"), index=whole(), content_block=ref("AnthropicReplyBlock")),
    tagged(
        "content_block_delta",
        need=("index", "delta"),
        index=whole(),
        delta=one(
            tagged("text_delta", need=("text",), text=text()),
            tagged("input_json_delta", need=("partial_json",), partial_json=text("The next piece of the JSON.")),
            tagged("thinking_delta", need=("thinking",), thinking=text()),
            tagged("signature_delta", need=("signature",), signature=text()),
            untagged("text_delta", "input_json_delta", "thinking_delta", "signature_delta", what="A delta of the provider's own."),
        ),
    ),
    tagged("content_block_stop", need=("index",), index=whole()),
    tagged(
        "message_delta",
        need=("delta", "usage"),
        delta=obj(need=("stop_reason",), stop_reason=_STOP, stop_sequence=maybe(text())),
        usage=ref("AnthropicUsage"),
    ),
    tagged("message_stop"),
    tagged("ping"),
    ref("AnthropicError"),
)


def describe() -> Description:
    """The description of the route that answers."""
    return Description(
        request=ref("AnthropicRequest"),
        reply=ref("AnthropicMessage"),
        event=ref("AnthropicEvent"),
        ending="The last event is `message_stop` or `error`.",
        error=ref("AnthropicError"),
        failures=ANTHROPIC_FAILURES,
        schemas={
            "AnthropicError": ANTHROPIC_ERROR,
            "AnthropicRequest": obj(need=("model", "messages", "max_tokens"), **_REQUEST),
            "AnthropicBlock": _BLOCK,
            "AnthropicReplyBlock": _SAID,
            "AnthropicUsage": _USAGE,
            "AnthropicMessage": _MESSAGE,
            "AnthropicEvent": one(*_EVENTS),
        },
    )


def describe_count() -> Description:
    """The description of the route that only counts."""
    return Description(
        request=ref("AnthropicCountRequest"),
        reply=ref("AnthropicCount"),
        error=ref("AnthropicError"),
        failures=ANTHROPIC_FAILURES,
        schemas={
            "AnthropicError": ANTHROPIC_ERROR,
            "AnthropicBlock": _BLOCK,
            "AnthropicCountRequest": obj(need=("model", "messages"), **_COUNTED),
            "AnthropicCount": obj(need=("input_tokens",), input_tokens=whole(minimum=0)),
        },
    )
