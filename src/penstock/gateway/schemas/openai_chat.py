"""OpenAI chat completions, as the OpenAPI document describes them."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.gateway.schemas.failures import OPENAI_ERROR, OPENAI_FAILURES
from penstock.gateway.schemas.notation import Schema, flag, free, many, maybe, number, obj, one, ref, tagged, text, untagged, whole, word
from penstock.kernel.web import Description

MODEL = text("A model of `/v1/models`, `provider/model`, or `task:name`.", minLength=1, maxLength=512)
EFFORT = maybe(text("How much to think: none, minimal, low, medium, high, xhigh."))
CHOICES = ("auto", "none", "required")
CAP = {"minimum": 1, "maximum": 2**31 - 1}

PROMPT = maybe(
    obj(
        "A prompt that is stored here (docs/prompts.md), put before what the request says.",
        need=("id",),
        id=text("Its id or name."),
        version=one(text("A number, a label or `latest`."), whole(), {"type": "null"}),
        variables=maybe(free()),
    )
)

_CALL = tagged(
    "function",
    need=("id", "function"),
    id=text(),
    function=obj(need=("name",), name=text(), arguments=text("JSON, as the model wrote it.")),
)

_PARTS: tuple[Schema, ...] = (
    tagged("text", need=("text",), text=text()),
    tagged(
        "image_url",
        need=("image_url",),
        image_url=obj(need=("url",), url=text("An http(s) or data URL."), detail=maybe(text("auto, low or high."))),
    ),
    tagged("input_audio", need=("input_audio",), input_audio=obj(need=("data", "format"), data=text("Base64."), format=text())),
    tagged("video_url", need=("video_url",), video_url=obj(need=("url",), url=text("An http(s) or data URL."))),
    tagged(
        "file",
        need=("file",),
        file=obj("Either `file_data` or `file_id`.", filename=maybe(text()), file_data=maybe(text("A data URL.")), file_id=maybe(text())),
    ),
    tagged("refusal", need=("refusal",), refusal=text()),
)

_REQUEST: Mapping[str, Schema] = {
    "model": MODEL,
    "messages": many(ref("OpenAIChatMessage")),
    "stream": maybe(flag("Answer as server-sent events.")),
    "stream_options": maybe(obj(include_usage=maybe(flag("Send the usage in a last chunk.")))),
    "max_completion_tokens": maybe(whole(**CAP)),
    "max_tokens": maybe(whole("The older name.", minimum=0, maximum=2**31 - 1)),
    "temperature": maybe(number()),
    "top_p": maybe(number()),
    "top_k": maybe(whole()),
    "seed": maybe(whole()),
    "stop": one(text(), many(text()), {"type": "null"}),
    "frequency_penalty": maybe(number()),
    "presence_penalty": maybe(number()),
    "logit_bias": maybe(free()),
    "n": maybe(whole("Replies wanted.", minimum=1, maximum=128)),
    "logprobs": maybe(flag()),
    "top_logprobs": maybe(whole()),
    "tools": maybe(
        many(
            one(
                tagged(
                    "function",
                    need=("function",),
                    function=obj(
                        need=("name",),
                        name=text(),
                        description=maybe(text()),
                        parameters=maybe(free("A JSON Schema.")),
                        strict=maybe(flag()),
                    ),
                ),
                untagged("function", what="A tool of the provider's own."),
            )
        )
    ),
    "tool_choice": one(
        word(*CHOICES),
        tagged("function", need=("function",), function=obj(need=("name",), name=text())),
        untagged("function", what="A choice that only the provider's own shape knows."),
        {"type": "null"},
    ),
    "parallel_tool_calls": maybe(flag()),
    "response_format": one(
        tagged("text"),
        tagged("json_object"),
        tagged(
            "json_schema",
            need=("json_schema",),
            json_schema=obj(schema=maybe(free()), name=maybe(text()), description=maybe(text()), strict=maybe(flag())),
        ),
        {"type": "null"},
    ),
    "reasoning_effort": EFFORT,
    "verbosity": maybe(text()),
    "metadata": maybe(free()),
    "user": maybe(text()),
    "safety_identifier": maybe(text()),
    "service_tier": maybe(text()),
    "store": maybe(flag()),
    "prompt_cache_key": maybe(text()),
    "prompt": PROMPT,
}

_MESSAGE = obj(
    need=("role",),
    role=word("system", "developer", "user", "assistant", "tool"),
    content=one(text(), many(ref("OpenAIChatPart")), {"type": "null"}),
    name=maybe(text()),
    refusal=maybe(text()),
    reasoning_content=maybe(text("What an assistant thought; some providers call it `reasoning`.")),
    tool_calls=maybe(many(_CALL)),
    tool_call_id=maybe(text("Of a tool's message: the call that it answers.")),
)

_FINISH = ("stop", "length", "tool_calls", "content_filter", "function_call")

_USAGE = obj(
    need=("prompt_tokens", "completion_tokens", "total_tokens"),
    prompt_tokens=whole(),
    completion_tokens=whole(),
    total_tokens=whole(),
    prompt_tokens_details=maybe(
        obj(cached_tokens=maybe(whole()), cache_write_tokens=maybe(whole()), audio_tokens=maybe(whole())),
    ),
    completion_tokens_details=maybe(obj(reasoning_tokens=maybe(whole()), audio_tokens=maybe(whole()))),
)

_COMPLETION = obj(
    need=("id", "object", "created", "model", "choices"),
    id=text(),
    object={"const": "chat.completion"},
    created=whole("Unix seconds."),
    model=text(),
    choices=many(
        obj(
            need=("index", "message", "finish_reason"),
            index=whole(),
            message=obj(
                need=("role", "content"),
                role={"const": "assistant"},
                content=maybe(text()),
                refusal=maybe(text()),
                reasoning_content=maybe(text()),
                tool_calls=maybe(many(_CALL)),
            ),
            finish_reason=word(*_FINISH),
            logprobs=maybe(free()),
        )
    ),
    usage=maybe(ref("OpenAIChatUsage")),
    service_tier=maybe(text()),
    system_fingerprint=maybe(text()),
)

_CHUNK = obj(
    "One event of a stream.",
    need=("id", "object", "created", "model", "choices"),
    id=text(),
    object={"const": "chat.completion.chunk"},
    created=whole("Unix seconds."),
    model=text(),
    choices=many(
        obj(
            need=("index", "delta"),
            index=whole(),
            delta=obj(
                role=maybe({"const": "assistant"}),
                content=maybe(text()),
                refusal=maybe(text()),
                reasoning_content=maybe(text()),
                tool_calls=maybe(
                    many(
                        obj(
                            need=("index",),
                            index=whole(),
                            id=maybe(text()),
                            type={"const": "function"},
                            function=obj(name=maybe(text()), arguments=maybe(text("The next piece of the JSON."))),
                        )
                    )
                ),
            ),
            finish_reason=maybe(word(*_FINISH)),
            logprobs=maybe(free()),
        )
    ),
    usage=maybe(ref("OpenAIChatUsage")),
)


def describe() -> Description:
    """The route's description."""
    return Description(
        request=ref("OpenAIChatRequest"),
        reply=ref("OpenAIChatCompletion"),
        event=one(ref("OpenAIChatChunk"), ref("OpenAIError")),
        ending="`data: [DONE]` follows the last chunk.",
        error=ref("OpenAIError"),
        failures=OPENAI_FAILURES,
        schemas={
            "OpenAIError": OPENAI_ERROR,
            "OpenAIChatRequest": obj(need=("model", "messages"), **_REQUEST),
            "OpenAIChatMessage": _MESSAGE,
            "OpenAIChatPart": one(*_PARTS),
            "OpenAIChatUsage": _USAGE,
            "OpenAIChatCompletion": _COMPLETION,
            "OpenAIChatChunk": _CHUNK,
        },
    )
