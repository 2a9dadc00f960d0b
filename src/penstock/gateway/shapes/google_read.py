"""Gemini requests into the normal form (https://ai.google.dev/api/generate-content)."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from penstock.gateway.shapes import google_json as g
from penstock.gateway.shapes import google_tools, seal
from penstock.gateway.shapes.google_schema import to_json_schema
from penstock.gateway.shapes.media import standard, text_of
from penstock.gateway.shapes.reader import Reader
from penstock.gateway.shapes.shape import Fields
from penstock.kernel import messages as m
from penstock.kernel.errors import MalformedRequest

NAME = "google.generate"
VENDOR = "google"
CONFIG = "generationConfig"
_JSON = "application/json"
_TEXT = msgspec.json.Decoder(str)
_RESPONSE = msgspec.json.Decoder(dict[str, Raw])
# Where only Google's own servers can read.
_OWN_FILES = ("https://generativelanguage.googleapis.com/", "gs://")


def decode_request(fields: Fields) -> m.Request:
    """The request in the normal form. Raises `MalformedRequest`."""
    r = g.reader(fields)
    for told in ("model", "stream"):
        r.raw(told)
    dropped: list[str] = []
    conversation: list[m.Message] = []
    instruction = g.message(r, "systemInstruction")
    if instruction is not None:
        parts = tuple(_part(one) for one in g.messages(instruction, "parts"))
        if parts:
            conversation.append(m.Message("system", parts))
    calls = _Calls()
    for one in g.messages(r, "contents"):
        conversation += _content(one, calls)
    if conversation and conversation[-1].role == "assistant":
        conversation[-1] = msgspec.structs.replace(conversation[-1], prefill=True)
    tools = google_tools.read_tools(g.messages(r, "tools"), dropped)
    choice, strict = google_tools.read_choice(g.message(r, "toolConfig"))
    if strict:
        tools = [msgspec.structs.replace(tool, strict=True) if isinstance(tool, m.Tool) else tool for tool in tools]
    config = g.message(r, CONFIG) or Reader({})
    request = m.Request(
        shape=NAME,
        messages=tuple(conversation),
        tools=tuple(tools),
        tool_choice=choice,
        format=_format(config),
        sampling=m.Sampling(
            temperature=config.number("temperature"),
            top_p=config.number("topP"),
            top_k=_whole(config, "topK"),
            seed=config.whole("seed"),
            stop=g.texts(config, "stopSequences"),
            frequency_penalty=config.number("frequencyPenalty"),
            presence_penalty=config.number("presencePenalty"),
        ),
        reasoning=_thinking(g.message(config, "thinkingConfig")),
        max_output=config.whole("maxOutputTokens"),
        n=config.whole("candidateCount"),
        logprobs=config.flag("responseLogprobs"),
        top_logprobs=config.whole("logprobs"),
        service_tier=r.text("serviceTier"),
        store=r.flag("store"),
        include_usage=True,
        dropped=dropped,
    )
    _harmless(r, config, dropped)
    extra = {**r.rest(), **{f"{CONFIG}.{name}": raw for name, raw in config.rest().items()}}
    return msgspec.structs.replace(request, extra=extra)


def _whole(r: Reader, name: str) -> int | None:
    # A float in older versions of this API, and clients still write 40.0.
    value = r.number(name)
    if value is None:
        return None
    if not value.is_integer():
        raise r.fault(name, "is no whole number")
    return int(value)


def _harmless(r: Reader, config: Reader, dropped: list[str]) -> None:
    """Take away what asks for nothing that another provider would not do by itself."""
    settings = r.raw("safetySettings")
    if settings is not None:
        r.put_back("safetySettings", settings)
        if all(one.text("threshold") in ("BLOCK_NONE", "OFF") for one in g.messages(r, "safetySettings")):
            dropped.append("safetySettings")
        else:
            r.put_back("safetySettings", settings)
    modalities = config.raw("responseModalities")
    if modalities is not None:
        config.put_back("responseModalities", modalities)
        if not {word.upper() for word in g.texts(config, "responseModalities")} <= {"TEXT"}:
            config.put_back("responseModalities", modalities)


class _Calls:
    """The calls of a conversation so far. Ids are optional in this API: a result then belongs to the oldest open call of its name."""

    def __init__(self) -> None:
        self._open: dict[str, list[str]] = {}
        self._made = 0

    def called(self, name: str, id: str | None) -> str:
        if not id:
            self._made += 1
            id = f"call_{self._made}"
        self._open.setdefault(name, []).append(id)
        return id

    def answered(self, r: Reader, name: str, id: str | None) -> str:
        waiting = self._open.get(name, [])
        if id and id in waiting:
            waiting.remove(id)
            return id
        if not id and waiting:
            return waiting.pop(0)
        raise MalformedRequest(f"'{r.path}' answers no function call of this name before it.", param=r.path)


def _content(r: Reader, calls: _Calls) -> list[m.Message]:
    role = r.text("role") or "user"
    if role not in ("user", "model", "function"):
        raise r.fault("role", "is neither user nor model")
    parts: list[m.Part] = []
    results: list[m.Part] = []
    for one in g.messages(r, "parts"):
        part = _part(one, calls)
        if isinstance(part, m.ToolResult):
            results.append(part)
        elif parts and isinstance(part, m.Reasoning) and isinstance(parts[-1], m.Reasoning) and parts[-1].signature is None:
            # A stream's pieces of one thought, which clients keep apart, and its signature at the end.
            parts[-1] = m.Reasoning(parts[-1].text + part.text, signature=part.signature)
        else:
            parts.append(part)
    extra = r.rest()
    if role == "model":
        return [m.Message("assistant", tuple(parts), extra=extra)]
    made = [m.Message("tool", tuple(results), extra=extra)] if results else []
    if parts or not results:
        made.append(m.Message("user", tuple(parts), extra={} if results else extra))
    return made


def _part(r: Reader, calls: _Calls | None = None) -> m.Part:
    whole = r.rest()
    part, unread = _known(r, calls)
    left = {**unread, **r.rest()}
    if part is not None and not left:
        return part
    if not left:
        raise MalformedRequest(f"'{r.path}' holds nothing.", param=r.path)
    # Metadata (of a video's frames, say) belongs to its part: nobody else can be told the one without the other.
    return m.Opaque(NAME, next(iter(left)), Raw(msgspec.json.encode(whole)))


def _known(r: Reader, calls: _Calls | None) -> tuple[m.Part | None, dict[str, Raw]]:
    """The part as far as it is understood, and what was not understood inside of it."""
    sign = r.text("thoughtSignature")
    signature = seal.from_client(sign, VENDOR) if sign else None
    thought = r.flag("thought") or False
    call, result = g.message(r, "functionCall"), g.message(r, "functionResponse")
    if call is not None and calls is not None:
        name, arguments = call.need("name"), call.raw("args")
        id = calls.called(name, call.text("id"))
        text = bytes(arguments).decode() if arguments is not None else "{}"
        return m.ToolCall(id, name, text, signature=signature), call.rest()
    if result is not None and calls is not None:
        name = result.need("name")
        parts, failed = _response(result.raw("response"), result.at("response"))
        parts += [_part(one) for one in g.messages(result, "parts")]
        id = calls.answered(result, name, result.text("id"))
        return m.ToolResult(id, tuple(parts), failed), result.rest()
    text = r.text("text")
    if text is not None:
        # A signature of text that was said is not insisted on, and no other shape has a place for it.
        return (m.Reasoning(text, signature=signature) if thought or (signature and not text) else m.Text(text)), {}
    inline, file = g.message(r, "inlineData"), g.message(r, "fileData")
    if inline is not None:
        kind = inline.need("mimeType")
        return _media(m.Inline(kind, standard(inline.need("data"))), kind, inline.text("displayName")), inline.rest()
    if file is not None:
        uri, kind = file.need("fileUri"), file.text("mimeType") or ""
        source = m.Stored(uri) if uri.startswith(_OWN_FILES) or "://" not in uri else m.Link(uri)
        return _media(source, kind, file.text("displayName")), file.rest()
    return (m.Reasoning(signature=signature) if signature is not None else None), {}


def _media(source: m.Inline | m.Link | m.Stored, kind: str, name: str | None) -> m.Part:
    if kind.startswith("image/"):
        return m.Image(source)
    if kind.startswith("audio/"):
        return m.Audio(source)
    if kind.startswith("video/"):
        return m.Video(source)
    text = text_of(source) if kind == "text/plain" and isinstance(source, m.Inline) else None
    return m.File(m.Written(text) if text is not None else source, name)


def _response(raw: Raw | None, path: str) -> tuple[list[m.Part], bool]:
    # https://ai.google.dev/api/caching#FunctionResponse: the keys output and error tell what came back; without them everything did.
    if raw is None:
        return [], False
    try:
        fields = _RESPONSE.decode(raw)
    except msgspec.DecodeError as fault:
        raise MalformedRequest(f"'{path}' must be an object.", param=path) from fault
    for key in ("output", "error"):
        if set(fields) == {key}:
            return [m.Text(_plain(fields[key]))], key == "error"
    return [m.Text(bytes(raw).decode())], False


def _plain(raw: Raw) -> str:
    return _TEXT.decode(raw) if bytes(memoryview(raw)[:1]) == b'"' else bytes(raw).decode()


def _format(config: Reader) -> m.TextFormat | m.JsonFormat | m.SchemaFormat | None:
    kind = config.text("responseMimeType")
    schema = config.raw("responseJsonSchema") or config.raw("_responseJsonSchema")
    own = config.raw("responseSchema")
    if kind == _JSON:
        if schema is None and own is not None:
            schema = to_json_schema(own)
        return m.SchemaFormat(schema) if schema is not None else m.JsonFormat()
    if kind is not None and kind != "text/plain":
        config.put_back("responseMimeType", Raw(msgspec.json.encode(kind)))
    if own is not None or schema is not None:
        config.put_back("responseSchema", own or schema or Raw(b"{}"))
    return m.TextFormat() if kind == "text/plain" else None


def _thinking(r: Reader | None) -> m.ReasoningWish | None:
    if r is None:
        return None
    shown = r.flag("includeThoughts")
    show = None if shown is None else "summarized" if shown else "omitted"
    level, budget = r.text("thinkingLevel"), r.whole("thinkingBudget")
    extra = r.rest()
    effort = level.lower() if level and level != "THINKING_LEVEL_UNSPECIFIED" else None
    if effort is None and budget is None and show != "summarized" and not extra:
        return None  # as it is without any wish
    on = False if budget == 0 else True if budget == -1 else None
    return m.ReasoningWish(effort=effort, budget=budget if budget is not None and budget > 0 else None, on=on, show=show, extra=extra)
