"""Sums and spans give the same answer, to the last figure; and a month is answered from sums."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kernel.errors import RequestError
from penstock.storage.telemetry import sums
from penstock.storage.telemetry.asked import Questions
from penstock.storage.telemetry.held import Held
from penstock.storage.telemetry.inbox import Inbox
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.span import Span

from .conftest import DAY, HOUR, put

BEGIN = 20_000 * DAY
DAYS = 8
VALUES = {
    "kind": ["call", "tool", "agent"], "status": ["ok", "ok", "failed", "refused"], "task": ["", "answer", "sum'up"],
    "model": ["small", "large"], "team": ["a", "b"], "release": ["1", "2"], "tool": ["", "look"], "key": ["k1", "k2"],
    "project": ["p"], "verdict": ["", "block"],
}  # fmt: skip


class Slow:
    """The same engine, as if it had no sums."""

    summed = None

    def __init__(self, held: Held) -> None:
        self.dialect, self.rows, self.once, self.find = held.dialect, held.rows, held.once, held.find


def spans(count: int, seed: int) -> Iterator[Span]:
    rng = random.Random(seed)
    for _ in range(count):
        start = BEGIN + int(rng.random() * DAYS * DAY)
        said = {name: rng.choice(values) for name, values in VALUES.items()}
        yield Span(
            trace_id=f"{rng.getrandbits(128):032x}", span_id=f"{rng.getrandbits(64):016x}", start_ns=start,
            end_ns=start + int(rng.lognormvariate(0, 2) * 10**9), organisation=rng.choice(["org_a", "org_b"]),
            person=rng.choice(["ann", "bob"]), flagged=rng.random() < 0.1, input_tokens=rng.choice([None, 3, 70]),
            output_tokens=rng.randrange(50), cost_micros=rng.choice([None, 9]),
            first_token_ns=rng.choice([None, rng.randrange(10**9)]), **said,
        )  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    folder = tmp_path_factory.mktemp("telemetry")
    inbox = Inbox(folder / "inbox")
    opened = Held(folder, inbox, memory_mb=256)
    # Summed in three parts, the middle one after an erasure, the last one not at all.
    for part in range(3):
        put(inbox, list(spans(1500, part)), f"part-{part}")
        opened.store_waiting()
        if part < 2:
            opened._duck.sum_up()
            opened.erase("org_b", "ann")
    put(inbox, list(spans(300, 7)), "late")
    opened.store_waiting()
    assert opened.erase("org_b", "bob").spans > 500
    put(inbox, list(spans(300, 8)), "last")
    opened.store_waiting()
    yield opened
    opened.close()


moments = st.one_of(
    st.integers(0, DAYS * 24).map(lambda hour: BEGIN + hour * HOUR),
    st.integers(0, DAYS * 4).map(lambda quarter: BEGIN + quarter * 6 * HOUR),
    st.integers(0, DAYS * DAY).map(lambda at: BEGIN + at),
)
conditions = st.dictionaries(st.sampled_from(sorted(VALUES)), st.just(None), max_size=2).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=2, unique=True).map(tuple) for name in names}
    )
)
filters = st.builds(
    lambda ends, **said: Filter(since_ns=min(ends), until_ns=max(ends), **said),
    st.tuples(moments, moments), organisation=st.sampled_from(["org_a", "org_b", None]), equal=conditions, unequal=conditions,
    flagged=st.sampled_from([None, None, True, False]), min_ms=st.sampled_from([None, None, None, 10.0]),
)  # fmt: skip
dimensions = st.lists(st.sampled_from(sorted(VALUES)), max_size=3, unique=True)


@settings(max_examples=40)
@given(which=filters, by=dimensions)
def test_groups_are_the_same_from_sums_and_from_spans(held: Held, which: Filter, by: list[str]) -> None:
    assert Questions(held).groups(which, by, 50) == Questions(Slow(held)).groups(which, by, 50)


@settings(max_examples=40)
@given(which=filters, hours=st.sampled_from([1, 2, 6, 12, 24, 48, 500]), by=st.sampled_from(["", *VALUES]), few=st.integers(1, 3))
def test_a_series_is_the_same_from_sums_and_from_spans(held: Held, which: Filter, hours: int, by: str, few: int) -> None:
    assert Questions(held).series(which, hours * HOUR, by, few) == Questions(Slow(held)).series(which, hours * HOUR, by, few)


def test_a_period_without_ends_is_the_same_too(held: Held) -> None:
    for which in (Filter(), Filter(organisation="org_a"), Filter(since_ns=BEGIN + 7), Filter(until_ns=BEGIN + 5 * DAY + 7)):
        for by in ([], ["task"], ["task", "model"], ["team", "project"]):
            assert sums.plan(which, by, None) is not None
            assert Questions(held).groups(which, by, 50) == Questions(Slow(held)).groups(which, by, 50) != []


def test_what_sums_can_tell_is_taken_from_them() -> None:
    month = Filter(organisation="org_a", since_ns=BEGIN + 5, until_ns=BEGIN + 30 * DAY + 5, equal={"kind": ("call",)})
    assert sums.plan(month, ["task", "model"], None) == ("sums", sums.Cut(("task", "model"), 24), BEGIN + DAY, BEGIN + 30 * DAY)
    for name in ("tool", "agent", "provider"):
        assert sums.plan(month, [name], None) == ("sums", sums.Cut((name,), 6), BEGIN + 6 * HOUR, BEGIN + 30 * DAY)
    assert sums.plan(month, ["key"], None) == ("key_sums", sums.Cut(("key",), 24), BEGIN + DAY, BEGIN + 30 * DAY)
    assert sums.plan(month, ["service"], None) == ("sums", None, BEGIN + HOUR, BEGIN + 30 * DAY)
    assert sums.plan(month, ["project"], None) == ("owner_sums", None, BEGIN + HOUR, BEGIN + 30 * DAY)
    assert sums.plan(month, ["model"], 12 * HOUR) is None, "its steps begin in the middle of hours"
    whole = Filter(organisation="org_a", since_ns=BEGIN, until_ns=BEGIN + 30 * DAY + 5, equal={"kind": ("call",)})
    assert sums.plan(whole, ["model"], 12 * HOUR) == ("sums", sums.Cut(("model",), 6), BEGIN, BEGIN + 30 * DAY)
    assert sums.plan(whole, ["model"], 2 * HOUR) == ("sums", None, BEGIN, BEGIN + 30 * DAY)
    for other in (
        Filter(text="word"),
        Filter(min_ms=1.0),
        Filter(roots=True),
        Filter(attributes={"a": "b"}),
        Filter(equal={"key": ("k",)}),
    ):
        assert sums.plan(other, ["model"], None) is None
    assert sums.plan(Filter(since_ns=BEGIN + 5, until_ns=BEGIN + HOUR + 5), [], None) is None


def test_nonsense_is_refused_where_sums_answer(held: Held) -> None:
    with pytest.raises(RequestError, match="two ends"):
        Questions(held).series(Filter(), 24 * HOUR, "", 5)
    with pytest.raises(RequestError, match="grouped"):
        Questions(held).groups(Filter(), ["span_id"], 5)
