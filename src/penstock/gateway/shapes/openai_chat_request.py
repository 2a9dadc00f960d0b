"""OpenAI chat requests, to and from the normal form (https://platform.openai.com/docs/api-reference/chat/create)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from penstock.gateway.shapes import seal
from penstock.gateway.shapes.body import decode
from penstock.gateway.shapes.expressible import Audit
from penstock.gateway.shapes.media import from_file_data, from_url, to_url
from penstock.gateway.shapes.openai_chat_reply import signed
from penstock.gateway.shapes.reader import Reader, is_text
from penstock.gateway.shapes.shape import Dialect, Fields
from penstock.kernel import messages as m
from penstock.kernel.errors import MalformedRequest, NotExpressible

NAME = "openai.chat"
ROLES = ("system", "developer", "user", "assistant", "tool")
_NONE: frozenset[bytes] = frozenset()
HARMLESS = {"prompt_cache_retention": _NONE, "betas": _NONE, "inference_geo": _NONE, "truncation": frozenset({b'"disabled"'})}
_TEXT = msgspec.json.Decoder(str)
_TEXTS = msgspec.json.Decoder(str | list[str] | None)
# How OpenAI calls the two kinds of sound that it takes, by the MIME types in use for them.
_SOUND = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}


def decode_request(fields: Fields) -> m.Request:
    """The request in the normal form. Raises `MalformedRequest`."""
    r = Reader(fields)
    r.raw("model")
    stream = r.flag("stream") or False
    options = r.object("stream_options")
    usage = (options.flag("include_usage") if options else None) or False
    cap = r.whole("max_completion_tokens")
    old_cap = r.whole("max_tokens")
    effort = r.text("reasoning_effort")
    stop_raw = r.raw("stop")
    stop = decode(_TEXTS, stop_raw, "'stop'", "stop") if stop_raw is not None else None
    return m.Request(
        shape=NAME,
        messages=tuple(_message(one) for one in r.objects("messages")),
        tools=tuple(_tool(one) for one in r.objects("tools")),
        tool_choice=_choice(r),
        parallel_tool_calls=r.flag("parallel_tool_calls"),
        format=_format(r.object("response_format")),
        verbosity=r.text("verbosity"),
        sampling=m.Sampling(
            temperature=r.number("temperature"),
            top_p=r.number("top_p"),
            top_k=r.whole("top_k"),
            seed=r.whole("seed"),
            stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
            frequency_penalty=r.number("frequency_penalty"),
            presence_penalty=r.number("presence_penalty"),
            logit_bias=r.raw("logit_bias"),
        ),
        reasoning=m.ReasoningWish(effort=effort) if effort is not None else None,
        max_output=cap if cap is not None else old_cap,
        n=r.whole("n"),
        logprobs=r.flag("logprobs"),
        top_logprobs=r.whole("top_logprobs"),
        metadata=r.raw("metadata"),
        user=r.text("user"),
        safety_identifier=r.text("safety_identifier"),
        service_tier=r.text("service_tier"),
        store=r.flag("store"),
        cache_key=r.text("prompt_cache_key"),
        stream=stream,
        include_usage=usage,
        extra=r.rest(),
    )


def _message(r: Reader) -> m.Message:
    role = r.need("role")
    if role not in ROLES:
        raise r.fault("role", f"is none of {', '.join(ROLES)}")
    name = r.text("name")
    parts: list[m.Part] = []
    reasoning = r.text("reasoning_content") or r.text("reasoning")
    if reasoning:
        parts.append(m.Reasoning(reasoning))
    content = r.raw("content")
    body: list[m.Part] = []
    if content is not None and is_text(content):
        body.append(m.Text(_TEXT.decode(content)))
    elif content is not None:
        r.put_back("content", content)
        body += [_part(one) for one in r.objects("content")]
    if role == "tool":
        return m.Message("tool", (m.ToolResult(r.need("tool_call_id"), tuple(body)),), name, extra=r.rest())
    parts += body
    refusal = r.text("refusal")
    if refusal:
        parts.append(m.Refusal(refusal))
    for one in r.objects("tool_calls"):
        function = one.object("function")
        if function is None:
            raise one.fault("function", "is missing: only function calls are understood")
        one.raw("type")
        one.raw("index")
        signature = _signature(one)
        arguments = function.text("arguments") or ""
        parts.append(m.ToolCall(one.need("id"), function.need("name"), arguments, extra=one.rest(), signature=signature))
    return m.Message(role, tuple(parts), name, extra=r.rest())  # type: ignore[arg-type]


def _signature(call: Reader) -> str | None:
    # As `openai_chat_reply.signed` gave it.
    extra = call.object("extra_content")
    google = extra.object("google") if extra is not None else None
    signature = google.text("thought_signature") if google is not None else None
    return seal.named("google", signature) if signature else None


def _part(r: Reader) -> m.Part:
    kind = r.need("type")
    if kind == "text":
        return m.Text(r.need("text"), extra=r.rest())
    if kind == "image_url":
        image = r.object("image_url")
        if image is None:
            raise r.fault("image_url", "is missing")
        return m.Image(from_url(image.need("url"), image.at("url")), image.text("detail"), extra=r.rest())
    if kind == "input_audio":
        audio = r.object("input_audio")
        if audio is None:
            raise r.fault("input_audio", "is missing")
        return m.Audio(m.Inline(f"audio/{audio.need('format')}", audio.need("data")), extra=r.rest())
    if kind == "video_url":
        video = r.object("video_url")
        if video is None:
            raise r.fault("video_url", "is missing")
        return m.Video(from_url(video.need("url"), video.at("url")), extra=r.rest())
    if kind == "file":
        file = r.object("file")
        if file is None:
            raise r.fault("file", "is missing")
        name, id, data = file.text("filename"), file.text("file_id"), file.text("file_data")
        if id is None and data is None:
            raise file.fault("file_data", "is missing")
        source = m.Stored(id) if id is not None else from_file_data(data or "", name, file.at("file_data"))
        return m.File(source, name, extra=r.rest())
    if kind == "refusal":
        return m.Refusal(r.need("refusal"))
    raise MalformedRequest(f"'{r.at('type')}' is {kind!r}, a part that chat messages do not have.", param=r.at("type"))


def _tool(r: Reader) -> m.Tool | m.OpaqueTool:
    kind = r.need("type")
    if kind != "function":
        return m.OpaqueTool(NAME, kind, Raw(msgspec.json.encode({"type": kind, **r.rest()})))
    function = r.object("function")
    if function is None:
        raise r.fault("function", "is missing")
    return m.Tool(function.need("name"), function.text("description"), function.raw("parameters"), function.flag("strict"), extra=r.rest())


def _choice(r: Reader) -> m.ToolChoice | None:
    raw = r.raw("tool_choice")
    if raw is None:
        return None
    if is_text(raw):
        word = _TEXT.decode(raw)
        found = {"auto": m.ChooseAuto(), "none": m.ChooseNone(), "required": m.ChooseAny()}.get(word)
        if found is None:
            raise MalformedRequest("'tool_choice' is auto, none, required or an object.", param="tool_choice")
        return found
    one = Reader.of(raw, "tool_choice")
    function = one.object("function")
    return m.ChooseTool(function.need("name")) if function is not None else m.OpaqueChoice(NAME, raw)


def _format(r: Reader | None) -> m.TextFormat | m.JsonFormat | m.SchemaFormat | None:
    if r is None:
        return None
    kind = r.need("type")
    if kind == "text":
        return m.TextFormat()
    if kind == "json_object":
        return m.JsonFormat()
    schema = r.object("json_schema") if kind == "json_schema" else None
    if schema is None:
        raise r.fault("type", "is text, json_object or json_schema (with its json_schema)")
    return m.SchemaFormat(schema.raw("schema") or Raw(b"{}"), schema.text("name"), schema.text("description"), schema.flag("strict"))


def encode_request(request: m.Request, *, model: str, stream: bool, dialect: Dialect) -> bytes:
    """The request in this shape. Raises `NotExpressible`."""
    audit = Audit(request, NAME, HARMLESS)
    s = request.sampling
    if stream and request.logprobs and request.shape != NAME:
        raise audit.refuse("logprobs", "they are translated in whole replies only")
    out: dict[str, Any] = {"model": model, "messages": [w for one in request.messages for w in _written(one, audit, dialect)]}
    if stream:
        out["stream"] = True
        if dialect.stream_usage:
            out["stream_options"] = {"include_usage": True}
    optional: dict[str, Any] = {
        dialect.max_tokens_field: request.max_output,
        "temperature": s.temperature,
        "top_p": s.top_p,
        "top_k": s.top_k,
        "seed": s.seed,
        "stop": list(s.stop) or None,
        "frequency_penalty": s.frequency_penalty,
        "presence_penalty": s.presence_penalty,
        "logit_bias": s.logit_bias,
        "n": request.n,
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
        "verbosity": request.verbosity,
        "metadata": request.metadata,
        "user": request.user,
        "safety_identifier": request.safety_identifier,
        "service_tier": request.service_tier if request.shape == NAME else None,
        "store": request.store,
        "prompt_cache_key": request.cache_key,
        "parallel_tool_calls": request.parallel_tool_calls if request.tools else None,
        "reasoning_effort": _effort(request.reasoning),
    }
    out.update({name: value for name, value in optional.items() if value is not None})
    if request.service_tier is not None and request.shape != NAME:
        audit.drop("service_tier")
    if request.tools:
        out["tools"] = [_tool_out(tool, audit) for tool in request.tools]
    if request.tool_choice is not None:
        out["tool_choice"] = _choice_out(request.tool_choice, audit)
    if request.format is not None:
        out["response_format"] = _format_out(request.format)
    out.update(audit.extra(request.extra))
    return msgspec.json.encode(out)


def _effort(wish: m.ReasoningWish | None) -> str | None:
    if wish is None:
        return None
    if wish.effort is not None:
        return wish.effort
    if wish.on is False:
        return "none"
    if wish.budget is not None:
        # The figures between which vendors place their own words: 1,024 tokens are little, 16,000 much.
        return "low" if wish.budget <= 2048 else "medium" if wish.budget <= 12_000 else "high"
    return "medium" if wish.on else None


def _written(message: m.Message, audit: Audit, dialect: Dialect) -> list[dict[str, Any]]:
    if message.prefill:
        raise NotExpressible(
            "'messages' end with an assistant's message to be continued, which chat completions have no way to ask for.", param="messages"
        )
    extra = dict(audit.extra(message.extra, "messages"))
    if message.role == "tool":
        if any(isinstance(part, m.ToolResult) and part.failed for part in message.parts):
            audit.drop("messages.content.is_error")  # what the tool says of its failure is there all the same
        return [
            {
                "role": "tool",
                "tool_call_id": part.call_id,
                "content": _content(part.parts, audit) or ("error" if part.failed else ""),
                **extra,
            }
            for part in message.parts
            if isinstance(part, m.ToolResult)
        ]
    out: dict[str, Any] = {"role": message.role, **extra}
    if message.name is not None:
        out["name"] = message.name
    calls = [p for p in message.parts if isinstance(p, m.ToolCall)]
    thoughts = [p for p in message.parts if isinstance(p, m.Reasoning)]
    refusals = [p.text for p in message.parts if isinstance(p, m.Refusal)]
    rest = tuple(p for p in message.parts if not isinstance(p, m.ToolCall | m.Reasoning | m.Refusal))
    if message.role == "assistant":
        out["content"] = _content(rest, audit) if rest else None
    else:
        out["content"] = _content(rest, audit)
    if refusals:
        out["refusal"] = "".join(refusals)
    if calls:
        out["tool_calls"] = [
            {
                "id": c.id,
                "type": "function",
                "function": {"name": c.name, "arguments": c.arguments or "{}"},
                **(signed(c.signature) if audit.shape == NAME else {}),
            }
            for c in calls
        ]
    text = "".join(t.text for t in thoughts)
    if thoughts:
        if text and dialect.reasoning_field is not None:
            out[dialect.reasoning_field] = text
        else:
            audit.drop("messages.reasoning")
    return [out]


def _content(parts: tuple[m.Part, ...], audit: Audit) -> str | list[dict[str, Any]]:
    if all(isinstance(p, m.Text) and not p.extra for p in parts) and len(parts) <= 1:
        return parts[0].text if parts and isinstance(parts[0], m.Text) else ""
    return [_part_out(part, audit) for part in parts]


def _part_out(part: m.Part, audit: Audit) -> dict[str, Any]:
    match part:
        case m.Text():
            return {"type": "text", "text": part.text, **audit.extra(part.extra, "messages.content")}
        case m.Image(source=m.Inline() | m.Link() as source):
            image: dict[str, Any] = {"url": to_url(source)}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case m.Audio(source=m.Inline() as source):
            kind = source.media_type.partition("/")[2]
            return {"type": "input_audio", "input_audio": {"data": source.data, "format": _SOUND.get(kind, kind)}}
        case m.Video(source=m.Inline() | m.Link() as source):
            return {"type": "video_url", "video_url": {"url": to_url(source)}}
        case m.File(source=m.Inline() as source):
            return {"type": "file", "file": {"file_data": to_url(source), "filename": part.name or "document"}}
        case m.File(source=m.Stored() as source):
            if audit.shape != NAME:
                raise audit.refuse("messages.content", "a file that was uploaded to one provider is not known to another")
            return {"type": "file", "file": {"file_id": source.id}}
        case m.File(source=m.Written() as source):
            return {"type": "text", "text": source.text}
        case _:
            raise audit.refuse("messages.content", f"chat messages have no {type(part).__name__.lower()} of this kind")


def _tool_out(tool: m.Tool | m.OpaqueTool, audit: Audit) -> Any:
    if isinstance(tool, m.OpaqueTool):
        audit.own(tool.shape, tool.kind, "tools")
        return tool.raw
    function: dict[str, Any] = {"name": tool.name}
    for name, value in (("description", tool.description), ("parameters", tool.schema), ("strict", tool.strict)):
        if value is not None:
            function[name] = value
    return {"type": "function", "function": function, **audit.extra(tool.extra, "tools")}


def _choice_out(choice: m.ToolChoice, audit: Audit) -> Any:
    match choice:
        case m.ChooseAuto():
            return "auto"
        case m.ChooseNone():
            return "none"
        case m.ChooseAny():
            return "required"
        case m.ChooseTool():
            return {"type": "function", "function": {"name": choice.name}}
        case m.ChooseAmong():
            tools = [{"type": "function", "function": {"name": name}} for name in choice.names]
            mode = "required" if choice.required else "auto"
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
        case m.OpaqueChoice():
            audit.own(choice.shape, "tool_choice", "tool_choice")
            return choice.raw


def _format_out(format: m.TextFormat | m.JsonFormat | m.SchemaFormat) -> dict[str, Any]:
    if isinstance(format, m.TextFormat):
        return {"type": "text"}
    if isinstance(format, m.JsonFormat):
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": format.name or "reply", "schema": format.schema}
    if format.description is not None:
        schema["description"] = format.description
    if format.strict is not None:
        schema["strict"] = format.strict
    return {"type": "json_schema", "json_schema": schema}
