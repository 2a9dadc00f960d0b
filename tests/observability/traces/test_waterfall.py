"""A few hundred rows of what may be thousands, and every span within reach."""

from __future__ import annotations

from tests.observability.traces.spans import NOW, span, stored

from penstock.observability.traces.tree import Tree, plant
from penstock.observability.traces.waterfall import MOST_ROWS, SIBLINGS, More, Row, rows
from penstock.storage.telemetry.span import Span


def planted(*spans: Span) -> Tree:
    return plant(stored(*spans), NOW + 10**12)


def test_a_small_trace_is_open() -> None:
    found = rows(planted(span(1, took=200), span(2, 1, 50, 100, first_token_ns=25_000_000), span(3, 2, 60, 10, status="failed")))
    assert all(isinstance(row, Row) for row in found)
    one, two, three = (row for row in found if isinstance(row, Row))
    assert (one.open, one.waits, two.open, three.open) == (True, False, True, None)
    assert (one.left, one.width, two.left, two.width, two.first) == (0.0, 1.0, 0.25, 0.5, 0.125)
    assert three.bar == "failed"


def test_many_siblings_are_shown_in_parts() -> None:
    tree = planted(span(1, took=10**6), *(span(id, 1, id) for id in range(2, 202)))
    seen: list[str] = []
    part = rows(tree)
    root = tree.roots[0]
    while True:
        seen += [row.node.span.span_id for row in part if isinstance(row, Row)]
        more = next((row for row in part if isinstance(row, More)), None)
        if more is None:
            break
        assert more.left == 201 - len(seen)
        assert more.under == root.span.span_id
        part = rows(tree, root, more.skip)
    assert len(seen) == len(set(seen)) == 201


def test_a_large_trace_is_drawn_level_by_level_and_opened_where_one_asks() -> None:
    agents = [span(id, 1, id) for id in range(2, 32)]
    tools = [span(1000 + agent * 200 + tool, agent, agent + tool / 1000) for agent in range(2, 32) for tool in range(150)]
    tree = planted(span(1, took=10**6), *agents, *tools)
    found = rows(tree)
    assert len(found) <= MOST_ROWS + 40
    waiting = [row for row in found if isinstance(row, Row) and row.waits]
    assert waiting
    assert all(row.open is False for row in waiting)
    inside = rows(tree, waiting[0].node)
    assert len([row for row in inside if isinstance(row, Row)]) == SIBLINGS
    assert all(row.level == 3 for row in inside)


def test_deep_chains_stop_being_indented() -> None:
    found = rows(planted(*(span(id, id - 1, id * 0.01) for id in range(1, 400))))
    assert len(found) <= MOST_ROWS
    last = found[-1]
    assert isinstance(last, Row)
    assert last.waits
    assert last.indent < last.level - 1
