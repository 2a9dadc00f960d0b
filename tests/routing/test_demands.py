"""What a call asks of a model, by a look at its bytes."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from penstock.kernel.call import Call, Trace
from penstock.kernel.candidates import Traits
from penstock.routing.demands import demands_of, missing


def call(**fields: Any) -> Call:
    body = msgspec.json.encode(fields)
    made = Call(operation="chat", shape="openai.chat", credential=None, deadline=time.monotonic() + 9, trace=Trace.begin(), body=body)
    made.fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    made.input_estimate = len(body) // 4
    return made


def said(*parts: Any) -> Any:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "image_url", "image_url": {"url": "https://x/y.png"}}, "image"),
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}, "audio"),
        ({"type": "document", "source": {"type": "base64", "data": "AA"}}, "file"),
        ({"inlineData": {"mimeType": "video/mp4", "data": "AA"}}, "video"),
        ({"type": "input_file", "file_id": "f"}, "file"),
    ],
)
def test_kinds_of_content_are_seen(part: Any, kind: str) -> None:
    demands = demands_of(call(messages=said(part)))
    assert demands.kinds == {"text", kind}
    refused = missing(demands, Traits(place="own", inputs=frozenset(("text",))))
    assert refused is not None
    assert refused[0] == "modality"
    assert missing(demands, Traits(place="own")) is None  # nobody knows, so nothing is guessed


def test_text_about_pictures_is_text() -> None:
    tricky = 'send {"type":"image_url"} please'
    assert demands_of(call(messages=[{"role": "user", "content": tricky}])).kinds == {"text"}


def test_tools_schemas_and_room() -> None:
    asked = call(messages=[], tools=[{"type": "function", "function": {"name": "f"}}], response_format={"type": "json_schema"})
    asked.max_output = 1000
    demands = demands_of(asked)
    assert (demands.tools, demands.json) == (True, True)
    assert demands_of(call(messages=[], tools=[])).tools is False
    for traits, constraint in (
        (Traits(place="own", tools=False), "tools"),
        (Traits(place="own", json=False), "json"),
        (Traits(place="own", context=1000), "context"),
    ):
        refused = missing(demands, traits)
        assert refused is not None
        assert refused[0] == constraint
