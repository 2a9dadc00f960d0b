"""Threads: what an agent and a person have said to each other, run after run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Literal

from sqlalchemy import Connection

from penstock.agents.memory import thread_store
from penstock.agents.memory.settings import MemorySettings
from penstock.agents.recollection import Thread, ThreadMessage
from penstock.kernel.errors import NotFound, RequestError
from penstock.storage.records import Records

TITLE = 120
PAGE = 100
"""Messages that are read at once."""
ID = re.compile(r"[\w.:@+-]{1,200}")


class Threads:
    """Keeps threads. A thread belongs to one agent and one person of an organisation; to others it does not exist."""

    def __init__(self, records: Records, settings: MemorySettings, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._settings = settings
        self._clock = clock

    async def check(self, organisation: str, id: str, agent: str, person: str) -> None:
        """Whether a run may go on with it, or begin it. Raises `RequestError` for what names no thread, `NotFound` for somebody else's."""
        if ID.fullmatch(id) is None:
            raise RequestError("'thread' must be 1 to 200 letters, digits and . : @ + - _", param="thread")
        found = await self._records.read(lambda c: thread_store.get(c, organisation, id))
        if found is not None and (found.agent, found.person) != (agent, person):
            raise missing(id)

    async def open(self, organisation: str, id: str, agent: str, person: str, said: str) -> int:
        """Go on with a thread, or begin it; the number of its last message so far. ``said`` is what is said now. Raises `NotFound` where
        it is another agent's or another person's."""
        now = self._clock()

        def write(connection: Connection) -> int:
            found = thread_store.get(connection, organisation, id)
            if found is None:
                title = " ".join(said.replace("\0", "").split())[:TITLE]
                made = Thread(id=id, organisation=organisation, agent=agent, person=person, title=title, created_at=now, updated_at=now)
                thread_store.add(connection, made)
                return 0
            if (found.agent, found.person) != (agent, person):
                raise missing(id)
            return thread_store.last(connection, organisation, id)

        return await self._records.write(write)

    async def history(self, organisation: str, id: str, until: int) -> list[tuple[Literal["user", "assistant"], str]]:
        """What was said up to message ``until``, the oldest first; of a long thread the newest that fit ``agents.memory.history_bytes``,
        from a message of a user on."""
        if until < 1:
            return []
        kept = await self._records.read(lambda c: self._newest(c, organisation, id, until))
        while kept and kept[-1][0] != "user":
            kept.pop()
        return kept[::-1]

    def _newest(self, connection: Connection, organisation: str, id: str, until: int) -> list[tuple[Literal["user", "assistant"], str]]:
        """The newest messages that fit, the newest first; no more of the thread is read than a page beyond them."""
        kept: list[tuple[Literal["user", "assistant"], str]] = []
        left = self._settings.history_bytes
        while until > 0:
            found = thread_store.said(connection, organisation, id, until=until, most=PAGE)
            for one in found:
                left -= len(one.text.encode())
                if left < 0:
                    return kept
                kept.append((one.role, one.text))
            until = found[-1].number - 1 if found else 0
        return kept

    async def keep(self, organisation: str, id: str, run: str, said: Sequence[tuple[Literal["user", "assistant"], str]]) -> None:
        """Add what was said in a run, once. A thread that was deleted meanwhile stays deleted."""
        now = self._clock()
        told = [(role, text.replace("\0", "")) for role, text in said]
        await self._records.write(lambda c: thread_store.say(c, organisation, id, run, told, now))

    async def list(
        self, reach: str | None, *, person: str | None = None, agent: str | None = None, before: float | None = None, most: int = 50
    ) -> list[Thread]:
        """The last ones first."""
        return await self._records.read(lambda c: thread_store.listed(c, reach, person=person, agent=agent, before=before, most=most))

    async def get(self, reach: str | None, id: str, person: str | None = None) -> Thread:
        """One; of one person alone, where one is given. Raises `NotFound`."""
        # None has a name that `check` would not take, nor does every database hold each.
        found = await self._records.read(lambda c: thread_store.find(c, reach, id, person)) if ID.fullmatch(id) is not None else None
        if found is None:
            raise missing(id)
        return found

    async def messages(self, thread: Thread, before: int | None = None, most: int = 200) -> list[ThreadMessage]:
        """Its messages, the oldest first: the last so many before a number."""
        until = None if before is None else before - 1
        found = await self._records.read(lambda c: thread_store.said(c, thread.organisation, thread.id, until=until, most=most))
        return found[::-1]

    async def delete(self, reach: str | None, id: str, person: str | None = None) -> None:
        """Delete one with its messages. Raises `NotFound`."""
        found = await self.get(reach, id, person)
        if not await self._records.write(lambda c: thread_store.remove(c, found.organisation, id)):
            raise missing(id)

    async def expire(self) -> int:
        """Let go of those that nobody has gone on with for long enough; how many."""
        before = self._clock() - self._settings.thread_days * 86_400
        return await self._records.write(lambda c: thread_store.remove_unused(c, before))

    async def erase(self, organisation: str, person: str) -> int:
        """Take away a person's threads; how many."""
        return await self._records.write(lambda c: thread_store.remove_person(c, organisation, person))


def missing(id: str) -> NotFound:
    """What is said of a thread that is not there, or not for this reader."""
    return NotFound(f"there is no thread {id[:100]!r}", param="thread")
