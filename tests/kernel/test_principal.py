from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kernel.principal import Principal, Scope, allows


def who(*scopes: Scope, home: bool = False, models: tuple[str, ...] = (), tasks: tuple[str, ...] = ()) -> Principal:
    return Principal(key_id="k", name="n", organisation="org", scopes=frozenset(scopes), home=home, models=models, tasks=tasks)


@pytest.mark.parametrize(
    ("held", "may"),
    [
        ((), set()),
        ((Scope.CALL,), {Scope.CALL}),
        ((Scope.READ, Scope.CALL), {Scope.READ, Scope.CALL}),
        ((Scope.ADMIN,), {Scope.CALL, Scope.READ, Scope.ADMIN}),
    ],
)
def test_scopes(held: tuple[Scope, ...], may: set[Scope]) -> None:
    assert {scope for scope in Scope if who(*held).may(scope)} == may


def test_only_who_administers_the_installation_reaches_beyond_their_organisation() -> None:
    assert who(Scope.ADMIN, home=True).reach is None
    assert who(Scope.READ, home=True).reach == "org"
    assert who(Scope.ADMIN).reach == "org"


@pytest.mark.parametrize(
    ("patterns", "name", "allowed"),
    [
        ((), "anything", True),
        (("gpt-4o",), "gpt-4o", True),
        (("gpt-4o",), "gpt-4o-mini", False),
        (("gpt-4o*",), "gpt-4o-mini", True),
        (("gpt-4o*",), "gpt-4o", True),
        (("gpt-*", "claude-*"), "claude-x", True),
        (("*",), "", True),
        (("a*b",), "axb", False),  # a star means something only at the end
        (("a*b",), "a*b", True),
        (("GPT*",), "gpt", False),
    ],
)
def test_allow_lists(patterns: tuple[str, ...], name: str, allowed: bool) -> None:
    assert allows(patterns, name) is allowed
    assert who(models=patterns).may_use_model(name) is allowed
    assert who(tasks=patterns).may_use_task(name) is allowed


@given(st.lists(st.text(max_size=4), min_size=1, max_size=4), st.text(max_size=6))
def test_a_list_allows_nothing_that_none_of_its_patterns_allows(patterns: list[str], name: str) -> None:
    assert allows(tuple(patterns), name) == any(allows((pattern,), name) for pattern in patterns)
