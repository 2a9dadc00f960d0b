"""Handing calls to a vendor's own batches: what a call carries of it, and the ports through which the batches reach it.

A line of a batch walks the line to where it would be sent, with all that admits, guards and reserves. There the body for the vendor
is handed over instead, and what was set aside stays so. When the vendor's reply is there, the call's second half is done: it is charged and
recorded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from penstock.kernel.principal import Principal


class Returned(msgspec.Struct, frozen=True):
    """What a vendor's batch says to one line: HTTP status and body."""

    status: int
    body: bytes


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is ready for a vendor's batch.

    ``call`` is the call's id: its row on the ledger and its record will have it, so that a reply that is settled twice is there once.
    ``wire`` is the shape of ``body``, ``name`` the model as the caller asked for it, ``most`` the micro-units that were set aside.
    ``prompt`` is the stored prompt that was put into it.
    """

    call: str
    provider: str
    model: str
    name: str
    wire: str
    task: str | None
    most: int
    body: bytes
    prompt: str | None = None


class Handover(msgspec.Struct):
    """On a call: the providers whose batches it may go to, what was handed over, or the reply that came back."""

    to: frozenset[str] = frozenset()
    most: int = 0
    handed: Handed | None = None
    returned: Returned | None = None


class HandedOver(Exception):
    """Travels back along the line when a call was handed over: nothing was spent, nothing is recorded yet."""


class Holding(Protocol):
    """Money that is set aside for calls that were handed over."""

    def again(self, principal: Principal, handed: Handed) -> None:
        """Set it aside in this process where it is not; whether or not a budget has room, since the vendor has the call."""
        ...

    def drop(self, call: str) -> None:
        """Give it back: the call will not be settled. A second time does nothing."""
        ...


class Limits(msgspec.Struct, frozen=True):
    """How much one batch of a vendor takes, and the shape of the requests in it."""

    lines: int
    bytes: int
    wire: str


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """How a vendor's batch stands. ``error`` says why it failed as a whole; ``files`` are where its results are."""

    ended: bool
    error: str | None = None
    files: tuple[str, ...] = ()


class LineReply(msgspec.Struct, frozen=True):
    """One line of a vendor's results. Without ``reply`` it was not done; ``why`` says why.

    ``again`` says that it may be asked elsewhere."""

    custom_id: str
    reply: Returned | None
    why: str = ""
    again: bool = False


class VendorBatches(Protocol):
    """The batch APIs of the providers that have one. Raises `UpstreamError` or `DeadlineExceeded` as calls do."""

    def limits(self, provider: str) -> Limits | None:
        """None for a provider that has no batches, or that is not there."""
        ...

    def entry(self, provider: str, custom_id: str, body: bytes) -> bytes:
        """A line as the vendor takes it, without what stands between lines."""
        ...

    async def upload(self, provider: str, name: str, lines: AsyncIterator[bytes], seconds: float) -> str | None:
        """Bring the lines there where that comes first; the file's id, None where they go with `submit`."""
        ...

    async def submit(self, provider: str, name: str, file: str | None, lines: AsyncIterator[bytes]) -> str:
        """Make the batch; the vendor's id of it. When this fails in any way but `UpstreamRefused` it may be there."""
        ...

    async def find(self, provider: str, name: str, count: int, since: float, known: frozenset[str]) -> tuple[str | None, bool]:
        """The batch that `submit` made under ``name`` if it is there, and whether that is certain; ``known`` are ids of others."""
        ...

    async def look(self, provider: str, id: str) -> Looked:
        """How it stands."""
        ...

    async def cancel(self, provider: str, id: str) -> None:
        """Ask for it to be cancelled; once more, or too late, does nothing."""
        ...

    def results(self, provider: str, file: str, longest: int) -> AsyncIterator[LineReply | None]:
        """The lines of one of `Looked.files`, None for one that cannot be read."""
        ...


__all__ = ["Handed", "HandedOver", "Handover", "Holding", "Limits", "LineReply", "Looked", "Returned", "VendorBatches"]
