"""What is told of a response while it is worked on: events, numbered, on disk before anyone reads them.

So a number that a client has seen is never given again, whatever dies: who comes back with it is told what came after.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
from sqlalchemy import Connection

from penstock.responses import job_store, store
from penstock.responses.conversation import named
from penstock.responses.conversation_store import append
from penstock.responses.job import Job, Status
from penstock.storage.records import Records

FLUSH_SECONDS = 0.05
"""How long an event may wait for others before all go to the disk together."""


class Over(Exception):
    """The response was cancelled or deleted meanwhile."""


class Board:
    """Who of this process waits for news of which response."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._telling: Counter[str] = Counter()

    def tells(self, id: str) -> bool:
        """Whether this process works on that response, and so hears of all that is told of it."""
        return id in self._telling

    @contextlib.contextmanager
    def telling(self, id: str) -> Generator[None]:
        """This process works on that response meanwhile."""
        self._telling[id] += 1
        try:
            yield
        finally:
            self._telling[id] -= 1
            if not self._telling[id]:
                del self._telling[id]
            self.tell(id)  # who waits looks by itself again from now on

    def tell(self, id: str) -> None:
        """There is news."""
        for one in self._waiting.get(id, ()):
            one.set()

    @asynccontextmanager
    async def listen(self, id: str) -> AsyncGenerator[asyncio.Event]:
        """Something that is set at each news."""
        one = asyncio.Event()
        self._waiting[id].add(one)
        try:
            yield one
        finally:
            self._waiting[id].discard(one)
            if not self._waiting[id]:
                del self._waiting[id]


class Telling:
    """Tells the events of one response, and its end. ``number`` is that of the next event; those below ``known`` are on disk already
    and only counted, for whoever tells the same again. Nothing is told of a response that is not to be streamed, but its end."""

    def __init__(self, records: Records, board: Board, job: Job, number: int, known: int = 0) -> None:
        self._records = records
        self._board = board
        self._job = job
        self._first = number
        self._waiting: list[bytes] = []
        self._lock = asyncio.Lock()
        self._known = known
        self._some = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """See to it, while this is open, that what is said gets onto the disk."""
        flushing = asyncio.create_task(self._flushing(), name="events of a response")
        try:
            with self._board.telling(self._job.id):
                yield
        finally:
            flushing.cancel()
            with contextlib.suppress(asyncio.CancelledError, Over):
                await flushing

    def say(self, kind: str, fields: dict[str, Any]) -> None:
        """Tell an event."""
        if not self._job.stream:
            return
        number = self._first + len(self._waiting)
        data = msgspec.json.encode({**fields, "type": kind, "sequence_number": number})
        if number < self._known:
            self._first += 1
            return
        self._waiting.append(data)
        self._some.set()

    async def flush(self, **values: Any) -> None:
        """Put what was said onto the disk, and change the job. Raises `Over` when somebody else has ended it, `StorageError`."""
        async with self._lock:
            count = len(self._waiting)
            if not count and not values:
                return
            pending, first, id = self._waiting[:count], self._first, self._job.id

            def write(connection: Connection) -> bool:
                now = time.time()
                if not job_store.change(connection, id, {"updated_at": now, **values}):
                    return False
                job_store.tell(connection, id, first, pending, now)
                return True

            if not await self._records.write(write):
                raise Over
            del self._waiting[:count]
            self._first += count
        self._board.tell(self._job.id)

    async def end(self, status: Status, response: dict[str, Any], **values: Any) -> None:
        """Tell the end: the whole response, kept with its status in one go. Raises as `flush`."""
        job = self._job
        body = {**response, **job.stands(), "status": status}
        whole = msgspec.json.encode(body)
        said = status in ("completed", "incomplete")
        if status != "cancelled":
            self.say(f"response.{status}", {"response": body})
        async with self._lock:
            pending, first = list(self._waiting), self._first
            turn = job.turn(whole)
            told = named(turn.items(), job.id) if said and job.conversation is not None else []

            def write(connection: Connection) -> bool:
                now = time.time()
                kept = {"status": status, "updated_at": now, "response": None if said else whole, **values}
                if not job_store.change(connection, job.id, kept):
                    return False
                job_store.tell(connection, job.id, first, pending, now)
                if said:
                    store.add(connection, [turn])
                if told and job.conversation is not None:
                    append(connection, job.conversation, told, job.id, now)
                return True

            if not await self._records.write(write):
                raise Over
            self._waiting.clear()
            self._first += len(pending)
        self._board.tell(job.id)

    async def _flushing(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()


class Cut:
    """What a process that died had told of a response, and left unfinished."""

    def __init__(self, told: list[tuple[int, bytes]]) -> None:
        self.next = told[-1][0] + 1 if told else 0
        self.working = False
        """Whether it was said that it is worked on."""
        self.items = 0
        """Places in the output that are taken."""
        self.ids: set[str] = set()
        self._open: dict[int, dict[str, Any]] = {}
        for _, data in told:
            self._heed(msgspec.json.decode(data, type=dict[str, Any]))

    def _heed(self, event: dict[str, Any]) -> None:
        kind, place = event["type"], event.get("output_index", -1)
        if kind == "response.in_progress":
            self.working = True
        elif kind == "response.output_item.added":
            item = cast("dict[str, Any]", event["item"])
            self._open[place] = item
            self.items = max(self.items, place + 1)
            self.ids.add(str(item.get("id")))
        elif kind == "response.output_item.done":
            self._open.pop(place, None)
        elif place in self._open:
            _grow(self._open[place], kind, event)

    def unfinished(self) -> list[tuple[int, dict[str, Any]]]:
        """Items that were begun and not ended, as far as they had come."""
        return [(place, {**item, "status": "incomplete"}) for place, item in sorted(self._open.items())]


def _grow(item: dict[str, Any], kind: str, event: dict[str, Any]) -> None:
    """Put together what deltas have said of an item."""
    if kind == "response.function_call_arguments.delta":
        item["arguments"] = str(item.get("arguments", "")) + event["delta"]
        return
    parts = cast("list[Any]", item.setdefault("content", []))
    if kind == "response.content_part.added":
        parts.append(event["part"])
        return
    for name, field in (("response.output_text.delta", "text"), ("response.refusal.delta", "refusal")):
        at = event.get("content_index", 0)
        if kind == name and at < len(parts):
            part = cast("dict[str, Any]", parts[at])
            part[field] = str(part.get(field, "")) + event["delta"]
