"""A batch's lines at a vendor's own batches: handed over, submitted once, looked after, and their results taken in.

What is about to be done is noted before it is done. A process that dies between the vendor's acceptance and our note leaves a slice that is
``submitting``; whoever goes on looks for it at the vendor before submitting again (`VendorBatches.find`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from pathlib import Path

from penstock.batches import slices
from penstock.batches.asking import result_of, without_answer
from penstock.batches.lines import Lines, read_line
from penstock.batches.model import Batch
from penstock.batches.results import Result, ResultLog
from penstock.batches.slices import Entry, Slice, Slices, Writer
from penstock.kernel.approvals import Approvals, Refusal
from penstock.kernel.delegation import Handed, Holding, VendorBatches
from penstock.kernel.errors import DeadlineExceeded, UpstreamError, UpstreamRefused
from penstock.kernel.ports import ModelAsk, ModelClient
from penstock.kernel.principal import Principal

_log = logging.getLogger("penstock.batches")

UPLOAD_SECONDS = 3600.0
GIVE_UP = 3600.0
"""Seconds after the window's end for which a vendor that does not answer is still asked for what it has done."""
MISSING, REFUSED, LOST = "vendor_result_missing", "vendor_batch_failed", "vendor_unreachable"
_CERTAIN = frozenset({400, 401, 402, 403, 404, 405, 413, 422})
"""Statuses after which a vendor has surely not made a batch."""


class Delegation:
    """What it takes to delegate; ``to`` are the providers that may be delegated to, ``again`` says whether lines that a vendor did not do
    are called in real time, ``approvals`` whether their model may still be used."""

    def __init__(
        self,
        vendors: VendorBatches,
        holding: Holding,
        client: ModelClient,
        to: frozenset[str],
        *,
        again: bool,
        approvals: Approvals | None = None,
    ) -> None:
        self.approvals = approvals
        self.vendors = vendors
        self.holding = holding
        self.client = client
        self.to = to
        self.again = again
        self.counts: Counter[str] = Counter()
        self.stopped: set[str] = set()
        """Ids of slices of which the log says that their model may not be used any more."""
        self.held: set[str] = set()
        """Ids of slices for whose lines this process holds money."""


class Handing:
    """Takes lines that were handed over, while the others are called. They count once `close` has returned."""

    def __init__(self, delegation: Delegation, folder: Path, total: int) -> None:
        self._delegation = delegation
        self._slices = Slices(folder)
        self._writer = Writer(self._slices, folder)
        self._principal: Principal | None = None
        self._calls: list[str] = []
        self.taken = self._slices.numbers(total)

    @property
    def to(self) -> frozenset[str]:
        """Where lines may go: nowhere when some have been there already."""
        return frozenset() if self._slices.notes.slices else self._delegation.to

    @property
    def waiting(self) -> bool:
        """Whether slices have not ended."""
        return bool(self._slices.waiting)

    def take(self, number: int, handed: Handed, principal: Principal) -> None:
        """Write a line down. Blocks for a moment now and then."""
        vendors, limits = self._delegation.vendors, self._delegation.vendors.limits(handed.provider)
        assert limits is not None
        self._principal = principal
        self._calls.append(handed.call)
        body = handed.body.replace(b"\n", b" ").replace(b"\r", b" ")  # in valid JSON they are white space
        id = self._writer.id(handed, len(body) + 200, limits)
        self._writer.add(number, handed, vendors.entry(handed.provider, f"{id}-{number}", body))

    def close(self) -> None:
        """What was taken goes to the vendor, whatever dies from now on."""
        self._writer.close(self._principal)
        self._calls.clear()

    def discard(self) -> None:
        """What was taken goes nowhere; what was set aside for it is given back. Does nothing after `close`."""
        self._writer.discard()
        for call in self._calls:
            self._delegation.holding.drop(call)
        self._calls.clear()


class Looking:
    """One look at the slices of a batch: submits, asks how they stand, takes results in."""

    def __init__(self, delegation: Delegation, batch: Batch, folder: Path) -> None:
        self._delegation = delegation
        self._batch = batch
        self._folder = folder
        self._slices = Slices(folder)
        self.notes = self._slices.notes

    async def look(self, log: ResultLog, why: str | None) -> bool:
        """Do what can be done now; whether all slices have ended. ``why`` says that work ends early: they are cancelled there then."""
        if why is not None and self.notes.why is None:
            self.notes.why = why
            await asyncio.to_thread(self._slices.save)
        for one in self._slices.waiting:
            await self._hold(one, log)
            try:
                await self._one(one, log)
            except (UpstreamError, DeadlineExceeded) as fault:
                _log.warning(
                    "a vendor's batch cannot be looked after; it is tried again",
                    extra={"batch": self._batch.id, "slice": one.id, "provider": one.provider, "fault": fault.message, "code": fault.code},
                )
                if time.time() > self._batch.expires_at + GIVE_UP:
                    await self._end(one, log, LOST, again=False)
        return not self._slices.waiting

    async def _one(self, one: Slice, log: ResultLog) -> None:
        vendors = self._delegation.vendors
        refusal = self._refusal(one)
        if refusal is not None and one.id not in self._delegation.stopped:
            self._delegation.stopped.add(one.id)
            self._delegation.counts["not_approved"] += 1
            _log.warning("a vendor's batch is stopped", extra={"batch": self._batch.id, "slice": one.id, "why": refusal.message})
        stopped = self.notes.why is not None or refusal is not None
        if one.state == slices.WRITTEN:
            if stopped:
                await self._end(one, log, REFUSED, again=True)
                return
            if one.file is None:
                one.file = await vendors.upload(one.provider, one.id, self._slices.lines(one), UPLOAD_SECONDS)
            one.state, one.since = slices.SUBMITTING, time.time()
            await asyncio.to_thread(self._slices.save)
            await self._submit(one, log)
        elif one.state == slices.SUBMITTING:
            known = frozenset(s.vendor for s in self.notes.slices if s.vendor is not None)
            found, certain = await vendors.find(one.provider, one.id, one.count, one.since, known)
            if found is not None:
                self._delegation.counts["found"] += 1
                await self._submitted(one, found)
            elif not certain:
                return
            elif stopped:
                await self._end(one, log, REFUSED, again=True)
            else:
                await self._submit(one, log)
        if one.state == slices.SUBMITTED:
            await self._standing(one, log, stopped=stopped)

    async def _submit(self, one: Slice, log: ResultLog) -> None:
        try:
            id = await self._delegation.vendors.submit(one.provider, one.id, one.file, self._slices.lines(one))
        except UpstreamRefused as fault:
            if fault.upstream_status not in _CERTAIN:
                raise
            _log.warning("a vendor refused a batch", extra={"batch": self._batch.id, "slice": one.id, "fault": fault.message})
            await self._end(one, log, REFUSED, again=True)
            return
        self._delegation.counts["submitted"] += 1
        await self._submitted(one, id)

    async def _submitted(self, one: Slice, id: str) -> None:
        one.state, one.vendor = slices.SUBMITTED, id
        await asyncio.to_thread(self._slices.save)

    async def _standing(self, one: Slice, log: ResultLog, *, stopped: bool) -> None:
        vendors = self._delegation.vendors
        assert one.vendor is not None
        if stopped:
            await vendors.cancel(one.provider, one.vendor)
        found = await vendors.look(one.provider, one.vendor)
        if not found.ended:
            return
        if found.error is not None:
            _log.warning("a vendor's batch failed", extra={"batch": self._batch.id, "slice": one.id, "fault": found.error})
            await self._end(one, log, REFUSED, again=True)
            return
        left: set[int] = set()
        for file in found.files:
            try:
                await self._take_in(one, log, file, left)
            except UpstreamRefused as fault:
                if fault.upstream_status not in (404, 410):
                    raise
                _log.warning("a vendor's results are gone", extra={"batch": self._batch.id, "slice": one.id, "fault": fault.message})
        await self._end(one, log, MISSING, again=False, left=left)

    async def _take_in(self, one: Slice, log: ResultLog, file: str, left: set[int]) -> None:
        entries = {f"{one.id}-{e.number}": e for e in await self._entries(one)}
        counts, longest = self._delegation.counts, 64 << 20
        lines = await asyncio.to_thread(Lines, self._folder)
        try:
            async for reply in self._delegation.vendors.results(one.provider, file, longest):
                entry = None if reply is None else entries.get(reply.custom_id)
                if reply is None or entry is None:
                    counts["unreadable" if reply is None else "unknown"] += 1
                    _log.warning("a line of a vendor's results is refused", extra={"batch": self._batch.id, "slice": one.id})
                elif not log.done[entry.number]:
                    if reply.reply is None or (reply.again and self._may_again()):
                        left.add(entry.number)
                        continue
                    line = lines.one(entry.number)
                    ask = self._ask(entry, bytes(read_line(line).body))
                    answer = await self._delegation.client.settle(ask, entry.handed, reply.reply)
                    log.add(entry.number, result_of(self._batch, read_line(line).custom_id, answer))
                    left.discard(entry.number)
                    await asyncio.sleep(0)  # calls that wait go first
        finally:
            lines.close()

    def _ask(self, entry: Entry, body: bytes) -> ModelAsk:
        assert self.notes.principal is not None
        labels = {"batch": self._batch.id, "line": str(entry.number + 1)}
        return ModelAsk(path=self._batch.endpoint, body=body, principal=self.notes.principal, priority="batch", labels=labels)

    def _refusal(self, one: Slice) -> Refusal | None:
        """Why the slice's model may not be used any more: it was handed over when it might be, and that may be a day ago."""
        approvals, principal = self._delegation.approvals, self.notes.principal
        if approvals is None or principal is None or not one.model:
            return None
        found = (approvals.refusal(one.provider, one.model, organisation=principal.organisation, task=task) for task in one.tasks)
        return next((refusal for refusal in found if refusal is not None), None)

    def _may_again(self) -> bool:
        return self._delegation.again and self.notes.why is None and time.time() < self._batch.expires_at

    async def _end(self, one: Slice, log: ResultLog, code: str, *, again: bool, left: set[int] | None = None) -> None:
        """Every line without a result gets an error, but those that are called in real time, or that work ended too early for."""
        waits = self._may_again() or self.notes.why is not None
        with await asyncio.to_thread(Lines, self._folder) as lines:
            for entry in await self._entries(one):
                self._delegation.holding.drop(entry.handed.call)
                number = entry.number
                if log.done[number] or (waits and (again or (left is not None and number in left))):
                    continue
                told = "batch_expired" if left is not None and number in left else code
                log.add(number, Result(without_answer(self._batch, lines.one(number), told), code=told))
                await asyncio.sleep(0)
        await asyncio.to_thread(log.sync)
        self._delegation.held.discard(one.id)
        self._delegation.stopped.discard(one.id)
        one.state = slices.ENDED
        await asyncio.to_thread(self._slices.save)

    async def _hold(self, one: Slice, log: ResultLog) -> None:
        principal = self.notes.principal
        assert principal is not None
        if one.id in self._delegation.held:
            return
        for entry in await self._entries(one):
            if not log.done[entry.number]:
                self._delegation.holding.again(principal, entry.handed)
        self._delegation.held.add(one.id)

    async def _entries(self, one: Slice) -> list[Entry]:
        return await asyncio.to_thread(lambda: list(self._slices.entries(one)))
