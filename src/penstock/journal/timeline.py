"""A run as rows of a timeline: its steps, and below a child that was opened, the steps of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from penstock.kernel.journal import RunInfo, StepInfo
from penstock.kernel.steps import Family, StepWords

DEEPEST = 6
"""Levels that are drawn within each other; what lies deeper has a page of its own."""

SHOWN_CHARACTERS = 20_000

FAMILIES: Mapping[str, Family] = {"child": "child", "result": "child", "sleep": "wait", "wait": "wait"}
BARS: Mapping[str, str] = {"model": "attempt", "tool": "guard", "people": "wait", "wait": "wait", "child": "queue", "step": "stage"}
"""Colours of the console's waterfalls, by family."""


class Told(Struct, frozen=True, kw_only=True):
    """A run with what its rows are made of; ``children`` are those that are known of, by id."""

    run: RunInfo
    steps: Sequence[StepInfo]
    words: Mapping[int, StepWords]
    children: Mapping[str, RunInfo]


class Row(Struct, frozen=True, kw_only=True):
    """One step. ``left`` and ``width`` are parts of the whole time; ``open`` is None for what has no steps of its own.

    ``child`` is the run that the step began, ``lasts`` says that it has not ended.
    """

    run: RunInfo
    step: StepInfo
    words: StepWords
    depth: int
    bar: str
    left: float
    width: float
    took: float | None
    lasts: bool
    child: RunInfo | None
    open: bool | None

    @property
    def name(self) -> str:
        """Which step it is, across the runs of a page."""
        return f"{self.run.id}:{self.step.number}"

    @property
    def bad(self) -> bool:
        """Whether it failed."""
        return bool(self.step.error) or self.words.state == "failed"


class Span(Struct, frozen=True):
    """The time that a timeline covers, in Unix seconds."""

    began: float
    until: float

    def share(self, at: float) -> float:
        """How far along a moment is, from 0 to 1."""
        return min(1.0, max(0.0, (at - self.began) / max(1e-6, self.until - self.began)))


def covered(told: Told, now: float) -> Span:
    """From the run's beginning to its end, or to now where it has none. What it was queued for counts."""
    began = min([told.run.created_at, *(s.started_at for s in told.steps if s.started_at is not None)])
    ends = [told.run.ended_at or now, *(s.ended_at for s in told.steps if s.ended_at is not None)]
    return Span(began, max([*ends, began + 1e-3]))


def words_of(step: StepInfo, told: Told) -> StepWords:
    """What the room whose run it is says of a step, or what the journal knows by itself."""
    known = told.words.get(step.number)
    if known is not None:
        return known
    name, note = step.name, ""
    if step.kind == "child" and step.child in told.children:
        note = "another run"
    elif step.kind == "result":
        child = told.children.get(step.child or "")
        name, note = f"result of {child.name}" if child is not None else "result of a child", ""
    elif step.kind == "wait":
        name = "wait for a signal"
    return StepWords(family=FAMILIES.get(step.kind, "step"), name=name, note=note, gave=step.output, open=step.ended_at is None)


def rows(told: Told, within: Mapping[str, Told], time: Span, depth: int = 0) -> list[Row]:
    """The rows of a run and of its children in ``within``, which are those that were opened."""
    found: list[Row] = []
    for step in told.steps:
        words = words_of(step, told)
        child = told.children.get(step.child or "") if step.kind == "child" else None
        inner = within.get(child.id) if child is not None and depth < DEEPEST else None
        lasts = step.ended_at is None or (child is not None and child.ended_at is None)
        start = step.started_at if step.started_at is not None else step.ended_at or time.until
        end = time.until if lasts else child.ended_at if child is not None and child.ended_at is not None else step.ended_at
        left = time.share(start)
        found.append(
            Row(
                run=told.run,
                step=step,
                words=words,
                depth=depth,
                bar="failed" if step.error or words.state == "failed" else BARS[words.family],
                left=left,
                width=max(0.0, time.share(end or start) - left),
                took=None if lasts else max(0.0, ((end or start) - start) * 1e3),
                lasts=lasts,
                child=child,
                open=None if child is None or depth >= DEEPEST else inner is not None,
            )
        )
        if inner is not None:
            found += rows(inner, within, time, depth + 1)
    return found


def text(value: Any) -> str:
    """A journalled value as people read it, cut where it is long; empty for none."""
    if value is None:
        return ""
    if isinstance(value, str):
        said = value
    else:
        said = msgspec.json.format(msgspec.json.encode(value)).decode()
    if len(said) <= SHOWN_CHARACTERS:
        return said
    return f"{said[:SHOWN_CHARACTERS]}\n... {len(said) - SHOWN_CHARACTERS:,} characters more"
