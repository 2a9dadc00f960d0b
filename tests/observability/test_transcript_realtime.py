from __future__ import annotations

from typing import Any

from penstock.observability.transcript_realtime import read_session


def read(*events: dict[str, Any], side: str = "server") -> list[tuple[str, list[tuple[str, str]]]]:
    found = read_session({"session": {"responses": 1}, "events": [{"from": side, "event": event} for event in events]})
    assert found.settings == {"responses": "1"}
    return [(turn.role, [(part.kind, part.text) for part in turn.parts]) for turn in found.turns]


def test_what_the_client_says() -> None:
    told = [
        {"type": "session.update", "session": {"instructions": "Be brief."}},
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        },
        {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "c", "output": "4"}},
        {"type": "response.create"},
    ]
    assert read(*told, side="client") == [
        ("system", [("text", "Be brief.")]),
        ("user", [("text", "Hi")]),
        ("tool", [("tool_result", "4")]),
    ]


def test_what_the_model_says() -> None:
    output = [
        {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": "Hello."}, {"type": "output_audio"}]},
        {"type": "function_call", "name": "f", "arguments": "{}"},
    ]
    assert read({"type": "response.done", "response": {"status": "completed", "output": output}}) == [
        ("assistant", [("text", "Hello."), ("audio", "")]),
        ("assistant", [("tool_call", "{}")]),
    ]
    assert read({"type": "response.done", "response": {"status": "cancelled", "status_details": {"reason": "turn_detected"}}}) == [
        ("assistant", [("other", '{"reason":"turn_detected"}')])
    ]


def test_sound_transcripts_and_errors() -> None:
    found = read_session(
        {
            "events": [
                {"from": "client", "event": {"type": "input_audio_buffer.commit"}, "audio": {"bytes": 9, "sha256_of_base64": "ab"}},
                {"from": "server", "event": {"type": "conversation.item.input_audio_transcription.completed", "transcript": "Hi"}},
                {"from": "server", "event": {"type": "error", "error": {"code": "c", "message": "no"}}},
                {"from": "server", "event": 7},
            ]
        }
    )
    assert [(turn.role, turn.parts[0].kind, turn.parts[0].text) for turn in found.turns] == [
        ("user", "audio", "9 bytes, SHA-256 of their base64 ab"),
        ("user", "text", "Hi"),
        ("error", "other", "no"),
    ]
