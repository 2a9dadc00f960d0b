"""Gemini requests from the normal form (https://ai.google.dev/api/generate-content)."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from msgspec import Raw

from penstock.gateway.shapes import google_tools, seal
from penstock.gateway.shapes.expressible import Audit
from penstock.gateway.shapes.google_read import CONFIG, NAME, VENDOR
from penstock.gateway.shapes.media import kind_of
from penstock.gateway.shapes.shape import Dialect
from penstock.kernel import messages as m

_NONE: frozenset[bytes] = frozenset()
HARMLESS = {
    "prompt_cache_retention": _NONE,
    "betas": _NONE,
    "inference_geo": _NONE,
    "truncation": frozenset({b'"disabled"'}),
    "annotations": _NONE,
    "audio": frozenset({b"null"}),
    "web_search_options": frozenset({b"null"}),
}
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
# What Google's own chat completions make of OpenAI's words (https://ai.google.dev/gemini-api/docs/openai#thinking).
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576, "max": 24_576}
_LEVELS = {"minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def encode_request(request: m.Request, *, stream: bool, dialect: Dialect) -> dict[str, Any]:
    """The request in this shape, but for the model, which stands in the path. Raises `NotExpressible`."""
    audit = Audit(request, NAME, HARMLESS)
    _refuse(request, stream, audit)
    system: list[Any] = []
    contents: list[dict[str, Any]] = []
    last = ""
    names = {part.id: part.name for one in request.messages for part in one.parts if isinstance(part, m.ToolCall)}
    for message in request.messages:
        extra = audit.extra(message.extra, "messages")
        if message.name is not None:
            audit.drop("messages.name")
        parts = _parts(message, names, audit, dialect)
        if message.role in ("system", "developer"):
            system += parts
        elif last == message.role and not extra and contents:
            contents[-1]["parts"] += parts  # results of one turn's calls belong together, and so does what one side says in a row
        else:
            contents.append({"role": "model" if message.role == "assistant" else "user", "parts": parts, **extra})
            last = message.role
    out: dict[str, Any] = {"contents": contents}
    if system:
        out["systemInstruction"] = {"parts": system}
    tools = google_tools.written_tools(request, audit)
    if tools:
        out["tools"] = tools
    choice = google_tools.written_choice(request, audit)
    if choice is not None:
        out["toolConfig"] = choice
    config = _config(request, dialect)
    for name, raw in audit.extra(request.extra).items():
        section, dot, field = name.partition(".")
        if dot and section == CONFIG:
            config[field] = raw
        else:
            out[name] = raw
    if config:
        out[CONFIG] = config
    if request.shape == NAME:
        for name, value in (("serviceTier", request.service_tier), ("store", request.store)):
            if value is not None:
                out[name] = value
    return out


def _refuse(request: m.Request, stream: bool, audit: Audit) -> None:
    audit.refuse_all(request, ("logit_bias",), "Gemini has nothing like it")
    if request.max_output == 0:
        raise audit.refuse("max_tokens", "it is at least 1 there")
    if request.logprobs and stream and request.shape != NAME:
        raise audit.refuse("logprobs", "they are translated in whole replies only")
    audit.drop_all(request, ("metadata", "user", "safety_identifier", "prompt_cache_key", "verbosity"))
    if request.shape != NAME:
        audit.drop_all(request, ("store", "service_tier"))


def _config(request: m.Request, dialect: Dialect) -> dict[str, Any]:
    s = request.sampling
    config: dict[str, Any] = {
        "temperature": s.temperature,
        "topP": s.top_p,
        "topK": s.top_k,
        "seed": s.seed,
        "stopSequences": list(s.stop) or None,
        "frequencyPenalty": s.frequency_penalty,
        "presencePenalty": s.presence_penalty,
        "maxOutputTokens": request.max_output,
        "candidateCount": request.n,
        "responseLogprobs": request.logprobs,
        "logprobs": request.top_logprobs,
        "thinkingConfig": _thinking(request.reasoning, dialect),
    }
    match request.format:
        case None:
            pass
        case m.TextFormat():
            config["responseMimeType"] = "text/plain"
        case m.JsonFormat():
            config["responseMimeType"] = "application/json"
        case m.SchemaFormat():
            config["responseMimeType"] = "application/json"
            config["responseJsonSchema"] = request.format.schema
    return {name: value for name, value in config.items() if value is not None}


def _thinking(wish: m.ReasoningWish | None, dialect: Dialect) -> dict[str, Any] | None:
    if wish is None:
        return None
    out: dict[str, Any] = dict(wish.extra)
    off = wish.on is False or wish.effort == "none"
    if off:
        out["thinkingBudget"] = 0
    elif wish.budget is not None:
        out["thinkingBudget"] = wish.budget
    elif wish.effort is not None and dialect.thinking_levels:
        out["thinkingLevel"] = _LEVELS.get(wish.effort, wish.effort)
    elif wish.effort is not None:
        out["thinkingBudget"] = _BUDGETS.get(wish.effort, _BUDGETS["medium"])
    elif wish.on and not dialect.thinking_levels:
        out["thinkingBudget"] = -1  # as much as the model sees fit
    if wish.show is not None or not off:
        out["includeThoughts"] = wish.show != "omitted" and not off
    return out


def _parts(message: m.Message, names: dict[str, str], audit: Audit, dialect: Dialect) -> list[Any]:
    out: list[Any] = []
    signed = False
    for at, part in enumerate(message.parts):
        match part:
            case m.Reasoning():
                own = _own(part.signature)
                after = message.parts[at + 1] if at + 1 < len(message.parts) else None
                if own is None:
                    audit.drop("messages.reasoning")  # another vendor's thoughts, or thoughts that nothing proves
                elif not (isinstance(after, m.ToolCall) and after.signature is None):
                    out.append({"text": part.text, "thought": True, "thoughtSignature": own})
                elif part.text:
                    out.append({"text": part.text, "thought": True})  # what it is signed with belongs to the call
            case m.ToolCall():
                before = message.parts[at - 1] if at else None
                signature = _own(part.signature) or (_own(before.signature) if isinstance(before, m.Reasoning) else None)
                # Of several calls at once only the first is signed (https://ai.google.dev/gemini-api/docs/thought-signatures).
                signature = signature or (None if signed else dialect.unsigned_call)
                call: dict[str, Any] = {"id": part.id, "name": part.name, "args": _arguments(part, audit)}
                out.append({"functionCall": call, **({"thoughtSignature": signature} if signature is not None else {})})
                signed = True
            case m.ToolResult():
                out.append(_result(part, names, audit))
            case _:
                out.append(_part(part, audit))
    return out


def _own(signature: str | None) -> str | None:
    return seal.to_provider(signature, VENDOR) if signature is not None else None


def _arguments(call: m.ToolCall, audit: Audit) -> Raw:
    text = call.arguments.strip() or "{}"
    try:
        _OBJECT.decode(text)
    except (msgspec.DecodeError, RecursionError) as fault:
        raise audit.refuse("messages.tool_calls", f"the arguments of tool call {call.id!r} are no JSON object") from fault
    return Raw(text.encode())


def _part(part: m.Part, audit: Audit) -> Any:
    match part:
        case m.Text():
            return {"text": part.text, **audit.extra(part.extra, "messages.content")}
        case m.Refusal():
            return {"text": part.text}
        case m.Image():
            if part.detail not in (None, "auto"):
                audit.drop("image_url.detail")
            return _media(part.source, "image", audit)
        case m.Audio():
            return _media(part.source, "audio", audit)
        case m.Video():
            return _media(part.source, "video", audit)
        case m.File():
            return _file(part, audit)
        case m.Opaque():
            audit.own(part.shape, part.kind, "messages.content")
            return part.raw
        case _:
            raise audit.refuse("messages.content", f"a {type(part).__name__.lower()} has no place here")


def _file(part: m.File, audit: Audit) -> dict[str, Any]:
    if part.cited:
        raise audit.refuse("citations", "Gemini cites what it searched for, not what it was given")
    if part.context is not None:
        raise audit.refuse("context", "documents are told apart by nothing but their content there; say it as text")
    if part.name is not None:
        audit.drop("file.filename")
    match part.source:
        case m.Written():
            data = base64.b64encode(part.source.text.encode()).decode()
            return {"inlineData": {"mimeType": "text/plain", "data": data}}
        case m.Composed():
            raise audit.refuse("messages.content", "a document made of parts has no counterpart")
        case source:
            return _media(source, "", audit)


def _media(source: m.Inline | m.Link | m.Stored, family: str, audit: Audit) -> dict[str, Any]:
    match source:
        case m.Inline():
            return {"inlineData": {"mimeType": source.media_type, "data": source.data}}
        case m.Link():
            file: dict[str, Any] = {"fileUri": source.url}
            kind = kind_of(source.url)
            if kind is not None and kind.startswith(family):
                file["mimeType"] = kind
            return {"fileData": file}
        case m.Stored():
            if audit.shape != NAME:
                raise audit.refuse("messages.content", "a file that was uploaded to one provider is not known to another")
            return {"fileData": {"fileUri": source.id}}


def _result(part: m.ToolResult, names: dict[str, str], audit: Audit) -> dict[str, Any]:
    name = names.get(part.call_id)
    if name is None:
        raise audit.refuse("messages.tool_call_id", "it answers no call of this conversation, and Gemini wants the function's name")
    texts = [p for p in part.parts if isinstance(p, m.Text)]
    rest = [p for p in part.parts if not isinstance(p, m.Text)]
    text = "\n".join(p.text for p in texts)
    out: dict[str, Any] = {"id": part.call_id, "name": name, "response": _response(text, part.failed)}
    media: list[Any] = []
    for one in rest:
        written = _part(one, audit)
        if not isinstance(written, dict) or "inlineData" not in written:
            raise audit.refuse("messages.content", "a function's result takes text and content that is sent along")
        media.append(written)
    if media:
        out["parts"] = media
    return {"functionResponse": out}


def _response(text: str, failed: bool) -> Any:
    if failed:
        return {"error": text}
    try:
        fields = _OBJECT.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {"output": text}
    # An object stands for itself, unless Google would take its only key for the frame.
    return {"output": text} if set(fields) in ({"output"}, {"error"}) else Raw(text.strip().encode())
