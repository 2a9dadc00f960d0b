"""Gemini's requests as Google's guides write them, for providers of other shapes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.shapes.google import CLAUDE, asked

from penstock.kernel.errors import NotExpressible


def test_a_request_as_the_guide_writes_it_with_underscores_and_a_bare_part() -> None:
    # https://ai.google.dev/gemini-api/docs/text-generation (system instructions, REST): one object where a list belongs.
    out = asked(
        {
            "system_instruction": {"parts": {"text": "You are a cat. Your name is Neko."}},
            "contents": [{"parts": [{"text": "Hello there"}]}],
            "generationConfig": {"stopSequences": ["Title"], "temperature": 1.0, "maxOutputTokens": 800, "topP": 0.8, "topK": 10},
        }
    )
    assert out["messages"] == [
        {"role": "system", "content": "You are a cat. Your name is Neko."},
        {"role": "user", "content": "Hello there"},
    ]
    assert (out["stop"], out["temperature"], out["max_tokens"], out["top_p"], out["top_k"]) == (["Title"], 1.0, 800, 0.8, 10)


def test_inline_and_uploaded_files() -> None:
    # https://ai.google.dev/gemini-api/docs/image-understanding and /files: inline_data, and file_data of the Files API.
    image = {"inline_data": {"mime_type": "image/jpeg", "data": "_9j-4A"}}
    parts = asked({"contents": [{"parts": [image, {"text": "Caption this image."}]}]})["messages"][0]["content"]
    assert parts[0] == {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j+4A=="}}, "others take no URL-safe base64"
    uploaded = {"file_data": {"mime_type": "image/png", "file_uri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}
    with pytest.raises(NotExpressible, match="uploaded"):
        asked({"contents": [{"parts": [uploaded]}]}, CLAUDE)
    public = {"file_data": {"mime_type": "image/png", "file_uri": "https://example.org/a.png"}}
    assert asked({"contents": [{"parts": [public]}]}, CLAUDE)["messages"][0]["content"][0]["source"] == {
        "type": "url",
        "url": "https://example.org/a.png",
    }


def test_structured_output_in_both_kinds_of_schema() -> None:
    # https://ai.google.dev/gemini-api/docs/structured-output
    own = {"type": "ARRAY", "items": {"type": "OBJECT", "properties": {"recipeName": {"type": "STRING"}}}}
    plain = {"type": "array", "items": {"type": "object", "properties": {"recipeName": {"type": "string"}}}}
    for given in ({"responseSchema": own}, {"responseJsonSchema": plain}, {"response_schema": own}):
        config = {"responseMimeType": "application/json", **given}
        out = asked({"contents": [{"parts": [{"text": "List some."}]}], "generationConfig": config})
        assert out["response_format"]["json_schema"]["schema"] == plain
    assert asked({"contents": [], "generationConfig": {"responseMimeType": "application/json"}})["response_format"] == {
        "type": "json_object"
    }
    with pytest.raises(NotExpressible, match="responseMimeType"):
        asked({"contents": [], "generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING"}}})


@pytest.mark.parametrize(
    ("config", "wish"),
    [
        ({"thinkingBudget": 1024}, "low"),
        ({"thinkingBudget": 0}, "none"),
        ({"thinkingBudget": -1}, "medium"),
        ({"thinkingLevel": "HIGH"}, "high"),
    ],
    ids=str,
)
def test_how_much_to_think(config: dict[str, Any], wish: str) -> None:
    # https://ai.google.dev/gemini-api/docs/thinking: a budget for 2.5 (0: off, -1: dynamic), a level for 3
    assert asked({"contents": [], "generationConfig": {"thinkingConfig": config}})["reasoning_effort"] == wish
