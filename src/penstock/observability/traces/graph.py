"""Who asked whom in a trace: agents, models, tools and searches as nodes, how often and how long as edges; and where each is drawn."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import msgspec

from penstock.observability.traces.tree import Node, Tree
from penstock.storage.telemetry.span import Span

MOST = 40
"""Nodes that are drawn: those that took longest. The rest is counted."""

BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW, EDGE = 190, 46, 310, 74, 14
_LETTERS = 24
_TOLD = 4

Key = tuple[str, str]


class Vertex(msgspec.Struct):
    """An agent, model, tool and so on, with what all its spans come to; ``x`` and ``y`` are its upper left corner."""

    kind: str
    name: str
    calls: int = 0
    failed: int = 0
    ns: int = 0
    cost_micros: int | None = None
    x: int = 0
    y: int = 0

    @property
    def short(self) -> str:
        return self.name if len(self.name) <= _LETTERS else f"{self.name[: _LETTERS - 1]}…"


class Edge(msgspec.Struct):
    """How often one asked the other, and how long that took in all. ``path`` is what is drawn, its words stand at ``x`` and ``y``
    where there is room to tell them."""

    source: Vertex
    target: Vertex
    calls: int = 0
    failed: int = 0
    ns: int = 0
    path: str = ""
    x: int = 0
    y: int = 0
    told: bool = True


class Graph(msgspec.Struct, frozen=True):
    """The picture. ``left_out`` counts nodes for which there was no room."""

    vertices: list[Vertex]
    edges: list[Edge]
    width: int
    height: int
    left_out: int


def graph(tree: Tree) -> Graph:
    """The graph of a trace; without edges where it has one node or none."""
    vertices: dict[Key, Vertex] = {}
    edges: dict[tuple[Key, Key], Edge] = {}
    above: dict[int, Key] = {}
    for node in tree.order:
        over = above.get(id(node.parent)) if node.parent is not None else None
        key = key_of(node.span, first=node.parent is None)
        if key is None:
            if over is not None:
                above[id(node)] = over
            continue
        above[id(node)] = key
        if key == over:  # an agent's own inner spans are the agent
            continue
        _count(vertices.setdefault(key, Vertex(*key)), node)
        if over is not None:
            edge = edges.setdefault((over, key), Edge(vertices[over], vertices[key]))
            edge.calls += 1
            edge.ns += node.span.end_ns - node.span.start_ns
            edge.failed += node.span.status == "failed"
    kept = dict(sorted(vertices.items(), key=lambda item: item[1].ns, reverse=True)[:MOST])
    drawn = {pair: edge for pair, edge in edges.items() if pair[0] in kept and pair[1] in kept}
    width, height = _lay_out([key for key in vertices if key in kept], kept, drawn)
    return Graph([one for key, one in vertices.items() if key in kept], list(drawn.values()), width, height, len(vertices) - len(kept))


def key_of(span: Span, *, first: bool = False) -> Key | None:
    """What a span stands for in the graph; None for steps that only lead to others."""
    match span.kind:
        case "call" | "embedding" | "rerank":
            return ("model", span.answered or span.model or span.name)
        case "tool":
            return ("tool", span.tool or span.name)
        case "agent":
            return ("agent", span.agent or span.name)
        case "retrieval":
            return ("retrieval", span.name or "retrieval")
        case "guard" | "evaluation":
            return (span.kind, span.name or span.kind)
        case _:
            return ("start", span.name or span.kind) if first else None


def _count(vertex: Vertex, node: Node) -> None:
    span = node.span
    vertex.calls += 1
    vertex.failed += span.status == "failed"
    vertex.ns += span.end_ns - span.start_ns
    if span.cost_micros is not None:
        vertex.cost_micros = (vertex.cost_micros or 0) + span.cost_micros


def _lay_out(order: Sequence[Key], kept: dict[Key, Vertex], edges: dict[tuple[Key, Key], Edge]) -> tuple[int, int]:
    """Columns by how far a node is from where it all begins, rows near those who ask. Returns width and height."""
    targets = {target for source, target in edges if source != target}
    layers: dict[Key, int] = {key: 0 for key in order if key not in targets} or dict.fromkeys(order[:1], 0)
    waiting = deque(layers)
    while True:
        while waiting:
            key = waiting.popleft()
            for source, target in edges:
                if source == key and target not in layers:
                    layers[target] = layers[key] + 1
                    waiting.append(target)
        lost = next((key for key in order if key not in layers), None)
        if lost is None:
            break
        layers[lost] = 0
        waiting.append(lost)
    columns: list[list[Key]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for key in order:
        columns[layers[key]].append(key)
    rows: dict[Key, float] = {}
    for column in columns:
        if rows:
            column.sort(key=lambda key: _beside(key, edges, rows))
        rows |= {key: float(row) for row, key in enumerate(column)}
    most = max((len(column) for column in columns), default=0)
    for at, column in enumerate(columns):
        room = (most - len(column)) * ROW // 2
        for row, key in enumerate(column):
            kept[key].x, kept[key].y = EDGE + at * COLUMN, EDGE + room + row * ROW
    into: Counter[Key] = Counter()
    for (_, target), edge in edges.items():
        _draw(edge, into[target])
        into[target] += 1
    return EDGE * 2 + max(0, len(columns) - 1) * COLUMN + BOX_WIDTH, EDGE * 2 + max(0, most - 1) * ROW + BOX_HEIGHT


def _beside(key: Key, edges: dict[tuple[Key, Key], Edge], rows: dict[Key, float]) -> float:
    near = [rows[source] for source, target in edges if target == key and source in rows]
    return sum(near) / len(near) if near else 0.0


def _draw(edge: Edge, number: int) -> None:
    a, b = edge.source, edge.target
    x1, y1, x2, y2 = a.x + BOX_WIDTH, a.y + BOX_HEIGHT // 2, b.x, b.y + BOX_HEIGHT // 2
    if b.x > a.x:
        bend = (x2 - x1) // 2
        edge.path = f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2 - 6} {y2}"
        # Beside its target, below or above each other where many lead there.
        below = (b.y > a.y) != bool(number % 2)
        edge.x, edge.y = x2 - 12, y2 + (16 if below else -6) + (12 if below else -12) * (number // 2)
        edge.told = number < _TOLD
    else:
        # Back, or within a column: over the top, into the target from its right.
        top = min(a.y, b.y) - EDGE + 4
        edge.path = f"M{x1} {y1}C{x1 + 60} {top} {b.x + BOX_WIDTH + 60} {top} {b.x + BOX_WIDTH + 6} {y2}"
        edge.x, edge.y = max(x1, b.x + BOX_WIDTH) + 100, (y1 + y2) // 2
