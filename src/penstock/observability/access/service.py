"""Who may see prompts and replies, and the trail of who did."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal

from penstock.kernel.errors import Forbidden
from penstock.kernel.evidence import Via
from penstock.kernel.principal import Principal, Scope
from penstock.observability.access import trail
from penstock.observability.access.trail import Access
from penstock.storage.records import Records

SAME_SECONDS = 60.0
"""Within which a reader who opens the same thing again writes no second line."""

_REMEMBERED = 10_000

Action = Literal["opened", "exported", "erased"]
Kind = Literal["call", "span", "spans", "person", "run"]


class PayloadAccess:
    """Asked by everything that shows prompts and replies to somebody: `require` first, and `note` before they are handed out.

    The line is written before anybody sees anything: where it cannot be written, nothing is shown.
    """

    def __init__(self, records: Records, scope: Scope, clock: Callable[[], float] = time.time) -> None:
        """``scope`` is what a key needs to see prompts and replies at all."""
        self.scope = scope
        self._records = records
        self._clock = clock
        self._recent: OrderedDict[tuple[str, str, str, str], float] = OrderedDict()

    def may(self, reader: Principal) -> bool:
        """Whether this reader may see prompts and replies of what they may see."""
        return reader.may(self.scope)

    def require(self, reader: Principal) -> None:
        """Raises `Forbidden` for a reader who may not."""
        if not self.may(reader):
            raise Forbidden(
                f"key {reader.name!r} may see what happened, but not prompts and replies: for these it needs the scope "
                f"{self.scope.value!r} (observability.payload_scope)"
            )

    async def note(self, reader: Principal, action: Action, kind: Kind, subject: str, organisation: str | None, via: Via) -> None:
        """Write down that ``reader`` does this; once a minute where it is the same again. ``organisation`` is whose prompts they are.

        Raises `Forbidden` as `require` does, and `StorageError` when the line cannot be written.
        """
        self.require(reader)
        now = self._clock()
        whose = organisation or reader.organisation
        same = (reader.key_id, action, subject, whose)
        if action == "opened" and 0 <= now - self._recent.get(same, float("-inf")) < SAME_SECONDS:
            return  # from a later moment it tells nothing: the clock was put back
        line = Access(
            id=0,
            organisation=whose,
            action=action,
            kind=kind,
            subject=subject[:500],
            by=reader.key_id,
            name=reader.name,
            person=reader.person,
            reader_organisation=reader.organisation,
            via=via,
            at=now,
            digest="",
        )
        await self._records.write(lambda c: trail.add(c, line))
        self._recent[same] = now
        self._recent.move_to_end(same)
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    async def lines(self, organisation: str, subject: str | None, before: int | None, limit: int) -> Sequence[Access]:
        """Lines of an organisation, newest first."""
        return await self._records.read(lambda c: trail.latest(c, organisation, subject, before, limit))

    async def broken(self, organisation: str) -> int | None:
        """The first line that was changed, or behind one that was taken out; None when all is whole."""
        return await self._records.read(lambda c: trail.broken(c, organisation))


def told(person: str) -> str:
    """How the trail names a person who is erased, so that it does not keep what was to go; whoever knows the id finds the line."""
    return hashlib.sha256(person.encode()).hexdigest()[:32]
