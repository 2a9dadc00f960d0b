"""Two traces side by side: which spans are in both, which in one only, and what changed in those that are in both.

Spans belong together by where they stand and what they are called. Children of two spans that belong together are aligned as two
sequences, so a step that was put in, left out or done twice moves nothing else.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import msgspec

from penstock.observability.traces.tree import Node, Tree
from penstock.storage.telemetry.span import Span

ALIGNED = 150
"""Siblings that are aligned one by one; longer lists by their names alone, which takes no time of the square of their number."""

GAP = -1.0
NUMBERS = ("input_tokens", "output_tokens", "cost_micros")
TEXTS = ("status", "error_code", "model", "answered", "provider", "prompt", "tool", "agent", "verdict", "release")
SLOWER = 0.1
"""Part by which a duration must differ to be called changed, and..."""

SLOWER_MS = 1.0

_WORDS = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")
MOST_WORDS = 4000
OTHER = 0.25
"""Texts of which less is the same are shown one after the other: nobody reads two sentences woven into each other."""


class Change(msgspec.Struct, frozen=True):
    """What differs in one respect."""

    field: str
    before: str | float | None
    after: str | float | None


class Pair(msgspec.Struct, frozen=True):
    """A span of the first trace and the one of the second that belongs to it; None where there is none."""

    depth: int
    before: Span | None
    after: Span | None
    changes: list[Change]

    @property
    def kind(self) -> str:
        """``only_before``, ``only_after``, ``changed`` or ``same``."""
        if self.after is None:
            return "only_before"
        if self.before is None:
            return "only_after"
        return "changed" if self.changes else "same"


def aligned(before: Tree, after: Tree) -> list[Pair]:
    """All spans of both traces, in one order."""
    found: list[Pair] = []
    stack: list[tuple[int, Node | None, Node | None]] = []
    _put(stack, 0, before.roots, after.roots)
    while stack:
        depth, a, b = stack.pop()
        one, other = a.span if a is not None else None, b.span if b is not None else None
        found.append(Pair(depth, one, other, changes(one, other) if one is not None and other is not None else []))
        _put(stack, depth + 1, a.children if a is not None else (), b.children if b is not None else ())
    return found


def changes(before: Span, after: Span) -> list[Change]:
    """In what two spans that belong together differ. Milliseconds count as changed beyond a tenth, and beyond one."""
    found: list[Change] = []
    for name in TEXTS:
        a, b = getattr(before, name), getattr(after, name)
        if a != b:
            found.append(Change(name, a or None, b or None))
    for name in NUMBERS:
        a, b = getattr(before, name), getattr(after, name)
        if a != b:
            found.append(Change(name, a, b))
    a, b = (before.end_ns - before.start_ns) / 1e6, (after.end_ns - after.start_ns) / 1e6
    if abs(a - b) > max(SLOWER_MS, SLOWER * max(a, b)):
        found.append(Change("ms", a, b))
    return found


def _put(stack: list[tuple[int, Node | None, Node | None]], depth: int, before: Sequence[Node], after: Sequence[Node]) -> None:
    stack.extend((depth, a, b) for a, b in reversed(_matched(before, after)))


def _matched(before: Sequence[Node], after: Sequence[Node]) -> list[tuple[Node | None, Node | None]]:
    if not before or not after:
        return [*((node, None) for node in before), *((None, node) for node in after)]
    first, last = _ends(before, after)
    if first or last:
        ends = list(zip(before, after, strict=False))[:first], list(zip(before[-last:], after[-last:], strict=True)) if last else []
        return [*ends[0], *_matched(before[first : len(before) - last], after[first : len(after) - last]), *ends[1]]
    if max(len(before), len(after)) > ALIGNED:
        return _by_name(before, after)
    # Needleman and Wunsch: the best way from each corner to the end.
    rows, columns = len(before), len(after)
    best = [[GAP * (rows - i + columns - j) for j in range(columns + 1)] for i in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            best[i][j] = max(best[i + 1][j + 1] + alike(before[i].span, after[j].span), best[i + 1][j] + GAP, best[i][j + 1] + GAP)
    found: list[tuple[Node | None, Node | None]] = []
    i = j = 0
    while i < rows or j < columns:
        if i < rows and j < columns and best[i][j] == best[i + 1][j + 1] + alike(before[i].span, after[j].span):
            found.append((before[i], after[j]))
            i, j = i + 1, j + 1
        elif i < rows and (j == columns or best[i][j] == best[i + 1][j] + GAP):
            found.append((before[i], None))
            i += 1
        else:
            found.append((None, after[j]))
            j += 1
    return found


def _ends(before: Sequence[Node], after: Sequence[Node]) -> tuple[int, int]:
    """How many siblings are the same step at the beginning of both, and at their end: most traces differ in a few places."""

    def same(a: Node, b: Node) -> bool:
        return a.span.kind == b.span.kind and a.span.model == b.span.model and name_of(a.span) == name_of(b.span)

    most = min(len(before), len(after))
    first = next((at for at in range(most) if not same(before[at], after[at])), most)
    last = next((at for at in range(most - first) if not same(before[-1 - at], after[-1 - at])), most - first)
    return first, last


def alike(one: Span, other: Span) -> float:
    """How much speaks for two spans being the same step: over `GAP` twice where they may be."""
    if one.kind != other.kind:
        return 3 * GAP
    named = name_of(one) == name_of(other)
    return (2.0 if named else -1.0) + (0.5 if one.model == other.model else 0.0) + (0.25 if one.status == other.status else 0.0)


def name_of(span: Span) -> str:
    """What a step is called, without what changes from run to run: a tool's, agent's or span's name; the operation of a call of a model."""
    if span.kind in ("call", "embedding"):
        name = span.name.replace(span.model, "") if span.model else span.name
        return name.replace(span.answered, "").strip() if span.answered else name.strip()
    return span.tool or span.agent or span.name


def _by_name(before: Sequence[Node], after: Sequence[Node]) -> list[tuple[Node | None, Node | None]]:
    keys = [[(node.span.kind, name_of(node.span)) for node in nodes] for nodes in (before, after)]
    found: list[tuple[Node | None, Node | None]] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, keys[0], keys[1], autojunk=True).get_opcodes():
        if tag == "equal":
            found += list(zip(before[a:b], after[c:d], strict=True))
        else:
            found += [(node, None) for node in before[a:b]]
            found += [(None, node) for node in after[c:d]]
    return found


class Piece(msgspec.Struct, frozen=True):
    """A run of words: in both texts (``same``), only in the first (``gone``) or only in the second (``new``)."""

    kind: str
    text: str


def words(before: str, after: str) -> list[Piece]:
    """How one text becomes the other, word by word; texts beyond some thousand words line by line."""
    a, b = _WORDS.findall(before), _WORDS.findall(after)
    if max(len(a), len(b)) > MOST_WORDS:
        a, b = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found: list[Piece] = []
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=len(a) > 500)
    if a and b and matcher.ratio() < OTHER:
        return [Piece("gone", before), Piece("new", after)]
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            found.append(Piece("same", "".join(a[i:j])))
            continue
        if j > i:
            found.append(Piece("gone", "".join(a[i:j])))
        if m > k:
            found.append(Piece("new", "".join(b[k:m])))
    return found
