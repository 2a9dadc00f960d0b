"""Rows of a timeline: what is nested where, how long it lasts, and what cannot be known."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from penstock.journal.timeline import DEEPEST, SHOWN_CHARACTERS, Told, covered, rows, text
from penstock.kernel.journal import RunInfo, RunState, StepInfo
from penstock.kernel.steps import StepWords


def run(id: str, ended: float | None = 110.0, parent: str | None = None) -> RunInfo:
    return RunInfo(
        id=id,
        name="work",
        version=1,
        organisation="org",
        state=RunState.DONE if ended else RunState.RUNNING,
        queue=None,
        priority=0,
        labels={},
        parent=parent,
        forked_from=None,
        node=None,
        executions=1,
        created_at=100.0,
        started_at=100.0,
        updated_at=110.0,
        ended_at=ended,
        trace_id="t",
    )


def step(number: int, start: float | None, end: float | None, kind: str = "step", **terms: Any) -> StepInfo:
    return StepInfo(number=number, kind=kind, name=terms.pop("name", kind), attempts=1, started_at=start, ended_at=end, **terms)


def told(of: RunInfo, *steps: StepInfo, words: dict[int, StepWords] | None = None, children: tuple[RunInfo, ...] = ()) -> Told:
    return Told(run=of, steps=steps, words=words or {}, children={child.id: child for child in children})


def test_a_step_takes_its_part_of_the_whole() -> None:
    one = told(run("a"), step(1, 102.5, 105.0))
    (row,) = rows(one, {}, covered(one, 500.0))
    assert (row.left, row.width, row.took, row.lasts, row.open) == (0.25, 0.25, 2500.0, False, None)


def test_what_waits_goes_on_to_now() -> None:
    one = told(run("a", None), step(1, 105.0, None, "wait"))
    (row,) = rows(one, {}, covered(one, 120.0))
    assert (row.lasts, row.took, row.bar) == (True, None, "wait")
    assert row.left + row.width == pytest.approx(1.0)
    assert row.words.open


def test_a_child_lasts_as_long_as_its_run_and_is_opened_on_demand() -> None:
    child, later = run("b", 108.0, "a"), run("c", None, "a")
    one = told(run("a"), step(1, 102.0, 102.1, "child", child="b"), step(2, 102.1, 102.2, "child", child="c"), children=(child, later))
    first, second = rows(one, {}, covered(one, 110.0))
    assert (first.open, first.took, first.lasts) == (False, pytest.approx(6000.0), False)
    assert (second.open, second.lasts) == (False, True)
    inner = told(child, step(1, 103.0, 104.0, name="inside"))
    drawn = rows(one, {"b": inner}, covered(one, 110.0))
    assert [(row.depth, row.words.name, row.open) for row in drawn] == [(0, "child", True), (1, "inside", None), (0, "child", False)]
    assert [row.name for row in drawn] == ["a:1", "b:1", "a:2"]


def test_a_child_that_is_gone_has_nothing_to_open() -> None:
    one = told(run("a"), step(1, 102.0, 103.0, "child", child="gone"))
    assert rows(one, {}, covered(one, 110.0))[0].open is None


def test_what_lies_deeper_than_is_drawn_stays_closed() -> None:
    runs = [run(f"r{n}", parent=f"r{n - 1}" if n else None) for n in range(DEEPEST + 3)]
    within = {one.id: told(one, step(1, 102.0, 103.0, "child", child=next.id), children=(next,)) for one, next in pairwise(runs)}
    drawn = rows(within["r0"], within, covered(within["r0"], 110.0))
    assert [row.depth for row in drawn] == list(range(DEEPEST + 1))
    assert drawn[-1].open is None


def test_a_room_has_words_of_its_own_and_failures_show() -> None:
    words = {1: StepWords(family="tool", name="refund", state="failed", fault="no"), 2: StepWords(family="model", name="model")}
    one = told(run("a"), step(1, 101.0, 102.0), step(2, 102.0, 103.0), step(3, 103.0, 104.0, error="X: no"), words=words)
    drawn = rows(one, {}, covered(one, 110.0))
    assert [(row.words.name, row.bar, row.bad) for row in drawn] == [
        ("refund", "failed", True),
        ("model", "attempt", False),
        ("step", "failed", True),
    ]


def test_the_result_of_a_child_names_it() -> None:
    one = told(run("a"), step(1, 101.0, 102.0, "result", child="b"), step(2, 101.0, 102.0, "result"), children=(run("b"),))
    assert [row.words.name for row in rows(one, {}, covered(one, 110.0))] == ["result of work", "result of a child"]


def test_a_run_without_any_time_is_drawn() -> None:
    one = told(run("a", 100.0), step(1, None, None))
    (row,) = rows(one, {}, covered(one, 100.0))
    assert 0 <= row.left <= 1
    assert row.width >= 0


def test_values_are_shown_as_text_and_cut() -> None:
    assert text(None) == ""
    assert text("plain") == "plain"
    assert text({"a": 1}) == '{\n  "a": 1\n}'
    assert text("x" * (SHOWN_CHARACTERS + 5)).endswith("... 5 characters more")
