"""Prompts and replies as turns, and as messages that the playground takes."""

from __future__ import annotations

import json

from tests.observability.traces.spans import messages

from penstock.observability.traces.conversation import as_turns, last_said, replay

TALK = json.dumps(
    [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Look"}, {"type": "image", "uri": "data:image/png;base64,AAAA"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "find", "arguments": {"q": 1}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": {"n": 2}}]},
        {"role": "user", "parts": [{"type": "text", "content": "And?"}]},
    ]
)


def test_messages_become_turns() -> None:
    found = as_turns(TALK)
    assert found is not None
    said = [(turn.role, part.kind, part.text or part.media, part.name) for turn in found.turns for part in turn.parts]
    assert said == [
        ("system", "text", "Be brief.", ""),
        ("user", "text", "Look", ""),
        ("user", "image", "data:image/png;base64,…", ""),
        ("assistant", "tool_call", '{"q":1}', "find"),
        ("tool", "tool_result", '{"n":2}', ""),
        ("user", "text", "And?", ""),
    ]


def test_what_is_no_conversation_is_none() -> None:
    assert as_turns("plain words") is None
    assert as_turns("[1, 2") is None
    assert as_turns('{"city": "Delft"}') is None


def test_who_said_what_last() -> None:
    assert last_said(TALK, "user") == "And?"
    assert last_said("plain", "user") == "plain"
    assert last_said(messages(("user", "a")), "assistant") == ""


def test_a_call_is_made_again_with_its_words_and_says_what_is_left_out() -> None:
    found = replay("m", TALK, {"gen_ai.request.temperature": 0.5, "gen_ai.request.max_tokens": 100})
    assert found.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Look"},
        {"role": "user", "content": "And?"},
    ]
    assert (found.temperature, found.max_tokens) == (0.5, 100)
    assert found.left_out == ["1 image", "1 tool call", "1 tool result"]
    assert replay("m", "plain", {}).messages == [{"role": "user", "content": "plain"}]
