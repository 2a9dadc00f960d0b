"""Which rows of a tree are drawn: a few hundred of what may be thousands, the rest where the reader asks for it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.observability.traces.tree import Node, Tree

MOST_ROWS = 200
"""Rows that a page or an opened span draws at once."""

SIBLINGS = 50
"""Children of one span that are drawn at once."""

DEEPEST = 14
"""Levels that are indented; deeper ones stand where this one does, and say how deep they are."""

KINDS = {
    "call": "attempt",
    "embedding": "attempt",
    "rerank": "attempt",
    "tool": "tool",
    "retrieval": "retrieval",
    "guard": "guard",
    "evaluation": "guard",
    "agent": "agent",
    "run": "agent",
}
"""The colour of a span's bar, by its kind."""


class Row(msgspec.Struct, frozen=True):
    """A span as it is drawn. ``left`` and ``width`` are shares of the axis. ``open`` is None for a span without children, ``waits`` says
    that its children are fetched when it is opened."""

    node: Node
    level: int
    indent: int
    left: float
    width: float
    first: float | None
    bar: str
    open: bool | None
    waits: bool


class More(msgspec.Struct, frozen=True):
    """A row that stands for further siblings: ``under`` the span (empty for roots), from the ``skip``-th on."""

    under: str
    skip: int
    left: int
    level: int
    indent: int


def rows(tree: Tree, under: Node | None = None, skip: int = 0, most: int = MOST_ROWS) -> list[Row | More]:
    """The rows of the children of ``under`` (the roots for None) from the ``skip``-th on: level by level, as far as ``most`` allows."""
    siblings = tree.roots if under is None else under.children
    first = siblings[skip : skip + SIBLINGS]
    opened = _opened(first, most - len(first))
    made: list[Row | More] = []
    stack: list[Node | More] = []
    _push(stack, siblings, skip, under)
    while stack:
        at = stack.pop()
        if isinstance(at, More):
            made.append(at)
            continue
        shown = id(at) in opened
        made.append(_row(tree, at, shown))
        if shown:
            _push(stack, at.children, 0, at)
    return made


def _opened(level: Sequence[Node], room: int) -> set[int]:
    """What is open at first: whole levels as long as there is room, of the next one only what leads to a failure."""
    opened: set[int] = set()
    while level:
        parents = [node for node in level if node.children]
        whole = sum(len(node.children[:SIBLINGS]) for node in parents) <= room
        level = []
        for node in parents:
            some = node.children[:SIBLINGS]
            if (whole or node.failed_within) and len(some) <= room:
                room -= len(some)
                opened.add(id(node))
                level.extend(some)
    return opened


def _push(stack: list[Node | More], siblings: Sequence[Node], skip: int, under: Node | None) -> None:
    upto = skip + SIBLINGS
    if len(siblings) > upto:
        level = 0 if under is None else under.depth + 1
        key = "" if under is None else under.span.span_id
        stack.append(More(under=key, skip=upto, left=len(siblings) - upto, level=level + 1, indent=min(level, DEEPEST)))
    stack.extend(reversed(siblings[skip:upto]))


def _row(tree: Tree, node: Node, shown: bool) -> Row:
    span = node.span
    whole = max(1, tree.end_ns - tree.start_ns)
    left = min(1.0, max(0.0, (span.start_ns - tree.start_ns) / whole))
    right = min(1.0, max(left, (span.end_ns - tree.start_ns) / whole))
    first = None
    if span.first_token_ns is not None and span.end_ns > span.start_ns:
        first = min(1.0, span.first_token_ns / (span.end_ns - span.start_ns)) * (right - left)
    return Row(
        node=node,
        level=node.depth + 1,
        indent=min(node.depth, DEEPEST),
        left=left,
        width=right - left,
        first=first,
        bar="failed" if span.status == "failed" else KINDS.get(span.kind, "stage"),
        open=shown if node.children else None,
        waits=bool(node.children) and not shown,
    )
