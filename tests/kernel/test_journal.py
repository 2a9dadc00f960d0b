"""The words that rooms share about runs."""

from __future__ import annotations

import re

from penstock.kernel.journal import ENDED, RunState, StepKey, trace_of


def test_a_step_is_named_the_same_in_every_attempt_and_no_other_is() -> None:
    def key(run: str, number: int) -> StepKey:
        return StepKey(run=run, organisation="org", number=number, name="n")

    assert key("run_1", 2).text == "run_1/2"
    assert key("run_1", 2).span_id == key("run_1", 2).span_id
    assert key("run_1", 1).trace_id == key("run_1", 2).trace_id == trace_of("run_1")
    spans = {key(run, number).span_id for run in ("run_1", "run_2") for number in range(50)}
    assert len(spans) == 100
    assert all(re.fullmatch("[0-9a-f]{16}", span) for span in spans)
    assert re.fullmatch("[0-9a-f]{32}", trace_of("run_1"))


def test_a_paused_run_has_not_ended() -> None:
    assert set(RunState) - ENDED == {RunState.QUEUED, RunState.RUNNING, RunState.PAUSED}
