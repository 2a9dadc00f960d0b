"""A house with a store of spans and a few traces in it, for tests of pages and routes."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.house import SETTINGS, Answer, House, open_house
from tests.observability.traces.spans import call, span

from penstock.storage.telemetry.span import Payload, Span
from penstock.storage.telemetry.store import TelemetryStore

GOOD, BAD, LARGE, ODD, THEIRS = (f"{number:032x}" for number in (0xA1, 0xA2, 0xA3, 0xA4, 0xA5))
SCRIPT = "<script>alert(1)</script>"


class Rig:
    """The house, who is at home in it, and another organisation with a trace of its own."""

    def __init__(self, house: House, home: str, outsider: str, others: str) -> None:
        self.house = house
        self.home = home
        self.outsider = outsider
        self.others = others
        self.began = time.time_ns() - 600 * 10**9

    async def get(self, path: str, key: str | None = None, status: int = 200) -> Any:
        """What a route answers."""
        answer = await self.house.ask("GET", path, key=key)
        assert answer.status == status, answer.text
        return answer.json

    async def page(self, path: str, **more: Any) -> str:
        """A page's text."""
        answer = await self.ask(path, **more)
        assert answer.status == 200, answer.text
        return answer.text

    async def ask(self, path: str, **more: Any) -> Answer:
        return await self.house.ask("GET", path, accept="text/html", **more)

    async def keep(self, batch: str, *spans: Span) -> None:
        store = self.house.app.ports.get(TelemetryStore)
        await store.append(spans, batch)
        await store.flush()

    def conversation(self, trace: str, at: float, asked: str, told: str, **fields: Any) -> list[Span]:
        """An agent that looks something up and answers; ``at`` seconds after the beginning."""
        own = {"trace_id": trace, "organisation": self.home, "at": self.began + int(at * 10**9), "session": "chat-1", "person": "ann"}
        bad = fields.pop("bad", False)
        model = fields.pop("model", "m-1")
        end: dict[str, Any] = {"status": "failed", "error_code": "TimeoutError", "message": "no answer came"} if bad else {}
        return [
            span(
                1,
                0,
                0,
                900,
                kind="agent",
                name="answer",
                agent="support",
                service="bot",
                payload=Payload(input=asked, output=told),
                **own,
                **end,
            ),
            span(2, 1, 10, 200, kind="tool", name="look up", tool="search", **own, **end),
            call(3, 1, asked, told, start=250, took=600, cost_micros=700, currency="USD", **{**own, "model": model, **fields}),
        ]


@asynccontextmanager
async def trace_house(folder: Path, *, large: int = 0) -> AsyncGenerator[Rig]:
    """The house; with a trace of ``large`` spans where asked for."""
    async with open_house(folder, SETTINGS) as house:
        outsider, others = await house.outsider()
        rig = Rig(house, await house.home(), outsider, others)
        attributes = '{"gen_ai.request.temperature":0.2,"http.route":"/chat","penstock.call.id":"call_x"}'
        good = rig.conversation(GOOD, 0, f"Where is the blue kettle? {SCRIPT}", "It left Delft this morning.", attributes=attributes)
        bad = rig.conversation(BAD, 60, "Where is the blue teapot?", "I do not know.", bad=True, model="m-2")
        own: dict[str, Any] = {"trace_id": ODD, "organisation": rig.home, "at": rig.began + 120 * 10**9}
        odd = [
            span(1, 0, 0, 500, name="odd one", **own),
            span(2, 1, -40, 100, name="early", **own),
            span(3, 99, 100, 100, name="lost", **own),
            span(4, 5, 200, 50, name="circle a", **own),
            span(5, 4, 210, 50, name="circle b", **own),
            span(6, 1, 3650 * 86_400_000.0, 50, name="years ahead", **own),
        ]
        theirs = [span(1, trace_id=THEIRS, organisation=others, at=rig.began, name="their secret", payload=Payload(input="blue words"))]
        await rig.keep("few", *good, *bad, *odd, *theirs)
        if large:
            own = {"trace_id": LARGE, "organisation": rig.home, "at": rig.began}
            agents = [span(2 + one, 1, one * 100, 90, kind="agent", name=f"batch {one}", agent="worker", **own) for one in range(40)]
            rest = [span(100 + n, 2 + n % 40, (n % 40) * 100 + n / 1000, 1, kind="tool", name="fetch", **own) for n in range(large - 41)]
            whole = [span(1, 0, 0, float(large), kind="run", name="nightly", **own), *agents, *rest]
            for first in range(0, len(whole), 1000):
                await rig.keep(f"large-{first}", *whole[first : first + 1000])
        yield rig
