"""JSON by a schema."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.kernel.errors import RequestError
from penstock.quality.examples import Item
from penstock.quality.graders.schema import Schema

WANTED = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


async def test_answers() -> None:
    grader, item = Schema(WANTED), Item(id="a", input="?")
    told = {text: await grader.grade(item, text) for text in ('{"a": 1}', '```json\n{"a": 1}\n```', '{"a": "1"}', "a is 1", "[" * 5000)}
    assert [grade.score for grade in told.values()] == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert told['{"a": "1"}'].reason == "a: '1' is not of type 'integer'"
    target = Item(id="a", input="?", target='{"a": 2}')
    assert [(await grader.grade(target, text)).score for text in ('{"a":2}', '{"a": 1}')] == [1.0, 0.0]


@pytest.mark.parametrize("schema", [{"type": 3}, {"properties": {"a": {"pattern": "(a+)+$"}}}, {"patternProperties": {"a": {}}}])
def test_what_is_no_schema_or_may_never_end_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as refused:
        Schema(schema)
    assert refused.value.param == "judge.schema"


def test_a_field_may_be_named_pattern() -> None:
    Schema({"properties": {"pattern": {"type": "string"}}})


async def test_nothing_is_fetched() -> None:
    grade = await Schema({"$ref": "http://127.0.0.1:1/x.json"}).grade(Item(id="a", input="?"), "{}")
    assert grade.state == "unjudged"
    assert (await Schema({"$ref": "#"}).grade(Item(id="a", input="?"), "{}")).state == "unjudged"
