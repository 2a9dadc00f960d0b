"""Who asked whom, and where it is drawn."""

from __future__ import annotations

from tests.observability.traces.spans import NOW, span, stored

from penstock.observability.traces.graph import BOX_HEIGHT, BOX_WIDTH, MOST, Graph, graph
from penstock.observability.traces.tree import plant
from penstock.storage.telemetry.span import Span


def drawn(*spans: Span) -> Graph:
    return graph(plant(stored(*spans), NOW + 10**12))


def edges(found: Graph) -> dict[tuple[str, str], tuple[int, int]]:
    return {(edge.source.name, edge.target.name): (edge.calls, edge.failed) for edge in found.edges}


def test_steps_between_are_left_out() -> None:
    found = drawn(
        span(1, kind="agent", agent="support"),
        span(2, 1, 1, kind="step", name="plan"),
        span(3, 2, 2, kind="call", model="m", cost_micros=5),
        span(4, 1, 3, kind="tool", tool="find"),
        span(5, 1, 4, kind="tool", tool="find", status="failed"),
        span(6, 1, 5, kind="agent", agent="support"),
        span(7, 6, 6, kind="call", model="m", cost_micros=7),
    )
    assert edges(found) == {("support", "m"): (2, 0), ("support", "find"): (2, 1)}
    models = {one.name: one for one in found.vertices}
    assert (models["m"].calls, models["m"].cost_micros) == (2, 12)
    assert models["support"].calls == 1


def test_agents_that_ask_each_other_are_drawn_and_end() -> None:
    found = drawn(
        span(1, kind="agent", agent="a"), span(2, 1, 1, kind="agent", agent="b"), span(3, 2, 2, kind="agent", agent="a"),
        span(4, 9, 3, kind="agent", agent="c"),
    )  # fmt: skip
    assert edges(found) == {("a", "b"): (1, 0), ("b", "a"): (1, 0)}
    assert {one.name for one in found.vertices} == {"a", "b", "c"}


def test_a_circle_without_a_beginning_has_its_place() -> None:
    found = drawn(span(1, kind="agent", agent="a"), span(2, 1, 1, kind="agent", agent="b"), span(3, 2, 2, kind="agent", agent="a"))
    assert len({(one.x, one.y) for one in found.vertices}) == 2


def test_nothing_lies_on_each_other_or_outside() -> None:
    tools = [span(id, 1, id, kind="tool", tool=f"tool {id}") for id in range(2, 30)]
    models = [span(100 + id, id, id, kind="call", model=f"m {id % 5}") for id in range(2, 30)]
    found = drawn(span(1, kind="agent", agent="a"), *tools, *models)
    places = [(one.x, one.y) for one in found.vertices]
    assert len(set(places)) == len(places)
    for x, y in places:
        assert 0 <= x <= found.width - BOX_WIDTH
        assert 0 <= y <= found.height - BOX_HEIGHT


def test_too_many_nodes_are_counted() -> None:
    found = drawn(span(1, kind="agent", agent="a"), *(span(id, 1, id, id, kind="tool", tool=f"tool {id}") for id in range(2, 102)))
    assert (len(found.vertices), found.left_out) == (MOST, 101 - MOST)


def test_a_single_span_has_no_edges() -> None:
    assert drawn(span(1, name="plain")).edges == []
