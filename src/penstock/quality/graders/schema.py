"""The answer is JSON that a schema describes; where the item has a target that is JSON, it is that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import msgspec

from penstock.kernel.errors import RequestError
from penstock.quality.examples import Item
from penstock.quality.graders.grade import Grade, judged, unjudged

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
MOST_CHARACTERS = 200_000


class Schema:
    """Checks against JSON Schema (draft 2020-12 unless the schema names another)."""

    name = "json_schema"
    compares = False

    def __init__(self, schema: dict[str, Any]) -> None:
        self._validator, self._unresolvable = validator(schema)

    async def grade(self, item: Item, answer: str, against: str | None = None) -> Grade:
        """1 where the whole answer, or the one fenced block that it consists of, is valid (and equal to a target in JSON), else 0."""
        fenced = _FENCE.match(answer)
        text = fenced[1] if fenced is not None else answer
        if len(text) > MOST_CHARACTERS:
            return judged(0.0, f"longer than {MOST_CHARACTERS} characters")
        try:
            told = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return judged(0.0, "not JSON")
        try:
            wrong = next(iter(self._validator.iter_errors(told)), None)
        except (self._unresolvable, RecursionError) as fault:
            return unjudged(f"the schema cannot be followed: {fault}"[:200])
        if wrong is not None:
            where = "/".join(str(step) for step in wrong.absolute_path)
            return judged(0.0, f"{where or 'the whole'}: {wrong.message[:200]}")
        wanted = [found for target in item.targets for found in _json(target)]
        if wanted and told not in wanted:
            return judged(0.0, "valid, but not the target")
        return judged(1.0)


def validator(schema: dict[str, Any]) -> tuple[Validator, type[Exception]]:
    """A validator, and what it raises for a reference that leads nowhere.

    Raises `RequestError` for what is no schema, and for patterns: Python's matcher could be kept busy for ever by one.
    """
    # Takes long to import, and one kind of judge needs it.
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    if _has_pattern(schema):
        raise RequestError("judge.schema: 'pattern' and 'patternProperties' are not taken", param="judge.schema")
    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
    except SchemaError as fault:
        raise RequestError(f"judge.schema: {fault.message[:300]}", param="judge.schema") from None
    # Without an empty registry, a reference to an address would be fetched from it.
    return kind(schema, registry=Registry()), Unresolvable


def _has_pattern(tree: Any, *, names: bool = False) -> bool:
    """Whether a pattern stands somewhere; ``names`` says that the keys of ``tree`` are somebody's words."""
    if isinstance(tree, dict):
        held = cast("dict[str, Any]", tree)
        if not names and not {"pattern", "patternProperties"}.isdisjoint(held):
            return True
        return any(_has_pattern(value, names=not names and key in ("properties", "$defs", "definitions")) for key, value in held.items())
    return isinstance(tree, list) and any(_has_pattern(value) for value in cast("list[Any]", tree))


def _json(text: str) -> list[Any]:
    try:
        return [msgspec.json.decode(text)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


__all__ = ["Schema", "validator"]
