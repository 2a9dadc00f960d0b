"""The stream of a stored response, told again."""

from __future__ import annotations

import json
from typing import Any

from penstock.responses.replay import replay

SAID: dict[str, Any] = {"type": "output_text", "text": "hi", "annotations": []}
RESPONSE: dict[str, Any] = {
    "id": "resp_ps1",
    "status": "completed",
    "usage": {"total_tokens": 3},
    "output": [
        {"id": "rs_1", "type": "reasoning", "summary": []},
        {"id": "msg_1", "type": "message", "status": "completed", "content": [SAID, {"type": "refusal", "refusal": "no"}]},
        {"id": "fc_1", "type": "function_call", "name": "look", "arguments": '{"a":1}', "status": "completed"},
        {"id": "ws_1", "type": "web_search_call", "status": "completed"},
    ],
}


def told(after: int = -1, response: dict[str, Any] = RESPONSE) -> list[dict[str, Any]]:
    return [json.loads(event.split(b"data: ")[1]) for event in replay(json.dumps(response).encode(), after)]


def test_every_item_begins_and_ends_and_texts_are_whole() -> None:
    events = told()
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == RESPONSE["output"]
    assert [event["delta"] for event in events if event["type"].endswith(".delta")] == ["hi", "no", '{"a":1}']
    begun, ended = events[0], events[-1]
    assert (begun["type"], begun["response"]["status"], begun["response"]["output"]) == ("response.created", "in_progress", [])
    assert (ended["type"], ended["response"]) == ("response.completed", RESPONSE)


def test_a_reader_goes_on_where_it_was() -> None:
    whole = told()
    for after in range(-1, len(whole)):
        assert told(after) == whole[after + 1 :]


def test_an_incomplete_one_says_so() -> None:
    assert told(response={"id": "x", "status": "incomplete", "output": []})[-1]["type"] == "response.incomplete"
