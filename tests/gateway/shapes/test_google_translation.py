"""Any request that two of the shapes can both say goes from one to the other and back unchanged; any other is refused by a field's name."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.gateway.shapes import SHAPES, chat
from penstock.gateway.shapes.shape import ChatShape, Dialect
from penstock.kernel import messages as m
from penstock.kernel.errors import NotExpressible

CHAT, CLAUDE, GEMINI = (chat(SHAPES[name]) for name in ("openai.chat", "anthropic.messages", "google.generate"))
LEVELS = Dialect(thinking_levels=True)
QUICK = settings(max_examples=50, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
data = st.binary(min_size=1, max_size=9).map(lambda b: base64.b64encode(b).decode())
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | words,
    lambda v: st.lists(v, max_size=2) | st.dictionaries(words, v, max_size=2),
    max_leaves=4,
)
arguments = st.dictionaries(words, values, max_size=2)
schemas = st.just({"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}, "required": ["city"]})


def said(request: m.Request) -> dict[str, Any]:
    """What a request asks, however its shape cuts it into turns: what is said by whom, and every wish."""
    spoken: list[Any] = []
    for message in sorted(request.messages, key=lambda one: one.role not in ("system", "developer")):
        role = "system" if message.role == "developer" else message.role
        for part in message.parts:
            spoken.append((role, _plain(part)))
    s = request.sampling
    return {
        "spoken": [one for one in spoken if one[1] is not None],
        "tools": [
            (t.name, t.description, t.schema and json.loads(bytes(t.schema)), bool(t.strict))
            for t in request.tools
            if isinstance(t, m.Tool)
        ],
        "choice": request.tool_choice or m.ChooseAuto(),
        "format": _format(request.format),
        "sampling": (s.temperature, s.top_p, s.top_k, s.seed, s.stop, s.frequency_penalty, s.presence_penalty),
        "effort": request.reasoning.effort if request.reasoning is not None else None,
        "cap": request.max_output,
        "n": request.n,
        "logprobs": (request.logprobs, request.top_logprobs),
    }


def _plain(part: m.Part) -> Any:
    match part:
        case m.Text():
            return part.text or None
        case m.ToolCall():
            return part.id, part.name, json.loads(part.arguments or "{}")
        case m.ToolResult():
            text = "\n".join(p.text for p in part.parts if isinstance(p, m.Text))
            return part.call_id, _json(text), part.failed, [_plain(p) for p in part.parts if not isinstance(p, m.Text)]
        case m.File(source=m.Written() as source):
            return source.text or None
        case m.Image() | m.Audio() | m.Video() | m.File():
            return (part.source.media_type, part.source.data) if isinstance(part.source, m.Inline) else part.source
        case _:
            return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _format(format: Any) -> Any:
    if isinstance(format, m.SchemaFormat):
        return json.loads(bytes(format.schema))
    return None if isinstance(format, m.TextFormat) else format


def decoded(shape: ChatShape, body: dict[str, Any]) -> m.Request:
    return shape.decode_request(shape.read(json.dumps(body).encode())[0])


def names(value: Any) -> set[str]:
    """Every field's name in a body."""
    if isinstance(value, dict):
        return {name for key, one in value.items() for name in {key, *names(one)}}
    return {name for one in value for name in names(one)} if isinstance(value, list) else set()


def there_and_back(start: ChatShape, body: dict[str, Any], other: ChatShape) -> None:
    first = decoded(start, body)
    refused: NotExpressible | None = None
    back: dict[str, Any] = {}
    try:
        sent = json.loads(other.encode_request(first, model="m", stream=False, dialect=LEVELS))
        back = json.loads(start.encode_request(decoded(other, sent), model="m", stream=False, dialect=LEVELS))
    except NotExpressible as fault:
        refused = fault
    if refused is not None:
        assert refused.param is not None
        known = names(body) | {"messages", "content", "context", "citations", "max_tokens", "response_format", "tool_choice"}
        assert any(name in known for name in refused.param.replace("[", ".").split(".")), refused
        return
    # What is left out is left out by name, and only wishes are.
    assert set(first.dropped) <= WISHES, first.dropped
    before, after = said(first), said(decoded(start, back))
    if "messages.content.is_error" in first.dropped:
        before, after = (json.loads(json.dumps(one, default=str).replace(", true, []]", ", false, []]")) for one in (before, after))
    if before["cap"] is None and CLAUDE in (start, other):
        del before["cap"], after["cap"]  # Anthropic demands one
    if CLAUDE in (start, other):
        del before["effort"], after["effort"]  # words there, tokens here
    assert after == before


WISHES = {"user", "metadata", "seed", "image_url.detail", "file.filename", "safetySettings", "messages.name", "prompt_cache_key", "store"}
WISHES |= {"messages.content.is_error", "max_tokens (absent, 4096 was sent)", "generationConfig.seed", "contents.parts.thought"}
WISHES |= {"safety_identifier", "verbosity", "service_tier", "messages.reasoning"}


@st.composite
def chats(draw: st.DrawFn) -> dict[str, Any]:
    """A request in OpenAI's words."""
    media = st.sampled_from(["image/png", "image/jpeg"]).flatmap(
        lambda kind: data.map(lambda one: {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{one}"}})
    )
    link = st.just({"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}})
    sound = data.map(lambda one: {"type": "input_audio", "input_audio": {"data": one, "format": "mp3"}})
    file = data.map(lambda one: {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{one}", "filename": "a.pdf"}})
    parts = st.lists(words.map(lambda t: {"type": "text", "text": t}) | media | link | sound | file, min_size=1, max_size=3)
    messages: list[dict[str, Any]] = [{"role": "system", "content": draw(words)}] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": draw(words | parts)})
        calls = [
            {
                "id": f"t{turn}{n}",
                "type": "function",
                "function": {"name": draw(st.sampled_from("fg")), "arguments": json.dumps(draw(arguments))},
            }
            for n in range(draw(st.integers(0, 2)))
        ]
        if calls:
            messages.append({"role": "assistant", "content": draw(st.none() | words), "tool_calls": calls})
            messages += [{"role": "tool", "tool_call_id": c["id"], "content": draw(words | arguments.map(json.dumps))} for c in calls]
    messages.append({"role": "user", "content": draw(words)})
    optional = {
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "max_tokens": st.integers(0, 900),
        "stop": st.lists(words, min_size=1, max_size=2),
        "seed": st.integers(0, 99),
        "n": st.integers(1, 3),
        "presence_penalty": st.floats(-2, 2),
        "frequency_penalty": st.floats(-2, 2),
        "logprobs": st.booleans(),
        "top_logprobs": st.integers(0, 5),
        "logit_bias": st.just({"5": 1}),
        "reasoning_effort": st.sampled_from(["minimal", "low", "medium", "high"]),
        "user": words,
        "metadata": st.just({"a": "b"}),
        "response_format": st.just({"type": "json_object"})
        | st.just({"type": "text"})
        | schemas.map(lambda s: {"type": "json_schema", "json_schema": {"name": "x", "schema": s}}),
        "made_up": st.just({"x": 1}),
        "parallel_tool_calls": st.booleans(),
    }
    body: dict[str, Any] = {"model": "m", "messages": messages}
    for name in draw(st.lists(st.sampled_from(sorted(optional)), max_size=5, unique=True)):
        body[name] = draw(optional[name])
    if draw(st.booleans()):
        strict = draw(st.booleans())
        described = {"description": "It.", "parameters": draw(schemas), **({"strict": True} if strict else {})}
        body["tools"] = [{"type": "function", "function": {"name": name, **described}} for name in "fg"]
        named = {"type": "function", "function": {"name": "f"}}
        body["tool_choice"] = draw(st.sampled_from(["auto", "none", "required", named]) if not strict else st.just("auto"))
    return body


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    """A request in Google's words."""
    snake = draw(st.booleans())
    inline = st.sampled_from(["image/png", "audio/wav", "video/mp4", "application/pdf", "text/plain"]).flatmap(
        lambda kind: data.map(lambda one: {"inlineData": {"mimeType": kind, "data": one}})
    )
    link = st.just({"fileData": {"fileUri": "https://example.org/a.png", "mimeType": "image/png"}})
    stored = st.just({"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x", "mimeType": "image/png"}})
    odd = st.just({"executableCode": {"language": "PYTHON", "code": "1"}}) | st.just({"text": "x", "partMetadata": {"a": 1}})
    text = words.map(lambda t: {"text": t})
    turns: list[dict[str, Any]] = []
    for turn in range(draw(st.integers(1, 3))):
        part = text | text | inline | link
        turns.append({"role": "user", "parts": draw(st.lists(part | stored | odd if turn == 2 else part, min_size=1, max_size=3))})
        ids = [{"id": f"t{turn}{n}"} for n in range(draw(st.integers(0, 2)))]
        if ids:
            calls = [{"functionCall": {**id, "name": "f", "args": draw(arguments)}} for id in ids]
            results = [{"functionResponse": {**id, "name": "f", "response": draw(responses)}} for id in ids]
            turns += [{"role": "model", "parts": [*draw(st.lists(text, max_size=1)), *calls]}, {"role": "user", "parts": results}]
    turns.append({"role": "user", "parts": [{"text": draw(words)}]})
    optional = {
        "temperature": st.floats(0, 2),
        "topP": st.floats(0, 1),
        "topK": st.integers(1, 40),
        "maxOutputTokens": st.integers(1, 900),
        "stopSequences": st.lists(words, min_size=1, max_size=2),
        "candidateCount": st.integers(1, 3),
        "presencePenalty": st.floats(-2, 2),
        "responseMimeType": st.sampled_from(["application/json", "text/plain", "text/x.enum"]),
        "speechConfig": st.just({"languageCode": "de"}),
        "responseModalities": st.sampled_from([["TEXT"], ["IMAGE"]]),
        "thinkingConfig": st.sampled_from(["minimal", "low", "medium", "high"]).map(lambda level: {"thinkingLevel": level}),
    }
    config = {name: draw(optional[name]) for name in draw(st.lists(st.sampled_from(sorted(optional)), max_size=4, unique=True))}
    body: dict[str, Any] = {"contents": turns}
    if draw(st.booleans()):
        body["system_instruction" if snake else "systemInstruction"] = {"parts": [{"text": draw(words)}]}
    if config:
        body["generation_config" if snake else "generationConfig"] = config
    if draw(st.booleans()):
        body["tools"] = [{"functionDeclarations": [{"name": "f", "description": "It.", "parametersJsonSchema": draw(schemas)}]}]
        body["tools"] += draw(st.sampled_from([[], [], [{"googleSearch": {}}]]))
        body["toolConfig"] = {"functionCallingConfig": {"mode": draw(st.sampled_from(["AUTO", "ANY", "NONE"]))}}
    if draw(st.booleans()):
        threshold = draw(st.sampled_from(["BLOCK_NONE", "OFF", "BLOCK_LOW_AND_ABOVE"]))
        body["safetySettings"] = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": threshold}]
    if draw(st.integers(0, 9)) == 0:
        body["cachedContent"] = "cachedContents/x"
    return body


responses = words.map(lambda t: {"output": t}) | words.map(lambda t: {"error": t}) | arguments


@QUICK
@given(chats())
def test_from_openais_words_and_back(body: dict[str, Any]) -> None:
    there_and_back(CHAT, body, GEMINI)


@QUICK
@given(contents(), st.sampled_from([CHAT, CLAUDE]))
def test_from_googles_words_and_back(body: dict[str, Any], other: ChatShape) -> None:
    there_and_back(GEMINI, body, other)


@QUICK
@given(chats())
def test_from_anthropics_words_and_back(body: dict[str, Any]) -> None:
    try:
        claude = json.loads(CLAUDE.encode_request(decoded(CHAT, body), model="m", stream=False))
    except NotExpressible:
        return
    there_and_back(CLAUDE, claude, GEMINI)


@QUICK
@given(contents())
def test_in_googles_own_words_nothing_changes(body: dict[str, Any]) -> None:
    first = decoded(GEMINI, body)
    again = json.loads(GEMINI.encode_request(first, model="m", stream=False, dialect=LEVELS))
    assert said(decoded(GEMINI, again)) == said(first)
    assert {n for n in first.extra if n != "safetySettings"} <= set(decoded(GEMINI, again).extra)
