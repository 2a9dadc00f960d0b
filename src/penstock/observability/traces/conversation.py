"""What is stored of prompts and replies as turns that people read, and as messages that the playground takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.observability.otlp import messages
from penstock.observability.otlp.messages import is_dictionary, is_list
from penstock.observability.turns import Part, Transcript, Turn, media_of, text

_KINDS = {"tool_call_response": "tool_result", "blob": "file", "uri": "file", "document": "file", "image_url": "image"}
MOST_TURNS = 500


def as_turns(said: str) -> Transcript | None:
    """The turns of a stored prompt or reply; None where it is not messages."""
    if said[:1] not in ("[", "{"):
        return None
    found = messages.read(messages.decoded(said))
    if not found:
        return None
    finish = next((str(one["finish_reason"]) for one in reversed(found) if one.get("finish_reason")), "")
    return Transcript([Turn(text(one.get("role")) or "user", _parts(one.get("parts"))) for one in found[:MOST_TURNS]], finish)


def last_said(said: str, role: str) -> str:
    """The text that ``role`` says last; all of it where it is no messages."""
    found = as_turns(said)
    if found is None:
        return said
    for turn in reversed(found.turns):
        words = "\n".join(part.text for part in turn.parts if part.kind in ("text", "refusal") and part.text)
        if turn.role == role and words:
            return words
    return ""


class Replay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call as the playground takes it: the model, the messages in the shape of chat completions, and settings of the answer.

    ``left_out`` says what of the call could not be taken along.
    """

    model: str
    messages: list[dict[str, str]]
    temperature: float | None = None
    max_tokens: int | None = None
    left_out: list[str] = []


def replay(model: str, said: str, attributes: dict[str, Any]) -> Replay:
    """A call that was stored, to be made again. The playground takes text: what is none is told in ``left_out``."""
    found = as_turns(said)
    made: list[dict[str, str]] = []
    lost: dict[str, int] = {}
    for turn in found.turns if found is not None else [Turn("user", [Part("text", said)])]:
        words = [part.text for part in turn.parts if part.kind == "text" and part.text]
        for part in turn.parts:
            if part.kind != "text":
                lost[part.kind] = lost.get(part.kind, 0) + 1
        role = {"developer": "system"}.get(turn.role, turn.role)
        if words and role in ("system", "user", "assistant"):
            made.append({"role": role, "content": "\n".join(words)})
    left = [f"{count} {kind.replace('_', ' ')}{'s' if count > 1 else ''}" for kind, count in sorted(lost.items())]
    temperature, most = _number(attributes.get("gen_ai.request.temperature")), _number(attributes.get("gen_ai.request.max_tokens"))
    return Replay(
        model=model, messages=made, temperature=temperature, max_tokens=int(most) if most is not None and most >= 1 else None, left_out=left
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _parts(given: object) -> list[Part]:
    found: Sequence[Any] = given if is_list(given) else []
    return [_part(one) for one in found if is_dictionary(one)]


def _part(given: dict[str, Any]) -> Part:
    kind = text(given.get("type"))
    name, id = text(given.get("name")), text(given.get("id"))
    match kind:
        case "text" | "refusal" | "reasoning":
            return Part(kind, text(given.get("content")))
        case "tool_call":
            return Part(kind, text(given.get("arguments")), name, id)
        case "tool_call_response":
            return Part("tool_result", text(given.get("response")), name, id)
        case _:
            where = text(given.get("uri") or given.get("url") or given.get("mime_type") or given.get("media_type"))
            shown = _KINDS.get(kind, kind)
            known = shown in ("image", "audio", "file", "video")
            return Part(shown if known else "other", "" if known else text(given), name or ("" if known else kind), id, media_of(where))
