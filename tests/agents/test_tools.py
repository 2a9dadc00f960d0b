"""A tool is a plain function with a schema that follows from its types."""

from __future__ import annotations

import threading
from typing import Annotated, Any, Literal

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from penstock.agents import Permanent, Tool, ToolContext, tool
from penstock.agents.inbox.model import digest_of
from penstock.agents.tools import BadArguments

CONTEXT = ToolContext(key="run/call/1", attempt=1, run="run", organisation="org")


class Line(Struct):
    """One thing that was ordered."""

    article: str
    pieces: int = 1


@tool(effect="write")
async def order(lines: list[Line], speed: Annotated[Literal["slow", "fast"], Meta(description="How soon")] = "slow") -> int:
    """Order some
    things.

    Not told to models.
    """
    return sum(line.pieces for line in lines)


def test_the_schema_has_the_object_at_its_top() -> None:
    shown = order.shown()["function"]
    assert (shown["name"], shown["description"]) == ("order", "Order some things.")
    parameters = shown["parameters"]
    assert (parameters["type"], parameters["required"], parameters["additionalProperties"]) == ("object", ["lines"], False)
    assert parameters["properties"]["speed"] == {"description": "How soon", "enum": ["fast", "slow"], "default": "slow"}
    assert parameters["$defs"]["Line"]["properties"]["article"] == {"type": "string"}


async def test_it_is_still_the_function() -> None:
    assert await order([Line("a", 2), Line("b")]) == 3


async def test_arguments_come_as_their_types() -> None:
    given = order.arguments(b'{"lines": [{"article": "a"}]}')
    assert given == {"lines": [Line("a", 1)], "speed": "slow"}
    assert await order.perform(given, CONTEXT) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{", "truncated"),
        ("[]", "Expected `object`"),
        ('{"lines": 1}', r"Expected `array`, got `int` - at `\$.lines`"),
        ('{"lines": [], "urgent": true}', "unknown field `urgent`"),
        ('{"lines": [{"article": 7}]}', r"\$\.lines\[0\]\.article"),
        ("[" * 100_000, "are not as its schema says"),
    ],
)
def test_wrong_arguments_are_told_with_their_place(given: str, said: str) -> None:
    with pytest.raises(BadArguments, match=said):
        order.arguments(given)


async def test_the_context_is_given_and_not_asked_for() -> None:
    @tool
    def where(context: ToolContext) -> tuple[str, bool]:
        """Where it runs."""
        return context.key, threading.current_thread() is threading.main_thread()

    assert where.parameters["properties"] == {}
    # A function that is no coroutine function does not hold up the loop.
    assert await where.perform(where.arguments(""), CONTEXT) == ("run/call/1", False)


def test_what_cannot_be_told_to_a_model_is_refused_where_it_is_declared() -> None:
    def untyped(a) -> None: ...  # type: ignore[no-untyped-def]

    def many(*a: int) -> None: ...

    with pytest.raises(TypeError, match="'a' has no type"):
        tool(untyped)  # pyright: ignore
    with pytest.raises(TypeError, match=r"\*a: 'int'"):
        tool(many)
    with pytest.raises(ValueError, match="is no name for a tool"):
        Tool(order.function, effect="read", name="place an order")


SCHEMA = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/city"}, "days": {"type": "integer", "maximum": 7}},
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"city": {"type": "string", "minLength": 2}},
}


async def test_tool_of_a_schema() -> None:
    async def forecast(arguments: dict[str, Any], context: ToolContext) -> str:
        return f"{arguments['city']} for {context.organisation}"

    made = Tool.of_schema(forecast, SCHEMA, name="forecast", description="The weather.", effect="read", seconds=3.0)
    assert made.shown()["function"] == {"name": "forecast", "description": "The weather.", "parameters": SCHEMA}
    assert made.arguments('{"city": "Oslo", "days": 2}') == {"city": "Oslo", "days": 2}
    context = ToolContext(key="k", attempt=1, run="r", organisation="o")
    assert await made.perform(made.arguments({"city": "Oslo"}), context) == "Oslo for o"
    for wrong, said in (
        ("{", "cannot be read"),
        ('{"city": "x"}', r"\$.city"),
        ('{"days": 9, "city": "Oslo"}', r"\$.days"),
        ("[]", "object"),
    ):
        with pytest.raises(BadArguments, match=said):
            made.arguments(wrong)


def test_schemas_that_make_no_tool() -> None:
    async def nothing(arguments: dict[str, Any], context: ToolContext) -> None: ...

    for schema in ({"type": "string"}, {"type": "object", "properties": {"a": {"type": "nonsense"}}}):
        with pytest.raises(ValueError, match="x: "):
            Tool.of_schema(nothing, schema, name="x", description="", effect="read")
    far = Tool.of_schema(nothing, {"type": "object", "$ref": "http://127.0.0.1:1/x.json"}, name="x", description="", effect="read")
    with pytest.raises(BadArguments, match="cannot be read"):
        far.arguments("{}")


class Odd:
    """Nothing that JSON knows."""


def test_a_declaration_that_cannot_be_says_what_to_write() -> None:
    def untyped(number):  # type: ignore[no-untyped-def]
        """Look."""

    def odd(number: Odd) -> str:
        """Look."""
        return ""

    def later(number: Elsewhere) -> str:  # type: ignore[name-defined]  # noqa: F821
        """Look."""
        return ""

    for function, said in (
        (untyped, "untyped: the argument 'number' has no type; write one, as in `number: str`"),
        (odd, "odd: the argument 'number' is of a type that JSON cannot be read as: Odd; take str"),
        (later, "later: name 'Elsewhere' is not defined; its types must stand in its module"),
    ):
        with pytest.raises(TypeError, match=said):
            tool(function)
    with pytest.raises(ValueError, match="odd: its effect is 'read', 'write' or 'irreversible', not 'writes'"):
        Tool(odd, effect="writes")  # type: ignore[arg-type]


async def test_a_coroutine_is_waited_for_behind_a_decorator_and_missed_where_await_is_left_out() -> None:
    async def pay(cents: int) -> int:
        return cents

    def traced(cents: int) -> Any:
        return pay(cents)

    async def forgets(cents: int) -> Any:
        return pay(cents)

    assert await tool(traced).perform({"cents": 5}, CONTEXT) == 5
    with pytest.raises(Permanent, match=r"forgets returned a coroutine .* `await` is left out"):
        await tool(forgets).perform({"cents": 5}, CONTEXT)


async def test_what_is_unset_was_not_given() -> None:
    """JSON has no word for it: neither the digest of an approval nor the journal could hold it."""

    @tool(effect="write")
    async def move(order: str, note: str | UnsetType = UNSET) -> str:
        return f"{order} {note is UNSET}"

    given = move.arguments('{"order": "o-1"}')
    assert given == {"order": "o-1"}
    assert digest_of("run", "move", given) == digest_of("run", "move", {"order": "o-1"})
    assert await move.perform(given, CONTEXT) == "o-1 True"
    assert move.arguments({"order": "o-1", "note": "soon"}) == {"order": "o-1", "note": "soon"}
