"""Bodies of Gemini's API as people read them; see `transcript`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import msgspec

from penstock.observability.turns import JsonMap, Part, Transcript, Turn, as_map, as_maps, settings_of, text

_SNAKE = re.compile(r"_([a-z])")
_CONTENT = ("text", "inlineData", "fileData", "functionCall", "functionResponse")


def request(tree: JsonMap) -> Transcript:
    """The contents that were sent, with the instruction before them."""
    tree = _named(tree)
    instruction = as_map(tree.get("systemInstruction"))
    turns = [Turn("system", _parts(instruction))] if instruction else []
    turns += [_turn(_named(one)) for one in _several(tree.get("contents"))]
    tools = [name for tool in map(_named, _several(tree.get("tools"))) for name in _tools(tool)]
    settings = settings_of(tree, "contents", "systemInstruction", "tools", "generationConfig")
    return Transcript(turns, tools=tools, settings={**settings, **settings_of(_named(as_map(tree.get("generationConfig"))))})


def count(tree: JsonMap) -> Transcript:
    """What was to be counted."""
    inner = as_map(_named(tree).get("generateContentRequest"))
    return request(inner or tree)


def embedding(tree: JsonMap) -> Transcript:
    """The text that was to be embedded."""
    tree = _named(tree)
    return Transcript([Turn("user", _parts(as_map(tree.get("content"))))], settings=settings_of(tree, "content"))


def embeddings(tree: JsonMap) -> Transcript:
    """The texts that were to be embedded."""
    return Transcript([turn for one in as_maps(tree.get("requests")) for turn in embedding(one).turns])


def reply(tree: JsonMap) -> Transcript:
    """What came back: a turn for each candidate, or why there is none."""
    candidates = as_maps(tree.get("candidates"))
    finish = ", ".join(text(one.get("finishReason")) for one in candidates if one.get("finishReason"))
    turns = [Turn("assistant", _parts(as_map(one.get("content")))) for one in candidates]
    return Transcript(turns, finish or text(as_map(tree.get("promptFeedback")).get("blockReason")))


def stream(events: Iterator[bytes]) -> Transcript | None:
    """The events of a stream put together; None when there was none."""
    turns: dict[object, Turn] = {}
    finish = ""
    seen = False
    for data in events:
        tree: object = msgspec.json.decode(data)
        if not isinstance(tree, dict):
            continue
        told = reply(cast("JsonMap", tree))
        seen = seen or "candidates" in tree or "promptFeedback" in tree
        finish = told.finish or finish
        for one, turn in zip(as_maps(cast("JsonMap", tree).get("candidates")), told.turns, strict=True):
            grown = turns.setdefault(one.get("index", 0), Turn("assistant", []))
            for part in turn.parts:
                _add(grown.parts, part)
    return Transcript(list(turns.values()), finish) if seen else None


def _add(parts: list[Part], part: Part) -> None:
    last = parts[-1] if parts else None
    if last is not None and last.kind == part.kind and part.kind in ("text", "reasoning"):
        last.text += part.text
    elif part.text or part.kind not in ("text", "reasoning"):
        parts.append(part)


def _turn(content: JsonMap) -> Turn:
    role = text(content.get("role")) or "user"
    return Turn("assistant" if role == "model" else role, _parts(content))


def _parts(content: JsonMap) -> list[Part]:
    return [_part(_named(one)) for one in _several(content.get("parts"))]


def _part(part: JsonMap) -> Part:
    kind = next((name for name in _CONTENT if name in part), "")
    inner = _named(as_map(part.get(kind)))
    match kind:
        case "text":
            return Part("reasoning" if part.get("thought") is True else "text", text(part.get("text")))
        case "functionCall":
            return Part("tool_call", text(inner.get("args")), text(inner.get("name")), text(inner.get("id")))
        case "functionResponse":
            return Part("tool_result", text(inner.get("response")), text(inner.get("name")), text(inner.get("id")))
        case "inlineData" | "fileData":
            media = text(inner.get("mimeType"))
            family = media.partition("/")[0]
            return Part(family if family in ("image", "audio") else "file", media=text(inner.get("fileUri")) or media)
        case _:
            return Part("other", text(part), name=next(iter(part), ""))


def _tools(tool: JsonMap) -> list[str]:
    functions = [text(one.get("name")) for one in _several(tool.get("functionDeclarations"))]
    return functions + [name for name in tool if name != "functionDeclarations"]


def _named(tree: JsonMap) -> JsonMap:
    # Fields go by two names in this API.
    return {_SNAKE.sub(lambda found: found[1].upper(), name): value for name, value in tree.items()}


def _several(value: object) -> list[JsonMap]:
    return [cast("JsonMap", value)] if isinstance(value, dict) else as_maps(value)
