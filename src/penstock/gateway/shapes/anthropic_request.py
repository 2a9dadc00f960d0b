"""Anthropic messages requests, to and from the normal form (https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import Raw

from penstock.gateway.shapes import seal
from penstock.gateway.shapes.expressible import Audit
from penstock.gateway.shapes.reader import Reader, is_text
from penstock.gateway.shapes.shape import Dialect, Fields
from penstock.kernel import messages as m
from penstock.kernel.errors import MalformedRequest, NotExpressible

NAME = "anthropic.messages"
VENDOR = "anthropic"
_NONE: frozenset[bytes] = frozenset()
HARMLESS = {
    "prompt_cache_retention": _NONE,
    "web_search_options": frozenset({b"null"}),
    "annotations": _NONE,
    "audio": frozenset({b"null"}),
}
_TEXT = msgspec.json.Decoder(str)
_EMPTY_SCHEMA = Raw(b'{"type":"object","properties":{}}')
# Between Anthropic's least budget (1,024 tokens) and what its models take for hard work.
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 32_768}


def decode_request(fields: Fields) -> m.Request:
    """The request in the normal form. Raises `MalformedRequest`."""
    r = Reader(fields)
    r.raw("model")
    conversation: list[m.Message] = []
    system = r.raw("system")
    if system is not None:
        r.put_back("system", system)
        parts = _parts(r, "system")
        if parts:
            conversation.append(m.Message("system", tuple(parts)))
    for one in r.objects("messages"):
        conversation += _message(one)
    if conversation and conversation[-1].role == "assistant":
        conversation[-1] = msgspec.structs.replace(conversation[-1], prefill=True)
    metadata = r.object("metadata")
    choice, parallel = _choice(r.object("tool_choice"))
    return m.Request(
        shape=NAME,
        messages=tuple(conversation),
        tools=tuple(_tool(one) for one in r.objects("tools")),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        format=_format(r),
        sampling=m.Sampling(
            temperature=r.number("temperature"), top_p=r.number("top_p"), top_k=r.whole("top_k"), stop=r.texts("stop_sequences")
        ),
        reasoning=_thinking(r.object("thinking")),
        max_output=r.whole("max_tokens"),
        user=metadata.text("user_id") if metadata is not None else None,
        service_tier=r.text("service_tier"),
        stream=r.flag("stream") or False,
        include_usage=True,
        extra=r.rest(),
    )


def _cache(r: Reader) -> m.Cache | None:
    one = r.object("cache_control")
    if one is None:
        return None
    one.text("type")
    return m.Cache(one.text("ttl"))


def _parts(r: Reader, field: str) -> list[m.Part]:
    raw = r.raw(field)
    if raw is None:
        return []
    if is_text(raw):
        text = _TEXT.decode(raw)
        return [m.Text(text)] if text else []
    r.put_back(field, raw)
    return [_block(one) for one in r.objects(field)]


def _message(r: Reader) -> list[m.Message]:
    role = r.need("role")
    if role not in ("user", "assistant", "system"):
        raise r.fault("role", "is neither user nor assistant")
    parts = _parts(r, "content")
    extra = r.rest()
    if role == "assistant":
        return [m.Message("assistant", tuple(parts), extra=extra)]
    results = tuple(p for p in parts if isinstance(p, m.ToolResult))
    rest = tuple(p for p in parts if not isinstance(p, m.ToolResult))
    made: list[m.Message] = []
    if results:
        made.append(m.Message("tool", results, extra=extra))
    if rest or not results:
        made.append(m.Message("system" if role == "system" else "user", rest, extra={} if results else extra))
    return made


def _block(r: Reader) -> m.Part:
    kind = r.need("type")
    if kind == "text":
        return m.Text(r.need("text"), cache=_cache(r), extra=r.rest())
    if kind == "image":
        return m.Image(_source(r), cache=_cache(r), extra=r.rest())  # type: ignore[arg-type]
    if kind == "document":
        citations = r.object("citations")
        cited = bool(citations is not None and citations.flag("enabled"))
        return m.File(_source(r), r.text("title"), r.text("context"), cited, cache=_cache(r), extra=r.rest())
    if kind == "tool_use":
        arguments = r.raw("input")
        return m.ToolCall(r.need("id"), r.need("name"), bytes(arguments).decode() if arguments is not None else "{}", _cache(r), r.rest())
    if kind == "tool_result":
        return m.ToolResult(r.need("tool_use_id"), tuple(_parts(r, "content")), r.flag("is_error") or False, _cache(r), r.rest())
    if kind == "thinking":
        signature = r.text("signature")
        return m.Reasoning(r.need("thinking"), signature=seal.from_client(signature, VENDOR) if signature else None)
    if kind == "redacted_thinking":
        return m.Reasoning(encrypted=r.need("data"))
    return m.Opaque(NAME, kind, Raw(msgspec.json.encode({"type": kind, **r.rest()})))


def _source(r: Reader) -> m.Inline | m.Link | m.Stored | m.Written:
    one = r.object("source")
    if one is None:
        raise r.fault("source", "is missing")
    kind = one.need("type")
    if kind == "base64":
        return m.Inline(one.need("media_type"), one.need("data"))
    if kind == "url":
        return m.Link(one.need("url"))
    if kind == "file":
        return m.Stored(one.need("file_id"))
    if kind == "text":
        return m.Written(one.need("data"))
    raise one.fault("type", "is none of base64, url, file, text")


def _tool(r: Reader) -> m.Tool | m.OpaqueTool:
    kind = r.text("type")
    if kind not in (None, "custom"):
        return m.OpaqueTool(NAME, kind, Raw(msgspec.json.encode({"type": kind, **r.rest()})))
    return m.Tool(r.need("name"), r.text("description"), r.raw("input_schema"), r.flag("strict"), _cache(r), r.rest())


def _choice(r: Reader | None) -> tuple[m.ToolChoice | None, bool | None]:
    if r is None:
        return None, None
    kind = r.need("type")
    alone = r.flag("disable_parallel_tool_use")
    parallel = None if alone is None else not alone
    if kind == "tool":
        return m.ChooseTool(r.need("name")), parallel
    found = {"auto": m.ChooseAuto(), "any": m.ChooseAny(), "none": m.ChooseNone()}.get(kind)
    if found is None:
        raise r.fault("type", "is none of auto, any, tool, none")
    return found, parallel


def _format(r: Reader) -> m.SchemaFormat | None:
    config = r.object("output_config")
    format = r.object("output_format")
    if config is not None:
        format = config.object("format") or format
        left = config.rest()
        if left:
            r.put_back("output_config", Raw(msgspec.json.encode(left)))
    if format is None:
        return None
    if format.need("type") != "json_schema":
        raise MalformedRequest("'output_config.format' must be of type json_schema.", param="output_config")
    return m.SchemaFormat(format.raw("schema") or Raw(b"{}"), strict=True)


def _thinking(r: Reader | None) -> m.ReasoningWish | None:
    if r is None:
        return None
    kind = r.need("type")
    return m.ReasoningWish(budget=r.whole("budget_tokens"), on=kind != "disabled", show=r.text("display"), extra=r.rest())


def encode_request(request: m.Request, *, model: str, stream: bool, dialect: Dialect) -> bytes:
    """The request in this shape. Raises `NotExpressible`."""
    audit = Audit(request, NAME, HARMLESS)
    _refuse(request, audit)
    system: list[Any] = []
    turns: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role in ("system", "developer"):
            system += [b for part in message.parts if (b := _block_out(part, audit)) is not None]
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = [b for part in message.parts if (b := _block_out(part, audit)) is not None]
        extra = audit.extra(message.extra, "messages")
        if message.name is not None:
            audit.drop("messages.name")
        # Turns of one side in a row are one turn here.
        if turns and turns[-1]["role"] == role and not extra:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks, **extra})
    cap = request.max_output
    s = request.sampling
    out: dict[str, Any] = {"model": model, "max_tokens": cap if cap is not None else dialect.default_max_tokens, "messages": turns}
    if cap == 0:
        raise audit.refuse("max_tokens", "it is at least 1 there")
    if cap is None:
        audit.drop(f"max_tokens (absent, {dialect.default_max_tokens} was sent)")
    if system:
        plain = len(system) == 1 and isinstance(system[0], dict) and set(cast("dict[str, Any]", system[0])) == {"type", "text"}
        out["system"] = system[0]["text"] if plain else system
    if stream:
        out["stream"] = True
    if (s.temperature is not None or s.top_p is not None or s.top_k is not None) and not dialect.sampling:
        raise audit.refuse("temperature", "this version of the API takes no sampling parameters")
    if s.temperature is not None and s.temperature > 1:
        raise audit.refuse("temperature", "it goes from 0 to 1 there")
    optional: dict[str, Any] = {
        "temperature": s.temperature,
        "top_p": s.top_p,
        "top_k": s.top_k,
        "stop_sequences": list(s.stop) or None,
        "metadata": {"user_id": request.user} if request.user is not None else None,
        "service_tier": request.service_tier if request.shape == NAME else None,
        "tools": [_tool_out(tool, audit) for tool in request.tools] or None,
        "tool_choice": _choice_out(request, audit),
        "thinking": thinking_out(request.reasoning, out["max_tokens"]),
    }
    out.update({name: value for name, value in optional.items() if value is not None})
    out.update(audit.extra(request.extra))
    if isinstance(request.format, m.SchemaFormat):
        given = out.get("output_config")
        config: dict[str, Any] = msgspec.json.decode(given) if isinstance(given, Raw) else {}
        out["output_config"] = {**config, "format": {"type": "json_schema", "schema": request.format.schema}}
    return msgspec.json.encode(out)


_MISSING = ("logprobs", "logit_bias", "frequency_penalty", "presence_penalty")
_LEFT_OUT = ("seed", "store", "metadata", "safety_identifier", "prompt_cache_key", "verbosity")


def _refuse(request: m.Request, audit: Audit) -> None:
    if request.n is not None and request.n > 1:
        raise audit.refuse("n", "messages give one reply")
    audit.refuse_all(request, _MISSING, "messages have nothing like it")
    if isinstance(request.format, m.JsonFormat):
        raise audit.refuse("response_format", "messages take a JSON schema, not a bare JSON mode")
    audit.drop_all(request, _LEFT_OUT)
    if request.shape != NAME:
        audit.drop_all(request, ("service_tier",))


def thinking_out(wish: m.ReasoningWish | None, cap: int) -> dict[str, Any] | None:
    """The field ``thinking`` for a reply of at most ``cap`` tokens; None when nothing is to be said."""
    if wish is None:
        return None
    if wish.on is False or wish.effort == "none":
        return {"type": "disabled"}
    budget = wish.budget or _BUDGETS.get(wish.effort or "medium", 8192)
    # The budget counts towards max_tokens and must stay below it.
    budget = min(budget, cap - 1)
    if budget < 1024:
        return None
    return {"type": "enabled", "budget_tokens": budget}


def _with_cache(block: dict[str, Any], cache: m.Cache | None) -> dict[str, Any]:
    if cache is not None:
        block["cache_control"] = {"type": "ephemeral", **({"ttl": cache.ttl} if cache.ttl else {})}
    return block


def _block_out(part: m.Part, audit: Audit) -> Any:
    match part:
        case m.Text():
            return _with_cache({"type": "text", "text": part.text, **audit.extra(part.extra, "content")}, part.cache)
        case m.Image():
            if part.detail not in (None, "auto"):
                audit.drop("image_url.detail")
            return _with_cache({"type": "image", "source": _source_out(part.source, audit)}, part.cache)
        case m.File(source=m.Inline(media_type=kind)) if kind.startswith("text/"):
            raise audit.refuse("content", f"a document of type {kind} must be given as text")
        case m.File():
            block: dict[str, Any] = {"type": "document", "source": _source_out(part.source, audit)}
            for name, value in (("title", part.name), ("context", part.context), ("citations", {"enabled": True} if part.cited else None)):
                if value is not None:
                    block[name] = value
            return _with_cache(block, part.cache)
        case m.ToolCall():
            return _with_cache({"type": "tool_use", "id": part.id, "name": part.name, "input": arguments_of(part)}, part.cache)
        case m.ToolResult():
            block = {"type": "tool_result", "tool_use_id": part.call_id, "content": [_block_out(p, audit) for p in part.parts]}
            if part.failed:
                block["is_error"] = True
            return _with_cache(block, part.cache)
        case m.Reasoning():
            signature = seal.to_provider(part.signature, VENDOR) if part.signature is not None else None
            if signature is not None:
                return {"type": "thinking", "thinking": part.text, "signature": signature}
            if part.encrypted is not None and audit.shape == NAME:
                return {"type": "redacted_thinking", "data": part.encrypted}
            # Thoughts that another vendor's model had: without Anthropic's signature they are refused.
            audit.drop("messages.reasoning")
            return None
        case m.Refusal():
            return {"type": "text", "text": part.text}
        case m.Opaque():
            audit.own(part.shape, part.kind, "content")
            return part.raw
        case m.Audio() | m.Video():
            raise audit.refuse("content", f"messages take no {type(part).__name__.lower()}")


def arguments_of(call: m.ToolCall) -> Raw:
    """The arguments as the JSON object that they must be. Raises `NotExpressible`."""
    text = call.arguments.strip() or "{}"
    try:
        if not isinstance(msgspec.json.decode(text), dict):
            raise NotExpressible(f"the arguments of tool call {call.id!r} are no JSON object", param="messages.tool_calls")
    except msgspec.DecodeError as fault:
        raise NotExpressible(f"the arguments of tool call {call.id!r} are not valid JSON", param="messages.tool_calls") from fault
    return Raw(text.encode())


def _source_out(source: m.Inline | m.Link | m.Stored | m.Written | m.Composed, audit: Audit) -> dict[str, Any]:
    match source:
        case m.Inline():
            return {"type": "base64", "media_type": source.media_type, "data": source.data}
        case m.Link():
            return {"type": "url", "url": source.url}
        case m.Written():
            return {"type": "text", "media_type": "text/plain", "data": source.text}
        case m.Stored():
            if audit.shape != NAME:
                raise audit.refuse("content", "a file that was uploaded to one provider is not known to another")
            return {"type": "file", "file_id": source.id}
        case m.Composed():
            return {"type": "content", "content": [_block_out(part, audit) for part in source.parts]}


def _tool_out(tool: m.Tool | m.OpaqueTool, audit: Audit) -> Any:
    if isinstance(tool, m.OpaqueTool):
        audit.own(tool.shape, tool.kind, "tools")
        return tool.raw
    out: dict[str, Any] = {"name": tool.name, "input_schema": tool.schema or _EMPTY_SCHEMA, **audit.extra(tool.extra, "tools")}
    if tool.description is not None:
        out["description"] = tool.description
    if tool.strict:
        out["strict"] = True
    return _with_cache(out, tool.cache)


def _choice_out(request: m.Request, audit: Audit) -> dict[str, Any] | None:
    choice = request.tool_choice
    alone = {"disable_parallel_tool_use": not request.parallel_tool_calls} if request.parallel_tool_calls is not None else {}
    match choice:
        case None:
            return {"type": "auto", **alone} if alone and request.tools else None
        case m.ChooseAuto():
            return {"type": "auto", **alone}
        case m.ChooseNone():
            return {"type": "none"}
        case m.ChooseAny():
            return {"type": "any", **alone}
        case m.ChooseTool():
            return {"type": "tool", "name": choice.name, **alone}
        case m.ChooseAmong() | m.OpaqueChoice():
            raise audit.refuse("tool_choice", "messages choose one tool, any or none")
