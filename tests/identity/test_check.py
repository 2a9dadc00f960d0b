"""What names, addresses, ids and limits may look like."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.identity import check
from penstock.kernel.errors import NotFound, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Limits, Scope


def refused(work: Callable[[], object]) -> str | None:
    """The field that a refusal names."""
    with pytest.raises(RequestError) as fault:
        work()
    return fault.value.param


@pytest.mark.parametrize(
    ("given", "kept"), [(" Ada ", "Ada"), ("Zoë", "Zoë"), ("Zoe\u0308", "Zoë"), ("x" * 100, "x" * 100), ("日本", "日本"), ("a  b", "a  b")]
)
def test_names_are_trimmed_and_normalised(given: str, kept: str) -> None:
    assert check.name(given) == kept


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\x00b", "a\tb", "a\u202eb", "a\u2028b", "\ud800", "a\u200bb"])
def test_names_that_deceive_or_break_a_line_are_refused(name: str) -> None:
    assert refused(lambda: check.name(name, "title")) == "title"


@given(st.text())
def test_a_name_that_was_kept_is_kept_again(text: str) -> None:
    try:
        kept = check.name(text)
    except RequestError:
        return
    assert check.name(kept) == kept
    assert kept.isprintable() or " " in kept or not kept.isascii()


@pytest.mark.parametrize(("given", "kept"), [(None, None), ("", None), ("  ", None), (" Ada@Example.COM ", "ada@example.com")])
def test_addresses_are_kept_in_lower_case(given: str | None, kept: str | None) -> None:
    assert check.email(given) == kept


@pytest.mark.parametrize(
    "email", ["ada", "ada@", "@example.com", "ada@example", "a b@example.com", "a@b@c.de", "x" * 65 + "@a.de", "a@" + "b" * 260]
)
def test_what_is_no_address_is_refused(email: str) -> None:
    assert refused(lambda: check.email(email)) == "email"


def test_ids_and_cursors() -> None:
    id = new_id("key")
    assert check.id(id, "key") == id == check.cursor(id)
    assert check.cursor(None) is None
    for wrong in ("", "key", "key_", id.upper(), id + "0", "../" + id, "key_" + "g" * 32, "x" * 1000):
        assert not check.is_id(wrong)
        with pytest.raises(NotFound) as fault:
            check.id(wrong, "key")
        assert len(fault.value.message) < 100
        assert refused(lambda wrong=wrong: check.cursor(wrong)) == "cursor"


def test_scopes_come_in_one_order_and_at_least_one() -> None:
    assert check.scopes([Scope.ADMIN, Scope.CALL, Scope.ADMIN]) == (Scope.CALL, Scope.ADMIN)
    assert refused(lambda: check.scopes([])) == "scopes"


@pytest.mark.parametrize("pattern", ["", "x" * 201, "a b", "a*b", "**", "*a", "a\n"])
def test_a_pattern_has_its_star_at_the_end(pattern: str) -> None:
    assert refused(lambda: check.patterns(["ok", pattern], "models")) == "models"


def test_patterns_stay_in_order_each_once() -> None:
    assert check.patterns(["b*", "a", "b*", "*"], "models") == ("b*", "a", "*")
    assert refused(lambda: check.patterns(["a"] * 101, "tasks")) == "tasks"


@pytest.mark.parametrize("value", [0, -1, check.MAX_LIMIT + 1])
@pytest.mark.parametrize("field", Limits.__struct_fields__)
def test_a_limit_is_at_least_one(field: str, value: int) -> None:
    assert refused(lambda: check.limits(Limits(**{field: value}))) == f"limits.{field}"
    assert check.limits(Limits(**{field: check.MAX_LIMIT}))


@pytest.mark.parametrize("at", [100.0, 99.0, float("nan"), float("inf"), -float("inf"), check.LATEST])
def test_an_end_lies_ahead_and_within_the_calendar(at: float) -> None:
    assert refused(lambda: check.expiry(at, 100.0)) == "expires_at"
    assert check.expiry(None, 100.0) is None
    assert check.expiry(100.5, 100.0) == 100.5


@pytest.mark.parametrize("size", [0, -1, 1001])
def test_a_page_has_one_to_a_thousand_rows(size: int) -> None:
    assert refused(lambda: check.page_size(size)) == "limit"
