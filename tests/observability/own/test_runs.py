"""Runs and steps as spans, of a real journal into a real store; a call made inside a step stands below it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.observability.calls import ended

from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.kernel.call import Trace
from penstock.kernel.errors import StepFailed
from penstock.kernel.events import Events, RunEnded, StepEnded
from penstock.kernel.journal import Retry, Run, current_step, span_of, trace_of
from penstock.observability.own.calls import CallSpans
from penstock.observability.own.outbox import Outbox
from penstock.observability.redaction import Redactor
from penstock.observability.settings import ObservabilitySettings
from penstock.storage.telemetry.embedded import EmbeddedTelemetry

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz012345"


@pytest.mark.timeout(60)
async def test_runs_become_traces_with_steps_and_calls(tmp_path: Path) -> None:
    store = EmbeddedTelemetry(tmp_path / "telemetry", memory_mb=256)
    await store.start()
    events = Events()
    outbox = Outbox(lambda: store, msgspec.convert({}, ObservabilitySettings), Redactor())
    events.subscribe(RunEnded, outbox.run_ended)
    events.subscribe(StepEnded, outbox.step_ended)
    told: dict[str, asyncio.Event] = {}
    events.subscribe(RunEnded, lambda event: told.setdefault(event.run, asyncio.Event()).set())
    journal = JournalService(JournalSettings(poll_seconds=0.02), "", tmp_path, events=events)

    async def ask(question: str) -> str:
        key = current_step.get()
        assert key is not None
        trace = Trace(key.trace_id, "c" * 16, key.span_id, "01", None)
        outbox.put(CallSpans(Redactor()).of(ended(trace=trace, step=(key.run, key.number)), None))
        return question.upper()

    async def fail() -> None:
        raise ValueError(f"no {SECRET}")

    async def good(run: Run, input: Any) -> Any:
        return await run.step("ask", ask, input)

    async def bad(run: Run, input: Any) -> Any:
        child = await run.child("good", "inner")
        await child.result()
        await run.step("fail", fail, retry=Retry(attempts=2, first_seconds=0.001))

    async def long(run: Run, input: Any) -> Any:
        await run.wait("never")

    try:
        for name, function in {"good": good, "bad": bad, "long": long}.items():
            journal.define(name, function)
        await journal.begin()
        first = await journal.start("good", "hi", organisation="org_a", labels={"task": "t", "session": "s", "note": SECRET})
        assert await journal.result(None, first) == "HI"
        second = await journal.start("bad", organisation="org_a")
        with pytest.raises(StepFailed):
            await journal.result(None, second)
        third = await journal.start("long", organisation="org_a")
        await journal.cancel(None, third)
        async with asyncio.timeout(20):
            for run in (first, second, third):
                await told.setdefault(run, asyncio.Event()).wait()
        await outbox.flush()
        await store.flush()

        run, step, call = (one.span for one in await store.trace(trace_of(first), "org_a"))
        assert (run.kind, run.name, run.status, run.run, run.span_id, run.parent_id) == ("run", "good", "ok", first, span_of(first), "")
        assert (step.kind, step.name, step.status, step.parent_id, step.run) == ("step", "ask", "ok", run.span_id, first)
        assert (call.kind, call.parent_id, call.run) == ("call", step.span_id, first)
        assert run.start_ns <= step.start_ns <= step.end_ns <= run.end_ns
        assert (run.task, run.session, step.task) == ("t", "s", "t")
        assert SECRET not in run.attributes

        run, step = (one.span for one in await store.trace(trace_of(second), "org_a"))
        assert (run.status, run.error_code, step.status, step.error_code) == ("failed", "ValueError", "failed", "ValueError")
        assert json.loads(step.attributes)["penstock.step.attempts"] == 2
        assert SECRET not in run.message + step.message

        (run,) = (one.span for one in await store.trace(trace_of(third), "org_a"))
        assert (run.name, run.status) == ("long", "cancelled")
        children = await journal.history(None, second)
        inner = next(one.child for one in children if one.child)
        (child, *_) = (one.span for one in await store.trace(trace_of(inner), "org_a"))
        assert json.loads(child.attributes)["penstock.run.parent"] == second
        assert json.loads(child.links)[0]["trace"] == trace_of(second)
    finally:
        await journal.close()
        await store.close()
