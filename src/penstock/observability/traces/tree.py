"""A trace as a tree, whatever is wrong with it: parents that are missing, circles, spans with the same id, clocks that differ.

Nothing here recurses: a trace may be one chain of thousands of spans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from penstock.storage.telemetry.questions import Stored
from penstock.storage.telemetry.span import Span

SKEW_NS = 1_000_000
"""A child may begin this much before its parent before it is said that clocks differ."""

AHEAD_NS = 60 * 10**9
"""A span may end this much after now before it is said to come from the future."""

APART = 10
"""A gap this many times as long as all else parts those whose clock is elsewhere from the rest."""

GAP_NS = 3600 * 10**9

MOVED = '"penstock.moved_back_ns"'

NO_PARENT = "its parent is not in this trace: not sent, or not kept"
CIRCLE = "it was its own ancestor: the circle is cut here"
TWICE = "another span of this trace has the same id"
EARLY = "it begins before its parent: clocks differ"
FUTURE = "it lies in the future: the sender's clock is ahead"
MOVED_BACK = "it came from the future and was moved back"
ELSEWHERE = "it lies outside of the time shown: clocks differ"


class Node(msgspec.Struct, eq=False):
    """A span in its place. ``within`` counts all spans below it, ``failed_within`` the failed ones; ``odd`` says what is wrong with it."""

    span: Span
    payload: bool
    parent: Node | None = None
    children: list[Node] = []
    depth: int = 0
    within: int = 0
    failed_within: int = 0
    odd: list[str] = []


class Tree(msgspec.Struct, eq=False):
    """A trace. ``order`` has every node once, each after its parent and before its next sibling. The axis goes from ``start_ns`` to
    ``end_ns``.

    ``odd`` counts what is wrong with spans, in words.
    """

    roots: list[Node]
    order: list[Node]
    start_ns: int
    end_ns: int
    odd: dict[str, int]

    def find(self, span: str) -> Node | None:
        """The first node of a span."""
        return next((node for node in self.order if node.span.span_id == span), None)


def plant(found: Sequence[Stored], now_ns: int) -> Tree:
    """The tree of these spans, of which there must be one."""
    nodes = [Node(span=one.span, payload=one.payload) for one in found]
    nodes.sort(key=lambda node: (node.span.start_ns, -node.span.end_ns, node.span.span_id))
    known: dict[str, Node] = {}
    for node in nodes:
        if known.setdefault(node.span.span_id, node) is not node:
            node.odd.append(TWICE)
    roots: list[Node] = []
    for node in nodes:
        above = known.get(node.span.parent_id) if node.span.parent_id else None
        if above is node:
            node.odd.append(CIRCLE)
            above = None
        elif node.span.parent_id and above is None:
            node.odd.append(NO_PARENT)
        if above is None:
            roots.append(node)
        else:
            node.parent = above
    for node in _circles(nodes):
        node.parent = None
        node.odd.append(CIRCLE)
        roots.append(node)
    for node in nodes:
        if node.parent is not None:
            node.parent.children.append(node)
    roots.sort(key=lambda node: (node.span.start_ns, node.span.span_id))
    order = _ordered(roots)
    start, end = _axis(nodes)
    for node in order:
        _judge(node, start, end, now_ns)
    odd = Counter(said for node in order for said in node.odd)
    return Tree(roots=roots, order=order, start_ns=start, end_ns=end, odd=dict(odd))


def _circles(nodes: Sequence[Node]) -> list[Node]:
    """One node of each circle: the one that began first."""
    sound: set[int] = set()
    found: list[Node] = []
    for node in nodes:
        path: dict[int, Node] = {}
        at: Node | None = node
        while at is not None and id(at) not in sound and id(at) not in path:
            path[id(at)] = at
            at = at.parent
        if at is not None and id(at) in path:
            ids = list(path)
            circle = [path[one] for one in ids[ids.index(id(at)) :]]
            found.append(min(circle, key=lambda one: (one.span.start_ns, -one.span.end_ns)))
        sound.update(path)
    return found


def _ordered(roots: Sequence[Node]) -> list[Node]:
    order: list[Node] = []
    stack = list(reversed(roots))
    while stack:
        node = stack.pop()
        order.append(node)
        for child in reversed(node.children):
            child.depth = node.depth + 1
            stack.append(child)
    for node in reversed(order):
        if node.parent is not None:
            node.parent.within += 1 + node.within
            node.parent.failed_within += (node.span.status == "failed") + node.failed_within
    return order


def _axis(nodes: Sequence[Node]) -> tuple[int, int]:
    """From when to when the trace is drawn: all of it, or where most spans lie when others are years away."""
    groups: list[list[Node]] = [[]]
    ends: list[int] = [0]
    for node in nodes:  # in the order of their starts
        if groups[-1] and node.span.start_ns - ends[-1] > GAP_NS:
            groups.append([])
            ends.append(0)
        groups[-1].append(node)
        ends[-1] = max(ends[-1], node.span.end_ns)
    whole = nodes[0].span.start_ns, max(ends)
    if len(groups) == 1:
        return whole
    lengths = [end - group[0].span.start_ns for group, end in zip(groups, ends, strict=True)]
    if whole[1] - whole[0] < APART * max(1, sum(lengths)):
        return whole
    most = max(range(len(groups)), key=lambda at: len(groups[at]))
    return groups[most][0].span.start_ns, ends[most]


def _judge(node: Node, start: int, end: int, now_ns: int) -> None:
    span = node.span
    if MOVED in span.attributes:
        node.odd.append(MOVED_BACK)
    if span.end_ns > now_ns + AHEAD_NS:
        node.odd.append(FUTURE)
    if span.start_ns < start or span.end_ns > end:
        node.odd.append(ELSEWHERE)
    elif node.parent is not None and span.start_ns < node.parent.span.start_ns - SKEW_NS:
        node.odd.append(EARLY)
