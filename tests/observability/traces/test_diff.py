"""Two traces side by side."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.observability.traces.spans import NOW, call, span, stored

from penstock.observability.traces.diff import ALIGNED, Change, Pair, aligned, changes, words
from penstock.observability.traces.tree import Tree, plant
from penstock.storage.telemetry.span import Span


def planted(*spans: Span) -> Tree:
    return plant(stored(*spans), NOW + 10**12)


def told(found: list[Pair]) -> list[tuple[int, str, str]]:
    return [(pair.depth, pair.kind, (pair.before or pair.after or span(0)).name) for pair in found]


def agent(*inner: Span) -> Tree:
    return planted(span(1, kind="agent", name="agent", took=1000), *inner)


def test_a_step_that_was_put_in_moves_nothing_else() -> None:
    before = agent(span(2, 1, 10, kind="tool", name="find", tool="find"), call(3, 1, "q", "a", start=200))
    after = agent(
        span(2, 1, 10, kind="tool", name="find", tool="find"),
        span(4, 1, 150, kind="guard", name="check"),
        span(5, 4, 160, name="inner"),
        call(3, 1, "q", "a", start=300),
    )
    assert told(aligned(before, after)) == [
        (0, "same", "agent"),
        (1, "same", "find"),
        (1, "only_after", "check"),
        (2, "only_after", "inner"),
        (1, "same", "chat m-1"),
    ]
    assert [kind for _, kind, _ in told(aligned(after, before))].count("only_before") == 2


def test_a_call_of_another_model_is_the_same_step_changed() -> None:
    before = agent(call(2, 1, "q", "a", took=100))
    after = agent(call(2, 1, "q", "b", took=200, name="chat m-2", model="m-2", input_tokens=30, status="failed", error_code="Bad"))
    (_, pair) = aligned(before, after)
    assert pair.kind == "changed"
    assert pair.changes == [
        Change("status", "ok", "failed"),
        Change("error_code", None, "Bad"),
        Change("model", "m-1", "m-2"),
        Change("input_tokens", 20, 30),
        Change("ms", 100.0, 200.0),
    ]


def test_small_differences_of_time_are_none() -> None:
    assert changes(span(1, took=100), span(1, took=109)) == []
    assert changes(span(1, took=0.1), span(1, took=0.9)) == []


def test_kinds_never_mix() -> None:
    found = aligned(agent(span(2, 1, 1, kind="tool", name="x")), agent(span(2, 1, 1, kind="call", name="x")))
    assert [pair.kind for pair in found] == ["same", "only_before", "only_after"]


def test_long_lists_are_aligned_too() -> None:
    many = [span(id, 1, id, kind="tool", name=f"tool {id}", tool=f"tool {id}") for id in range(2, ALIGNED + 50)]
    found = aligned(agent(*many), agent(*many[1:]))
    assert [kind for _, kind, _ in told(found)].count("only_before") == 1
    assert len(found) == len(many) + 1


def test_a_chain_of_thousands_does_not_recurse() -> None:
    chain = planted(*(span(id, id - 1, id * 0.01) for id in range(1, 3001)))
    assert {pair.kind for pair in aligned(chain, chain)} == {"same"}


@given(*[st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.sampled_from(["tool", "call"])), min_size=1, max_size=12)] * 2)
def test_every_span_of_both_is_there_once(one: list[tuple[int, int, str]], other: list[tuple[int, int, str]]) -> None:
    before, after = (planted(*(span(id, parent, id, kind=kind) for id, parent, kind in spans)) for spans in (one, other))
    found = aligned(before, after)
    assert sum(pair.before is not None for pair in found) == len(one)
    assert sum(pair.after is not None for pair in found) == len(other)


@given(st.text("ab c\n.", max_size=40), st.text("ab c\n.", max_size=40))
def test_words_make_both_texts_again(before: str, after: str) -> None:
    found = words(before, after)
    assert "".join(piece.text for piece in found if piece.kind != "new") == before
    assert "".join(piece.text for piece in found if piece.kind != "gone") == after


def test_only_the_words_that_differ_differ() -> None:
    found = [(piece.kind, piece.text) for piece in words("It left Delft today.", "It left Ghent today.")]
    assert found == [("same", "It left "), ("gone", "Delft "), ("new", "Ghent "), ("same", "today.")]
    found = words("All of it is new", "Nothing stayed as before")
    assert [piece.kind for piece in found] == ["gone", "new"]
    long = "one line\n" * 5000
    assert [piece.kind for piece in words(long, long + "more\n")] == ["same", "new"]
