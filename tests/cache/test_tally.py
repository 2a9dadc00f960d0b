from __future__ import annotations

from typing import Any

from penstock.cache.tally import DAY, MOST, OTHER, Tally
from penstock.kernel.call import Call, Recall, Target, Trace, Usage
from penstock.kernel.events import CallEnded
from penstock.kernel.principal import Principal


class Prices:
    def estimate(self, provider: str, model: str, usage: Usage) -> int | None:
        return None if model == "unknown" else (usage.input - usage.cached) * 10 + usage.cached + usage.cache_written * 2


def call(task: str = "t", model: str = "m", **more: Any) -> Call:
    made = Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin())
    made.principal = Principal(key_id="k", name="k", organisation="org_1")
    made.task, made.model, made.outcome, made.started_at = task, model, "ok", 5.0 * DAY
    made.target = Target("p", model, model)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def recall(kind: str, saved: int | None) -> Recall:
    return Recall(kind=kind, call="call_1", provider="p", model="m", age=1, usage=Usage(input=7, output=3), saved=saved)


def test_hits_misses_and_the_providers_own_caches_are_summed() -> None:
    tally = Tally()
    tally.prices = Prices()
    tally.ended(CallEnded(call=call(recalled=recall("exact", 5), target=Target("cache", "m", "m"), usage=Usage())))
    tally.ended(CallEnded(call=call(recalled=recall("semantic", None))))
    tally.ended(CallEnded(call=call(recalled=recall("exact", 5), outcome="cancelled")))
    tally.ended(CallEnded(call=call(usage=Usage(input=100, cached=60, cache_written=10))))
    tally.ended(CallEnded(call=call(usage=Usage(input=50, estimated=True))))
    tally.ended(CallEnded(call=call(usage=Usage(input=100, cached=60), model="unknown")))
    tally.missed(call())
    rows = {row["provider_model"]: row for row in tally.changed()}
    one = rows["m"]
    assert {k: one[k] for k in ("day", "organisation", "task", "provider")} == {
        "day": 5,
        "organisation": "org_1",
        "task": "t",
        "provider": "p",
    }
    assert (one["misses"], one["exact"], one["semantic"], one["saved"], one["unpriced"]) == (1, 1, 1, 5, 1)
    assert (one["saved_input"], one["saved_output"]) == (14, 6)
    assert (one["input"], one["cached"], one["written"], one["discount"]) == (100, 60, 10, 1000 - (400 + 60 + 20))
    assert (rows["unknown"]["cached"], rows["unknown"]["discount"]) == (60, 0)
    assert (tally.hits, tally.misses, tally.saved) == ({"exact": 1, "semantic": 1}, 1, 5)


def test_rows_come_once_and_again_when_they_were_not_written() -> None:
    tally = Tally()
    tally.missed(call())
    rows = tally.changed()
    assert tally.changed() == []
    tally.unwritten(rows)
    assert [row["id"] for row in tally.changed()] == [row["id"] for row in rows]
    tally.missed(call(started_at=9.0 * DAY))
    tally.written(tally.changed())
    tally.unwritten(rows)
    assert [row["day"] for row in tally.changed()] == [9]


def test_callers_cannot_fill_memory_with_tasks() -> None:
    tally = Tally()
    for number in range(MOST + 5):
        tally.missed(call(task=f"t{number}"))
    rows = tally.changed()
    assert len(rows) == MOST + 1
    assert next(row["misses"] for row in rows if row["task"] == OTHER) == 5
