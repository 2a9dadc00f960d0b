"""What changed between two versions: lines of text, and variables."""

from __future__ import annotations

from penstock.registry.prompts.difference import difference
from penstock.registry.prompts.model import Kind, Message, PromptVersion, Variable


def version(number: int, *messages: Message, kind: Kind = "messages", **variables: Variable) -> PromptVersion:
    return PromptVersion(
        id=f"prmver_{number}", prompt="prm", organisation="org", number=number, state="live", kind=kind, messages=messages,
        variables=variables, digest="", note="", makers=(), created_at=0.0,
    )  # fmt: skip


def test_lines_and_variables_that_changed_are_told() -> None:
    before = version(1, Message("system", "Be kind.\nBe short."), Message("user", "{{a}}"), a=Variable(), gone=Variable())
    after = version(3, Message("system", "Be kind.\nBe brief."), Message("user", "{{a}}"), a=Variable(max_length=9), new=Variable())
    found = difference(before, after)
    assert (found.before, found.after) == (1, 3)
    lines = found.text.split("\n")
    assert lines[:2] == ["--- version 1", "+++ version 3"]
    assert "-Be short." in lines
    assert "+Be brief." in lines
    assert " [system]" in lines
    assert [(one.name, one.change) for one in found.variables] == [("a", "changed"), ("gone", "removed"), ("new", "added")]
    assert found.variables[1].before == Variable()
    assert found.variables[1].after is None


def test_the_same_is_no_difference() -> None:
    one = version(1, Message("user", "x"), kind="text")
    assert difference(one, one).text == ""
    assert difference(one, one).variables == ()


def test_a_role_that_changed_is_a_difference() -> None:
    assert "+[assistant]" in difference(version(1, Message("user", "x")), version(2, Message("assistant", "x"))).text
