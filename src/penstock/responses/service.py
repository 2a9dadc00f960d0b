"""What is known of stored responses: find one, the conversation that it ends, delete it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from penstock.kernel.errors import BodyTooLarge, NotFound
from penstock.responses import store
from penstock.responses.pending import Pending
from penstock.responses.settings import ResponsesSettings
from penstock.responses.turn import ID, Turn, made_at
from penstock.storage.records import Records

YOUNG_SECONDS = 5.0
"""Age up to which a response that is not found may be on its way from another process."""
PATIENCE_SECONDS = 1.0
_PAUSE = 0.03
ITEMS, MOST_ITEMS = 20, 100
"""Items on a page of a response's input: when nobody says, and at most."""


class ResponseService:
    """Reads from what this process holds, then from the table; a response that another process has just made is waited for."""

    def __init__(self, records: Records, pending: Pending, settings: ResponsesSettings, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._pending = pending
        self.settings = settings
        self._clock = clock

    async def get(self, reach: str | None, id: str) -> Turn:
        """One turn. Raises `NotFound`."""
        return (await self._chain(reach, id, 1))[0]

    async def conversation(self, reach: str | None, id: str) -> list[Turn]:
        """The turns up to and with ``id``, the first one first.

        Raises `NotFound` when one of them is gone, `BodyTooLarge` when they are more than may be followed.
        """
        settings = self.settings
        turns = await self._chain(reach, id, settings.max_chain_turns)
        if turns[-1].previous is not None and ID.fullmatch(turns[-1].previous) is not None:
            if len(turns) >= settings.max_chain_turns:
                raise BodyTooLarge(
                    f"the conversation has more than responses.max_chain_turns ({settings.max_chain_turns}) turns", param=_PARAM
                )
            raise NotFound(
                f"{id} follows {turns[-1].previous}, which was deleted or has expired; send the conversation as 'input'",
                code="previous_response_not_found",
                status=400,
                param=_PARAM,
            )
        if sum(turn.size for turn in turns) > settings.max_chain_bytes:
            raise BodyTooLarge(f"the conversation is longer than responses.max_chain_bytes ({settings.max_chain_bytes})", param=_PARAM)
        return turns[::-1]

    async def delete(self, reach: str | None, id: str) -> None:
        """Delete a turn. Raises `NotFound`."""
        await self.get(reach, id)
        await self._pending.flush()
        now = self._clock()
        if not await self._records.write(lambda c: store.remove(c, reach, id, now)):
            raise missing(id)

    async def keep(self, turn: Turn) -> None:
        """Keep a turn; see `Pending.keep`."""
        await self._pending.keep(turn)

    async def expire(self) -> int:
        """Remove what has been kept long enough; how many."""
        now = self._clock()
        return await self._records.write(lambda c: store.remove_expired(c, now))

    def now(self) -> float:
        """The moment, in Unix seconds."""
        return self._clock()

    async def _chain(self, reach: str | None, id: str, most: int) -> list[Turn]:
        """The turn and those that it follows, the last one first. Raises `NotFound` when the turn itself is not there."""
        if ID.fullmatch(id) is None:
            raise missing(id)
        turns: list[Turn] = []
        wanted: str | None = id
        while wanted is not None and len(turns) < most:
            held = self._pending.find(wanted)
            if held is not None and held.expires_at > self._clock():
                if reach is not None and held.organisation != reach:
                    break
                turns.append(held)
                wanted = held.previous
                continue
            turns += await self._stored(reach, wanted, most - len(turns))
            break
        if not turns:
            raise missing(id)
        return turns

    async def _stored(self, reach: str | None, id: str, most: int) -> list[Turn]:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            now = self._clock()
            found = await self._records.read(lambda c, now=now: store.chain(c, reach, id, now, most))
            if found or not _young(id, now) or time.monotonic() >= until:
                return found
            await asyncio.sleep(_PAUSE)


def missing(id: str) -> NotFound:
    """What is said of a response that is not there, or not for this caller."""
    return NotFound(f"there is no response {id[:80]!r}", param="response_id")


_PARAM = "previous_response_id"


def _young(id: str, now: float) -> bool:
    return abs(now - made_at(id)) < YOUNG_SECONDS
