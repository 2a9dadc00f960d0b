from __future__ import annotations

import json
from typing import Any

import msgspec

from penstock.observability.out.talk import payload_of
from penstock.observability.payloads import Entry, Side


def talk(request: Any, reply: Any, shape: str = "openai.chat") -> tuple[Any, Any]:
    found = payload_of(shape, Entry("c", Side(json.dumps(request).encode()), Side(json.dumps(reply).encode())))
    assert found is not None
    return msgspec.json.decode(found.input), msgspec.json.decode(found.output)


def test_tools_and_pictures_are_parts() -> None:
    wanted = {"id": "1", "function": {"name": "weather", "arguments": '{"city": "Delft"}'}}
    asked, told = talk(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "http://i/1.png"}}],
                },
                {"role": "assistant", "tool_calls": [wanted]},
                {"role": "tool", "tool_call_id": "1", "content": "rain"},
            ]
        },
        {"choices": [{"message": {"role": "assistant", "reasoning_content": "Hm.", "content": "Rain."}, "finish_reason": "stop"}]},
    )
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "tool"]
    assert asked[1]["parts"][1] == {"type": "uri", "modality": "image", "uri": "http://i/1.png"}
    assert asked[2]["parts"] == [{"type": "tool_call", "id": "1", "name": "weather", "arguments": {"city": "Delft"}}]
    assert asked[3]["parts"] == [{"type": "tool_call_response", "id": "1", "response": "rain"}]
    assert told == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "Hm."}, {"type": "text", "content": "Rain."}],
            "finish_reason": "stop",
        }
    ]


def test_what_cannot_be_read_is_sent_as_it_was_kept() -> None:
    found = payload_of("openai.chat", Entry("c", Side(b'{"messages": [{"role": "us', cut=True), Side(b"")))
    assert found is not None
    assert (found.input, found.output) == ('{"messages": [{"role": "us', "")
    assert payload_of("openai.chat", Entry("c", Side(), Side())) is None
