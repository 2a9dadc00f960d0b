"""The tree that is drawn is the tree that is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from penstock.kernel import errors
from penstock.kernel.errors import (
    BudgetExceeded,
    LimitExceeded,
    PenstockError,
    UpstreamError,
    UpstreamMalformed,
    UpstreamRefused,
    UpstreamReset,
    UpstreamUnreachable,
)


def below(kind: type[PenstockError]) -> Iterator[type[PenstockError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from below(child)


def drawn() -> Iterator[tuple[str, str, str, str]]:
    """Name, name of the parent, status and code of every line of the drawing."""
    path: list[str] = []
    text = (inspect.getdoc(errors) or "").split("A code never")[0]
    for line in text.splitlines():
        found = re.fullmatch(r"    ([│ ├└─]*)(\w+) +((?:\d|4xx).*?)  (\w+)", line)
        if found:
            depth = len(found[1]) // 4
            path = [*path[:depth], found[2]]
            yield found[2], path[-2] if depth else "", found[3], found[4]


def test_the_drawing_shows_every_error_where_it_belongs_with_its_status_and_code() -> None:
    seen = {name: (parent, status, code) for name, parent, status, code in drawn()}
    kinds = list(below(PenstockError))
    assert set(seen) == {kind.__name__ for kind in kinds}
    for kind in kinds:
        parent = "" if kind is PenstockError else kind.__bases__[0].__name__
        # What a provider refused has the status that the caller is told.
        status = "4xx, 502 to 504" if kind is UpstreamRefused else str(kind.default_status)
        assert seen[kind.__name__] == (parent, status, kind.default_code)


def test_codes_are_unique_and_every_kind_says_what_it_means() -> None:
    kinds = list(below(PenstockError))
    codes = [kind.default_code for kind in kinds]
    assert len(codes) == len(set(codes))
    assert [kind.__name__ for kind in kinds if not (kind.__doc__ or "").strip()] == []
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_one_error_may_say_more_than_its_kind() -> None:
    plain = LimitExceeded("slow down")
    assert (plain.code, plain.status, plain.param, plain.retry_after, str(plain)) == ("rate_limit_exceeded", 429, None, None, "slow down")
    more = LimitExceeded("slow down", code="token_limit_exceeded", status=503, param="model", retry_after=2.5)
    assert (more.code, more.status, more.param, more.retry_after) == ("token_limit_exceeded", 503, "model", 2.5)
    assert (LimitExceeded.default_code, LimitExceeded.default_status) == ("rate_limit_exceeded", 429)
    assert isinstance(BudgetExceeded("spent"), LimitExceeded)


def test_a_refusal_knows_both_statuses() -> None:
    fault = UpstreamRefused("p answered 401", status=502, upstream_status=401, retry_after=3)
    assert (fault.status, fault.upstream_status, fault.code, fault.retry_after) == (502, 401, "upstream_refused", 3)


@pytest.mark.parametrize(
    ("kind", "may"), [(UpstreamError, True), (UpstreamUnreachable, False), (UpstreamReset, True), (UpstreamMalformed, True)]
)
def test_only_what_was_never_sent_cannot_have_run(kind: type[UpstreamError], may: bool) -> None:
    assert kind("gone").may_have_run is may
