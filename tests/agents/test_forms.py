"""Forms made from schemas: which fields there are, what is read from them, and what is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.agents.forms import fields, read
from penstock.kernel.errors import RequestError

TEXT = {"type": "string"}


class Place(msgspec.Struct):
    """Where."""

    city: str


class Order(msgspec.Struct):
    """An order."""

    number: Annotated[str, msgspec.Meta(description="As on the invoice", max_length=20)]
    count: int
    speed: Literal["fast", "slow"]
    price: float = 1.5
    gift: bool = False
    place: Place | None = None
    note: str = ""


SCHEMA = msgspec.json.schema(Order)


def test_text_has_one_field() -> None:
    (field,) = fields(TEXT)
    assert (field.control, field.required) == ("area", True)
    assert read(TEXT, {"input": "two\r\nlines"}) == "two\nlines"


def test_an_object_has_a_field_for_each_property() -> None:
    found = {one.label: one for one in fields(SCHEMA)}
    assert {name: one.control for name, one in found.items()} == {
        "number": "text",
        "count": "number",
        "speed": "select",
        "price": "number",
        "gift": "checkbox",
        "place": "json",
        "note": "area",
    }
    assert (found["number"].help, found["number"].required, found["price"].required, found["price"].value) == (
        "As on the invoice",
        True,
        False,
        "1.5",
    )
    assert sorted(found["speed"].options) == ["fast", "slow"]


def test_what_is_written_is_of_the_type() -> None:
    form = {"input.number": "7", "input.count": "2", "input.speed": "fast", "input.gift": "on", "input.place": '{"city": "Ulm"}'}
    value = read(SCHEMA, form)
    assert msgspec.convert(value, Order) == Order("7", 2, "fast", gift=True, place=Place("Ulm"))
    assert "price" not in value


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ({"input.number": "7", "input.count": "two"}, "input.count"),
        ({"input.number": "7", "input.count": "2.5"}, "input.count"),
        ({"input.number": "7", "input.count": "2", "input.place": "{"}, "input.place"),
        ({"input.number": "7", "input.count": "2", "input.price": "dear"}, "input.price"),
    ],
)
def test_what_is_not_is_refused_at_its_field(form: dict[str, str], name: str) -> None:
    with pytest.raises(RequestError) as fault:
        read(SCHEMA, form)
    assert fault.value.param == name


@pytest.mark.parametrize(
    "schema", [{"type": "array", "items": {}}, {}, {"anyOf": [{"type": "object"}]}, {"type": "object"}, {"$ref": "#/$defs/x"}]
)
def test_whatever_is_not_simple_is_written_as_json(schema: dict[str, Any]) -> None:
    (field,) = fields(schema)
    assert field.control == "json"
    assert read(schema, {"input": "[1, 2]"}) == [1, 2]
    with pytest.raises(RequestError, match="this is not JSON"):
        read(schema, {"input": "[1,"})


def test_a_reference_in_a_circle_ends() -> None:
    assert fields({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}})[0].control == "json"


@given(
    st.builds(
        Order, number=st.text(max_size=20), count=st.integers(-(2**40), 2**40), speed=st.sampled_from(["fast", "slow"]), gift=st.booleans()
    )
)
def test_a_value_comes_back_through_its_form(order: Order) -> None:
    form = {
        "input.number": order.number,
        "input.count": str(order.count),
        "input.speed": order.speed,
        "input.gift": "on" if order.gift else "",
    }
    back = msgspec.convert(read(SCHEMA, form), Order)
    assert (back.count, back.speed, back.gift) == (order.count, order.speed, order.gift)
    assert back.number == order.number.replace("\r\n", "\n")
