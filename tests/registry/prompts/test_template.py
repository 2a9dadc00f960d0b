"""A template puts values in once, and says precisely what is wrong with those that do not fit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kernel.errors import BodyTooLarge, RequestError
from penstock.registry.prompts.model import Message, Variable
from penstock.registry.prompts.template import LARGEST, Template


def one(text: str, **variables: Variable) -> Template:
    return Template((Message("user", text),), variables)


def said(template: Template, **values: Any) -> str:
    (message,) = template.render(values)
    return message.content


@given(st.text(), st.text())
def test_a_value_is_never_a_template(first: str, second: str) -> None:
    template = one("<{{a}}|{{ b }}>", a=Variable(), b=Variable())
    assert said(template, a=first, b=second) == f"<{first}|{second}>"
    assert said(template, a="{{b}}", b="{{a}}") == "<{{b}}|{{a}}>"


@given(st.text())
def test_text_without_braces_is_itself(text: str) -> None:
    plain = "x" + text.replace("{{", "{ {")
    assert said(one(plain)) == plain


def test_an_escaped_brace_is_a_brace() -> None:
    assert said(one(r"\{{a}} is {{a}}", a=Variable()), a="7") == "{{a}} is 7"


@pytest.mark.parametrize(
    ("type", "value", "text"),
    [
        ("string", "é{", "é{"),
        ("integer", 12, "12"),
        ("number", 0.5, "0.5"),
        ("boolean", True, "true"),
        ("list", ["a", 1], '["a",1]'),
        ("json", {"a": None}, '{"a":null}'),
    ],
)
def test_how_values_read(type: Any, value: Any, text: str) -> None:
    assert said(one("{{x}}", x=Variable(type=type)), x=value) == text


@pytest.mark.parametrize(
    ("variable", "values", "message"),
    [
        (Variable(), {}, "the variable 'x' is missing; a string was expected"),
        (Variable(), {"x": 1}, "the variable 'x' must be a string, not an integer"),
        (Variable(), {"x": None}, "the variable 'x' must be a string, not null"),
        (Variable(type="integer"), {"x": True}, "must be an integer, not true or false"),
        (Variable(type="integer"), {"x": 1.5}, "must be an integer, not a number"),
        (Variable(type="number"), {"x": "1"}, "must be a number, not a string"),
        (Variable(type="boolean"), {"x": 1}, "must be true or false, not an integer"),
        (Variable(type="list"), {"x": {}}, "must be a list, not an object"),
        (Variable(enum=("a", "b")), {"x": "c"}, 'must be one of "a", "b"'),
        (Variable(max_length=2), {"x": "abc"}, "has 3 characters, over 2"),
        (Variable(type="list", max_length=1), {"x": [1, 2]}, "has 2 items, over 1"),
        (Variable(type="json", max_length=3), {"x": {"a": 1}}, "has 7 characters, over 3"),
        (Variable(), {"x": "", "y": 1}, "the variable 'y' is not a variable of this prompt; there are x"),
    ],
)
def test_what_does_not_fit_is_named(variable: Variable, values: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as fault:
        one("{{x}}", x=variable).render(values)
    assert message in fault.value.message
    assert fault.value.code == "prompt_variable_invalid"
    assert (fault.value.param or "").startswith("prompt.variables.")


def test_what_is_missing_has_its_default_or_is_empty() -> None:
    template = one("{{a}}-{{b}}-", a=Variable(type="integer", default=7), b=Variable(required=False))
    assert said(template) == "7--"
    assert said(template, a=1, b="x") == "1-x-"


@pytest.mark.parametrize(
    ("text", "variables", "message"),
    [
        ("{{a}}", {}, "uses {{a}}, which is not declared"),
        ("a", {"a": Variable()}, "variables.a: is declared, and the template does not use it"),
        ("one\n{{#if a}}", {"a": Variable()}, "messages[0]: line 2"),
        ("{{a.__class__}}", {"a": Variable()}, "must begin {{name}}"),
        ("{{ 7*7 }}", {}, "must begin {{name}}"),
        ("{{a}}", {"a": Variable(type="integer", default="x")}, "must be an integer, not a string"),
        ("{{a}}", {"a": Variable(enum=("x",), default="y")}, 'must be one of "x"'),
        ("{{a}}", {"a": Variable(type="integer", enum=("x",))}, "must be an integer"),
        ("{{a}}", {"a": Variable(type="integer", max_length=3)}, "only strings, lists and JSON have a length"),
        ("{{a}}", {"a": Variable(type="json", enum=(1,))}, "enum: not for json"),
        (" ", {}, "must not be blank"),
    ],
)
def test_a_template_that_contradicts_itself_is_not_made(text: str, variables: dict[str, Variable], message: str) -> None:
    with pytest.raises(RequestError) as fault:
        one(text, **variables)
    assert message in fault.value.message


def test_system_messages_come_first() -> None:
    with pytest.raises(RequestError, match="system messages come before all others"):
        Template((Message("user", "a"), Message("system", "b")), {})


def test_what_multiplies_beyond_all_measure_is_refused_before_it_is_made() -> None:
    template = one("{{a}}" * 1000, a=Variable())
    with pytest.raises(BodyTooLarge, match=f"over {LARGEST}"):
        template.render({"a": "x" * 10_000})


JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(JSON)
def test_any_json_comes_through_whole(value: Any) -> None:
    assert msgspec.json.decode(said(one("{{x}}", x=Variable(type="json")), x=value)) == value
