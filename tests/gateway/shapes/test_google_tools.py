"""Tools as Google's guide to function calling declares, chooses and answers them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.shapes.google import GEMINI, asked


def test_function_calling_from_declaration_to_result() -> None:
    # https://ai.google.dev/gemini-api/docs/function-calling: the weather example, with Google's own schema and without ids.
    declared = {
        "name": "get_current_temperature",
        "description": "Gets the current temperature for a given location.",
        "parameters": {
            "type": "OBJECT",
            "properties": {
                "location": {"type": "STRING", "nullable": True},
                "days": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
            },
            "required": ["location"],
            "propertyOrdering": ["location", "days"],
        },
    }
    call = {"functionCall": {"name": "get_current_temperature", "args": {"location": "London"}}}
    result = {"functionResponse": {"name": "get_current_temperature", "response": {"temperature": 15}}}
    out = asked(
        {
            "contents": [
                {"role": "user", "parts": [{"text": "What's the temperature in London?"}]},
                {"role": "model", "parts": [call, call]},
                {
                    "role": "user",
                    "parts": [result, {"functionResponse": {"name": "get_current_temperature", "response": {"error": "no idea"}}}],
                },
            ],
            "tools": [{"functionDeclarations": [declared]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_current_temperature"]}},
        }
    )
    assert out["tools"][0]["function"]["parameters"] == {
        "type": "object",
        "properties": {"location": {"type": ["string", "null"]}, "days": {"type": "array", "items": {"type": "integer"}, "minItems": 1}},
        "required": ["location"],
    }
    assert out["tool_choice"] == {"type": "function", "function": {"name": "get_current_temperature"}}
    _, called, first, second = out["messages"]
    ids = [one["id"] for one in called["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(one["tool_call_id"], one["content"]) for one in (first, second)] == [(ids[0], '{"temperature": 15}'), (ids[1], "no idea")]


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "AUTO"}, "auto"),
        ({"mode": "NONE"}, "none"),
        ({"mode": "ANY"}, "required"),
        (
            {"mode": "ANY", "allowed_function_names": ["a", "b"]},
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "b"}}],
                },
            },
        ),
    ],
    ids=str,
)
def test_calling_modes(config: dict[str, Any], choice: Any) -> None:
    # https://ai.google.dev/gemini-api/docs/function-calling#function_calling_modes
    tools = [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}]
    body = {"contents": [], "tools": tools, "toolConfig": {"functionCallingConfig": config}}
    assert asked(body)["tool_choice"] == choice
    again = asked(body, GEMINI)["toolConfig"]["functionCallingConfig"]
    assert again["mode"] == config["mode"]
