"""A trace becomes a tree whatever is wrong with it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.observability.traces.spans import MS, NOW, span, stored

from penstock.observability.traces import tree
from penstock.observability.traces.tree import Tree, plant
from penstock.storage.telemetry.span import Span

LATER = NOW + 3600 * 10**9


def planted(*spans: Span) -> Tree:
    return plant(stored(*spans), LATER)


def shape(found: Tree) -> list[tuple[int, str]]:
    return [(node.depth, node.span.name) for node in found.order]


def test_children_come_below_their_parents_in_the_order_of_their_starts() -> None:
    found = planted(span(1), span(3, 1, 50), span(2, 1, 10), span(4, 2, 20, status="failed"))
    assert shape(found) == [(0, "span 1"), (1, "span 2"), (2, "span 4"), (1, "span 3")]
    root = found.roots[0]
    assert (root.within, root.failed_within) == (3, 1)
    assert found.odd == {}


def test_a_span_whose_parent_is_missing_is_a_root_and_says_so() -> None:
    found = planted(span(1), span(2, 9, 10))
    assert [node.span.name for node in found.roots] == ["span 1", "span 2"]
    assert found.roots[1].odd == [tree.NO_PARENT]


def test_a_circle_is_cut_where_it_began() -> None:
    found = planted(span(1, 3, 5), span(2, 1, 10), span(3, 2, 20), span(4, 4, 30), span(5, 3, 25))
    assert shape(found) == [(0, "span 1"), (1, "span 2"), (2, "span 3"), (3, "span 5"), (0, "span 4")]
    assert found.odd == {tree.CIRCLE: 2}


def test_two_spans_of_one_id_are_both_shown_and_their_children_once() -> None:
    found = planted(span(1), span(2, 1, 10), span(2, 1, 20, name="again"), span(3, 2, 30))
    assert shape(found) == [(0, "span 1"), (1, "span 2"), (2, "span 3"), (1, "again")]
    assert found.odd == {tree.TWICE: 1}


def test_clocks_that_differ_are_told() -> None:
    early = span(2, 1, -40)
    moved = span(3, 1, 10, attributes='{"penstock.moved_back_ns":5}')
    found = planted(span(1), early, moved)
    assert found.odd == {tree.EARLY: 1, tree.MOVED_BACK: 1}
    assert found.start_ns == early.start_ns


def test_a_span_of_another_year_does_not_stretch_the_axis() -> None:
    year = 365 * 86_400_000
    found = planted(span(1, took=500), span(2, 1, 10), span(3, 1, year), span(4, 1, -year))
    assert (found.start_ns, found.end_ns) == (NOW, NOW + 500 * MS)
    assert found.odd == {tree.ELSEWHERE: 2, tree.FUTURE: 1}


def test_a_run_that_waits_for_hours_keeps_its_axis() -> None:
    hours = 10 * 3_600_000
    found = planted(span(1, took=hours), span(2, 1, 10), span(3, 1, hours - 200))
    assert found.end_ns - found.start_ns == hours * MS
    assert found.odd.keys() <= {tree.FUTURE}


def test_a_chain_of_thousands_does_not_recurse() -> None:
    found = planted(*(span(id, id - 1, id * 0.01) for id in range(1, 5001)))
    assert found.order[-1].depth == 4999
    assert found.roots[0].within == 4999


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12), st.integers(0, 50)), min_size=1, max_size=40))
def test_every_span_is_shown_exactly_once(told: list[tuple[int, int, int]]) -> None:
    found = planted(*(span(id, parent, start) for id, parent, start in told))
    assert len(found.order) == len(told)
    assert sum(1 + node.within for node in found.roots) == len(told)
    assert {id(node) for node in found.order} == {id(child) for node in found.order for child in node.children} | {
        id(node) for node in found.roots
    }
