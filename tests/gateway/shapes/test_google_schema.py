"""Google's schemas as JSON Schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from penstock.gateway.shapes.google_schema import to_json_schema


@pytest.mark.parametrize(
    ("own", "plain"),
    [
        # https://ai.google.dev/api/caching#Schema
        ({"type": "STRING", "format": "enum", "enum": ["a"]}, {"type": "string", "format": "enum", "enum": ["a"]}),
        ({"type": "STRING", "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"type": "ARRAY", "items": {"type": "NUMBER"}, "max_items": "3"}, {"type": "array", "items": {"type": "number"}, "maxItems": 3}),
        ({"anyOf": [{"type": "INTEGER"}, {"type": "BOOLEAN"}]}, {"anyOf": [{"type": "integer"}, {"type": "boolean"}]}),
        ({"type": "TYPE_UNSPECIFIED", "description": "any"}, {"description": "any"}),
        (
            {"type": "OBJECT", "properties": {"type": {"type": "STRING"}, "snake_name": {"type": "STRING"}}, "property_ordering": ["type"]},
            {"type": "object", "properties": {"type": {"type": "string"}, "snake_name": {"type": "string"}}},
        ),
        ({"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^a"}),
    ],
    ids=str,
)
def test_the_same_schema_in_the_common_words(own: dict[str, Any], plain: dict[str, Any]) -> None:
    assert json.loads(bytes(to_json_schema(Raw(json.dumps(own).encode())))) == plain
