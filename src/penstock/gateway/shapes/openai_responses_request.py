"""OpenAI responses requests into the normal form (https://platform.openai.com/docs/api-reference/responses/create).

Only what needs no stored state: earlier responses, conversations and background work are refused by name.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from penstock.gateway.shapes.media import from_file_data, from_url
from penstock.gateway.shapes.reader import Reader, is_text
from penstock.gateway.shapes.shape import Fields
from penstock.kernel import messages as m
from penstock.kernel.errors import MalformedRequest, NotExpressible

NAME = "openai.responses"
_TEXT = msgspec.json.Decoder(str)
_STATE = ("previous_response_id", "conversation", "prompt")
# Fields that say how the answer is stored or shown, not what it is.
_LEFT_OUT = ("include", "truncation", "prompt_cache_retention", "stream_options")


def decode_request(fields: Fields) -> m.Request:
    """The request in the normal form. Raises `MalformedRequest`; `NotExpressible` for state that is not kept."""
    r = Reader(fields)
    r.raw("model")
    for name in _STATE:
        if r.raw(name) is not None:
            raise NotExpressible(
                f"'{name}' needs state that is not kept here for this provider; send the whole conversation as 'input'", param=name
            )
    if r.flag("background"):
        raise NotExpressible("'background' needs runs that outlive the request, which are not kept here", param="background")
    dropped = [name for name in _LEFT_OUT if r.raw(name) is not None]
    conversation: list[m.Message] = []
    instructions = r.text("instructions")
    if instructions:
        conversation.append(m.Message("system", (m.Text(instructions),)))
    given = r.raw("input")
    if given is None:
        raise r.fault("input", "is missing")
    if is_text(given):
        conversation.append(m.Message("user", (m.Text(_TEXT.decode(given)),)))
    else:
        r.put_back("input", given)
        for one in r.objects("input"):
            _item(one, conversation)
    reasoning = r.object("reasoning")
    text = r.object("text")
    format = text.object("format") if text is not None else None
    return m.Request(
        shape=NAME,
        messages=tuple(conversation),
        tools=tuple(_tool(one) for one in r.objects("tools")),
        tool_choice=_choice(r),
        parallel_tool_calls=r.flag("parallel_tool_calls"),
        format=_format(format) if format is not None else None,
        verbosity=text.text("verbosity") if text is not None else None,
        sampling=m.Sampling(temperature=r.number("temperature"), top_p=r.number("top_p")),
        reasoning=m.ReasoningWish(effort=reasoning.text("effort"), show=reasoning.text("summary")) if reasoning is not None else None,
        max_output=r.whole("max_output_tokens"),
        top_logprobs=r.whole("top_logprobs"),
        metadata=r.raw("metadata"),
        user=r.text("user"),
        safety_identifier=r.text("safety_identifier"),
        service_tier=r.text("service_tier"),
        store=_not_stored(r, dropped),
        cache_key=r.text("prompt_cache_key"),
        stream=r.flag("stream") or False,
        include_usage=True,
        extra=r.rest(),
        dropped=dropped,
    )


def _not_stored(r: Reader, dropped: list[str]) -> None:
    # Storing is on by default in this API; nothing is stored here, and who asked for it in words is told.
    if r.flag("store"):
        dropped.append("store")


def _item(r: Reader, conversation: list[m.Message]) -> None:
    kind = r.text("type") or "message"
    if kind == "message":
        role = r.need("role")
        if role not in ("system", "developer", "user", "assistant"):
            raise r.fault("role", "is none of system, developer, user, assistant")
        for told in ("id", "status", "phase"):
            r.raw(told)
        conversation.append(m.Message(role, tuple(_content(r)), extra=r.rest()))  # type: ignore[arg-type]
    elif kind == "function_call":
        call = m.ToolCall(r.need("call_id"), r.need("name"), r.text("arguments") or "")
        last = conversation[-1] if conversation else None
        if last is not None and last.role == "assistant":
            conversation[-1] = msgspec.structs.replace(last, parts=(*last.parts, call))
        else:
            conversation.append(m.Message("assistant", (call,)))
    elif kind == "function_call_output":
        id = r.need("call_id")
        output = r.raw("output")
        parts: list[m.Part] = []
        if output is not None and is_text(output):
            parts = [m.Text(_TEXT.decode(output))]
        elif output is not None:
            r.put_back("output", output)
            parts = [_part(one) for one in r.objects("output")]
        conversation.append(m.Message("tool", (m.ToolResult(id, tuple(parts)),)))
    elif kind == "reasoning":
        summary = tuple(one.text("text") or "" for one in r.objects("summary"))
        text = "".join(one.text("text") or "" for one in r.objects("content"))
        thought = m.Reasoning(text, summary, encrypted=r.text("encrypted_content"), id=r.text("id"))
        conversation.append(m.Message("assistant", (thought,)))
    else:
        raise NotExpressible(f"input items of type {kind!r} are understood by OpenAI's own endpoint only", param=r.at("type"))


def _content(r: Reader) -> list[m.Part]:
    raw = r.raw("content")
    if raw is None:
        return []
    if is_text(raw):
        return [m.Text(_TEXT.decode(raw))]
    r.put_back("content", raw)
    return [_part(one) for one in r.objects("content")]


def _part(r: Reader) -> m.Part:
    kind = r.need("type")
    if kind in ("input_text", "output_text"):
        return m.Text(r.need("text"))
    if kind == "input_image":
        id, url = r.text("file_id"), r.text("image_url")
        if url is None and id is None:
            raise r.fault("image_url", "is missing")
        return m.Image(m.Stored(id) if url is None else from_url(url, r.at("image_url")), r.text("detail"))  # type: ignore[arg-type]
    if kind == "input_file":
        id, url, data, name = r.text("file_id"), r.text("file_url"), r.text("file_data"), r.text("filename")
        if id is not None:
            return m.File(m.Stored(id), name)
        if url is not None:
            return m.File(m.Link(url), name)
        if data is None:
            raise r.fault("file_data", "is missing")
        return m.File(from_file_data(data, name, r.at("file_data")), name)
    if kind == "refusal":
        return m.Refusal(r.need("refusal"))
    raise MalformedRequest(f"'{r.at('type')}' is {kind!r}, a part that input does not have.", param=r.at("type"))


def _tool(r: Reader) -> m.Tool | m.OpaqueTool:
    kind = r.need("type")
    if kind != "function":
        return m.OpaqueTool(NAME, kind, Raw(msgspec.json.encode({"type": kind, **r.rest()})))
    return m.Tool(r.need("name"), r.text("description"), r.raw("parameters"), r.flag("strict"), extra=r.rest())


def _choice(r: Reader) -> m.ToolChoice | None:
    raw = r.raw("tool_choice")
    if raw is None:
        return None
    if is_text(raw):
        found = {"auto": m.ChooseAuto(), "none": m.ChooseNone(), "required": m.ChooseAny()}.get(_TEXT.decode(raw))
        if found is None:
            raise MalformedRequest("'tool_choice' is auto, none, required or an object.", param="tool_choice")
        return found
    one = Reader.of(raw, "tool_choice")
    return m.ChooseTool(one.need("name")) if one.need("type") == "function" else m.OpaqueChoice(NAME, raw)


def _format(r: Reader) -> m.TextFormat | m.JsonFormat | m.SchemaFormat:
    kind = r.need("type")
    if kind == "text":
        return m.TextFormat()
    if kind == "json_object":
        return m.JsonFormat()
    if kind != "json_schema":
        raise r.fault("type", "is text, json_object or json_schema")
    return m.SchemaFormat(r.raw("schema") or Raw(b"{}"), r.text("name"), r.text("description"), r.flag("strict"))
