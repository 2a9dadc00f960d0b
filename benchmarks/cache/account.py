"""What the station `recall` spends on one call of 1 KB, in microseconds of CPU: without a rule, on a miss, on a hit; and keeping a reply.

The stage runs as it stands in the house, on an index with 10,000 entries, over a provider that answers at once; best of five batches. What
a bare stage costs that does nothing but call on is taken off. Keeping happens when the call is over and the client has its answer.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from penstock.cache.index import Entry
from penstock.cache.rules import Rules
from penstock.cache.settings import CacheRule, CacheSettings
from penstock.cache.shelf import Shelf
from penstock.cache.stage import RecallStage
from penstock.cache.tally import Tally
from penstock.gateway.choose import Catalogue
from penstock.gateway.replies import StoredReplies
from penstock.kernel.call import Call, Reply, Target, Trace, Usage
from penstock.kernel.principal import Principal
from penstock.storage.records import open_records

CALLS = 4_000
WHO = Principal(key_id="key_1", name="app", organisation="org_1")
REPLY = json.dumps(
    {
        "id": "c", "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 100}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 200, "completion_tokens": 100, "total_tokens": 300},
    }
).encode()  # fmt: skip


class _Here(StoredReplies):
    def leads_to(self, name: str, provider: str, model: str) -> bool:
        """Everything leads where it led: there are no providers here."""
        return True


def account() -> dict[str, float]:
    """Microseconds by what happens."""
    return asyncio.run(_account())


async def _account() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        records = open_records("", Path(folder))
        on, off = CacheSettings(rules=(CacheRule(),)), CacheSettings()
        stages = {name: _stage(settings, records) for name, settings in (("on", on), ("off", off))}
        bare = await _cost(_onward, fresh=True)
        found = {
            "without a rule": await _cost(stages["off"].__call__, fresh=True) - bare,
            "a miss": await _cost(stages["on"].__call__, fresh=True) - bare,
            "keeping its reply, afterwards": await _cost(stages["on"].__call__, fresh=True, after=True),
            "a hit": await _cost(stages["on"].__call__, fresh=False) - bare,
            "a hit, kept whole and told as a stream": await _cost(stages["on"].__call__, fresh=False, stream=True) - bare,
        }
        records.close()
        return {name: round(value, 1) for name, value in found.items()}


def _stage(settings: CacheSettings, records: object) -> RecallStage:
    tally = Tally()
    shelf = Shelf(records, settings, tally)  # type: ignore[arg-type]
    for number in range(10_000):
        shelf.index.put(
            Entry(
                key=number.to_bytes(24, "little"), organisation="org_1", task="", model="m", provider="p", provider_model="m",
                shape="openai.chat", stream=False, shown_usage=False, media="application/json", call="call_1", created=time.time(),
                expires=time.time() + 1e6, usage=Usage(), reply=b"x" * 500,
            )
        )  # fmt: skip
    stage = RecallStage(Rules(settings), shelf, tally, settings)
    stage.open(_Here(Catalogue({}, {})), None, None)
    return stage


async def _onward(call: Call, proceed: object) -> Reply:
    return await _answered(call)


async def _answered(call: Call) -> Reply:
    call.target, call.usage, call.outcome = Target("p", "m", "m"), Usage(input=200, output=100), "ok"
    return Reply(body=REPLY, headers=[("content-type", "application/json")])


async def _cost(stage: Callable[..., object], *, fresh: bool, stream: bool = False, after: bool = False) -> float:
    best = float("inf")
    for batch in range(5):
        calls = [_call(f"{after}.{batch}.{number}" if fresh else "same", stream) for number in range(CALLS)]
        if not fresh:
            first = _call("same", False)
            await stage(first, _answered)  # type: ignore[misc]
            first.end()
        began = time.thread_time_ns()
        for call in calls:
            await stage(call, _answered)  # type: ignore[misc]
        through = time.thread_time_ns()
        for call in calls:
            call.end()
        ended = time.thread_time_ns()
        best = min(best, (ended - through if after else through - began) / CALLS / 1000)
    return best


def _call(mark: str, stream: bool) -> Call:
    made = Call(operation="chat", shape="openai.chat", credential=None, deadline=time.monotonic() + 600, trace=Trace.begin())
    asked = {"model": "m", "messages": [{"role": "system", "content": "word " * 150}, {"role": "user", "content": f"question {mark} " * 5}]}
    made.body = json.dumps({**asked, "temperature": 0.2, "stream": stream}).encode()
    made.fields = msgspec.json.decode(made.body, type=dict[str, msgspec.Raw])
    made.model, made.principal, made.stream = "m", WHO, stream
    return made
