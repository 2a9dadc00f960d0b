"""What runs wait for, told by the rooms that know: the journal itself knows only that a run sleeps, or waits for a signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

WaitKind = Literal["people", "event", "signal", "time"]
"""``people``: an answer or an approval; ``event``: one of the organisation's events; ``signal``: any other; ``time``: that it has come."""


class Wait(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a running run waits for. ``name`` is that of the tool whose call is to be approved, empty for a question, or of the
    event. Times are Unix seconds; without ``until`` it waits as long as it takes."""

    kind: WaitKind
    name: str = ""
    since: float | None = None
    until: float | None = None


class WaitTeller(Protocol):
    """A room whose runs wait for more than the journal knows of."""

    async def waits(self, runs: Sequence[str]) -> Mapping[str, Sequence[Wait]]:
        """What these runs wait for; without those that wait for nothing of this room's."""
        ...

    async def waiting(self, reach: str | None, kind: Literal["people", "event"], most: int) -> Sequence[str]:
        """Runs that wait for that, or did until they ended; those first that began to last."""
        ...


__all__ = ["Wait", "WaitKind", "WaitTeller"]
