"""Recorded realtime sessions as people read them: what the gateway kept of the events, as turns."""

from __future__ import annotations

from penstock.observability.turns import JsonMap, Part, Transcript, Turn, as_map, as_maps, block_of, settings_of, text


def read_session(tree: JsonMap) -> Transcript:
    """A kept session, its figures as settings."""
    turns: list[Turn] = []
    for entry in as_maps(tree.get("events")):
        turns += _turns(as_map(entry.get("event")), as_map(entry.get("audio")), text(entry.get("from")))
    return Transcript(turns, settings=settings_of(as_map(tree.get("session"))))


def _turns(event: JsonMap, audio: JsonMap, side: str) -> list[Turn]:
    role = "user" if side == "client" else "assistant"
    match event.get("type"):
        case _ if audio:
            said = f"{text(audio.get('bytes'))} bytes, SHA-256 of their base64 {text(audio.get('sha256_of_base64'))}"
            return [Turn(role, [Part("audio", said)])]
        case "session.update":
            told = text(as_map(event.get("session")).get("instructions"))
            return [Turn("system", [Part("text", told)])] if told else []
        case "conversation.item.create":
            return [_item(as_map(event.get("item")))]
        case "conversation.item.input_audio_transcription.completed":
            return [Turn("user", [Part("text", text(event.get("transcript")))])]
        case "response.done":
            response = as_map(event.get("response"))
            turns = [_item(item) for item in as_maps(response.get("output"))]
            if response.get("status") not in ("completed", None):
                turns.append(Turn("assistant", [Part("other", text(response.get("status_details")), name=text(response.get("status")))]))
            return turns
        case "error" | "conversation.item.input_audio_transcription.failed":
            fault = as_map(event.get("error"))
            return [Turn("error", [Part("other", text(fault.get("message")), name=text(fault.get("code")))])]
        case _:
            return []


def _item(item: JsonMap) -> Turn:
    match item.get("type"):
        case "function_call":
            return Turn("assistant", [Part("tool_call", text(item.get("arguments")), text(item.get("name")), text(item.get("call_id")))])
        case "function_call_output":
            return Turn("tool", [Part("tool_result", text(item.get("output")), id=text(item.get("call_id")))])
        case _:
            return Turn(text(item.get("role")) or "assistant", [_part(part) for part in as_maps(item.get("content"))])


def _part(part: JsonMap) -> Part:
    if part.get("type") in ("audio", "input_audio", "output_audio"):
        # What was said, where somebody wrote it down; the sound itself is told beside it.
        return Part("text", text(part["transcript"])) if part.get("transcript") else Part("audio", text(part.get("audio")))
    return block_of(part)
