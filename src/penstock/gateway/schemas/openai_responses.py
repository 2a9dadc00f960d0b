"""OpenAI responses without stored state, as the OpenAPI document describes them."""

from __future__ import annotations

from penstock.gateway.schemas.failures import OPENAI_ERROR, OPENAI_FAILURES
from penstock.gateway.schemas.notation import Schema, flag, free, many, maybe, number, obj, one, ref, tagged, text, untagged, whole, word
from penstock.gateway.schemas.openai_chat import CAP, CHOICES, EFFORT, MODEL, PROMPT
from penstock.kernel.web import Description

_PARTS: tuple[Schema, ...] = (
    tagged("input_text", need=("text",), text=text()),
    tagged("output_text", need=("text",), text=text()),
    tagged(
        "input_image",
        "Either `image_url` or `file_id`.",
        image_url=maybe(text("An http(s) or data URL.")),
        file_id=maybe(text()),
        detail=maybe(text("auto, low or high.")),
    ),
    tagged(
        "input_file",
        "One of `file_data`, `file_url` and `file_id`.",
        filename=maybe(text()),
        file_data=maybe(text("A data URL.")),
        file_url=maybe(text()),
        file_id=maybe(text()),
    ),
    tagged("refusal", need=("refusal",), refusal=text()),
)

_CONTENT = one(text(), many(ref("OpenAIResponsesPart")))
_OWN = ("message", "function_call", "function_call_output", "reasoning")
_STATUS = word("in_progress", "completed", "incomplete")

_ITEM = one(
    obj(
        "A message.",
        need=("role", "content"),
        type={"const": "message"},
        role=word("system", "developer", "user", "assistant"),
        content=_CONTENT,
    ),
    tagged("function_call", need=("call_id", "name", "arguments"), call_id=text(), name=text(), arguments=text("JSON.")),
    tagged("function_call_output", need=("call_id", "output"), call_id=text(), output=_CONTENT),
    tagged(
        "reasoning",
        summary=many(obj(text=text())),
        content=maybe(many(obj(text=text()))),
        encrypted_content=maybe(text()),
        id=maybe(text()),
    ),
    untagged(*_OWN, what="An item that only OpenAI's own endpoint understands."),
)

_REQUEST: dict[str, Schema] = {
    "model": MODEL,
    "input": one(text(), many(ref("OpenAIResponsesItem")), what="The whole conversation: nothing is stored here between calls."),
    "instructions": maybe(text()),
    "stream": maybe(flag("Answer as server-sent events.")),
    "max_output_tokens": maybe(whole(**CAP)),
    "temperature": maybe(number()),
    "top_p": maybe(number()),
    "top_logprobs": maybe(whole()),
    "tools": maybe(
        many(
            one(
                tagged(
                    "function",
                    need=("name",),
                    name=text(),
                    description=maybe(text()),
                    parameters=maybe(free("A JSON Schema.")),
                    strict=maybe(flag()),
                ),
                untagged("function", what="A tool of the provider's own."),
            )
        )
    ),
    "tool_choice": one(
        word(*CHOICES),
        tagged("function", need=("name",), name=text()),
        untagged("function", what="A choice that only the provider's own shape knows."),
        {"type": "null"},
    ),
    "parallel_tool_calls": maybe(flag()),
    "text": maybe(
        obj(
            format=one(
                tagged("text"),
                tagged("json_object"),
                tagged("json_schema", schema=maybe(free()), name=maybe(text()), description=maybe(text()), strict=maybe(flag())),
                {"type": "null"},
            ),
            verbosity=maybe(text()),
        )
    ),
    "reasoning": maybe(obj(effort=EFFORT, summary=maybe(text()))),
    "metadata": maybe(free()),
    "user": maybe(text()),
    "safety_identifier": maybe(text()),
    "service_tier": maybe(text()),
    "store": maybe(flag("Nothing is stored here; who asks for it is told in `x-penstock-notes`.")),
    "prompt_cache_key": maybe(text()),
    "prompt": PROMPT,
    "previous_response_id": maybe(text("Only for a provider that speaks this API and keeps state; refused elsewhere.")),
}

_TEXT = tagged("output_text", need=("text", "annotations"), text=text(), annotations=many(free()), logprobs=many(free()))
_REFUSAL = tagged("refusal", need=("refusal",), refusal=text())

_OUTPUT = one(
    tagged(
        "message",
        need=("id", "role", "status", "content"),
        id=text(),
        role={"const": "assistant"},
        status=_STATUS,
        content=many(one(_TEXT, _REFUSAL)),
    ),
    tagged(
        "function_call",
        need=("call_id", "name", "arguments"),
        id=text(),
        call_id=text(),
        name=text(),
        arguments=text("JSON."),
        status=_STATUS,
    ),
    tagged(
        "reasoning",
        need=("id", "summary"),
        id=text(),
        summary=many(tagged("summary_text", need=("text",), text=text())),
        content=maybe(many(tagged("reasoning_text", need=("text",), text=text()))),
        encrypted_content=maybe(text()),
    ),
    untagged(*_OWN, what="An item of the provider's own."),
)

_RESPONSE = obj(
    need=("id", "object", "created_at", "status", "model", "output"),
    id=text(),
    object={"const": "response"},
    created_at=number("Unix seconds."),
    status=word("in_progress", "completed", "incomplete", "failed", "queued", "cancelled"),
    error=maybe(free()),
    incomplete_details=maybe(obj(reason=text("max_output_tokens or content_filter."))),
    instructions=one(text(), many(free()), {"type": "null"}),
    metadata=maybe(free()),
    model=text(),
    output=many(ref("OpenAIResponsesOutput")),
    parallel_tool_calls=flag(),
    temperature=maybe(number()),
    top_p=maybe(number()),
    tool_choice=one(text(), free()),
    tools=many(free()),
    usage=maybe(
        obj(
            need=("input_tokens", "output_tokens", "total_tokens"),
            input_tokens=whole(),
            input_tokens_details=obj(cached_tokens=whole(), cache_write_tokens=whole()),
            output_tokens=whole(),
            output_tokens_details=obj(reasoning_tokens=whole()),
            total_tokens=whole(),
        )
    ),
    store=maybe(flag()),
)

_PLACE: dict[str, Schema] = {"item_id": text(), "output_index": whole()}
_AT = ("item_id", "output_index")


def _event(kind: str, *need: str, **fields: Schema) -> Schema:
    return tagged(kind, need=("sequence_number", *need), sequence_number=whole(), **fields)


def _piece(kind: str, *need: str, **fields: Schema) -> Schema:
    return _event(f"response.{kind}", *_AT, *need, **_PLACE, content_index=whole(), **fields)


_EVENTS: tuple[Schema, ...] = (
    *(
        _event(f"response.{state}", "response", response=ref("OpenAIResponse"))
        for state in ("created", "in_progress", "completed", "incomplete", "failed")
    ),
    *(
        _event(f"response.output_item.{state}", "output_index", "item", output_index=whole(), item=ref("OpenAIResponsesOutput"))
        for state in ("added", "done")
    ),
    *(_piece(f"content_part.{state}", "part", part=free()) for state in ("added", "done")),
    _piece("output_text.delta", "delta", delta=text()),
    _piece("output_text.done", "text", text=text()),
    _piece("refusal.delta", "delta", delta=text()),
    _piece("refusal.done", "refusal", refusal=text()),
    _piece("reasoning_text.delta", "delta", delta=text()),
    _piece("reasoning_text.done", "text", text=text()),
    _piece("function_call_arguments.delta", "delta", delta=text("The next piece of the JSON.")),
    _piece("function_call_arguments.done", "arguments", arguments=text()),
    _event("error", "message", code=maybe(text()), message=text(), param=maybe(text())),
)
_KINDS = tuple(str(e["properties"]["type"]["const"]) for e in _EVENTS)


def describe() -> Description:
    """The route's description."""
    return Description(
        request=ref("OpenAIResponsesRequest"),
        reply=ref("OpenAIResponse"),
        event=ref("OpenAIResponsesEvent"),
        ending="The last event is `response.completed`, `response.incomplete` or `error`.",
        error=ref("OpenAIError"),
        failures=OPENAI_FAILURES,
        schemas={
            "OpenAIError": OPENAI_ERROR,
            "OpenAIResponsesRequest": obj(need=("model", "input"), **_REQUEST),
            "OpenAIResponsesItem": _ITEM,
            "OpenAIResponsesPart": one(*_PARTS),
            "OpenAIResponsesOutput": _OUTPUT,
            "OpenAIResponse": _RESPONSE,
            "OpenAIResponsesEvent": one(*_EVENTS, untagged(*_KINDS, what="An event of the provider's own.")),
        },
    )
