"""What can be done with batches, whichever shape they were asked for in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from penstock.batches import output, store
from penstock.batches.intake import InlineRequest
from penstock.batches.lines import LinesWriter, written
from penstock.batches.model import ANTHROPIC, ENDED, MESSAGES, OPENAI, Batch, LineError, Status
from penstock.batches.runs import CANCEL, LIVE, NAME, QUEUE, Runs, clear
from penstock.batches.settings import BatchSettings
from penstock.kernel.errors import Conflict, JournalUnavailable, MalformedRequest, NotFound, RequestError, Unavailable
from penstock.kernel.ids import new_id
from penstock.kernel.journal import ENDED as RUN_ENDED
from penstock.kernel.journal import Journal
from penstock.kernel.ports import Files, ModelClient, Ports
from penstock.kernel.principal import Principal
from penstock.storage.records import Records

_log = logging.getLogger("penstock.batches")

STALE_SECONDS = 30.0
"""A batch that goes on and was not touched for so long may have lost its run (somebody cancelled it): that is looked into."""


class Batching:
    """Makes, shows, cancels and deletes batches. ``reach`` is `Principal.reach` everywhere."""

    def __init__(self, records: Records, ports: Ports, runs: Runs, settings: BatchSettings) -> None:
        self._records = records
        self._ports = ports
        self._runs = runs
        self._settings = settings
        self.refused = 0

    @property
    def _journal(self) -> Journal:
        return self._ports.get(Journal)

    @property
    def files(self) -> Files:
        """The room of files. Raises `Unavailable` in a house without one."""
        found = self._ports.find(Files)
        if found is None:
            raise Unavailable("there is no room for files in this house, and OpenAI-shaped batches need one")
        return found

    async def ready(self) -> None:
        """Raises `JournalUnavailable` where no batch could be worked on, before anything is taken in."""
        await self._journal.ready()

    async def create(
        self,
        principal: Principal,
        *,
        input_file: str,
        endpoint: str,
        metadata: dict[str, str] | None = None,
        output_lifetime: float | None = None,
    ) -> Batch:
        """A batch of a file's lines; they are checked in the background. `NotFound` for a file that is not the caller's."""
        if not self._ports.get(ModelClient).takes(endpoint):
            raise RequestError(f"endpoint: {endpoint[:100]!r} cannot be called in a batch", param="endpoint")
        await self.ready()
        await self.files.get(principal.organisation, input_file)
        now = time.time()
        batch = Batch(
            id=new_id("batch"),
            organisation=principal.organisation,
            key_id=principal.key_id,
            shape=OPENAI,
            endpoint=endpoint,
            status=Status.VALIDATING,
            created_at=now,
            updated_at=now,
            expires_at=now + self._settings.window_hours * 3600,
            input_file=input_file,
            output_lifetime=output_lifetime,
            metadata=metadata or {},
        )
        return await self._begin(batch)

    def inline(self) -> Inline:
        """Take in the requests of an Anthropic-shaped batch; see `create_inline`."""
        return Inline(self._runs.folder(new_id("msgbatch")), self._settings.max_lines)

    async def create_inline(self, principal: Principal, taken: Inline) -> Batch:
        """A batch of requests that came inline. Raises `MalformedRequest` when there are none."""
        if not taken.writer.count:
            raise MalformedRequest("requests: at least one is needed", param="requests")
        total = await asyncio.to_thread(taken.writer.close)
        now = time.time()
        batch = Batch(
            id=taken.id,
            organisation=principal.organisation,
            key_id=principal.key_id,
            shape=ANTHROPIC,
            endpoint=MESSAGES,
            status=Status.IN_PROGRESS,
            created_at=now,
            updated_at=now,
            in_progress_at=now,
            expires_at=now + self._settings.window_hours * 3600,
            total=total,
        )
        return await self._begin(batch)

    async def _begin(self, batch: Batch) -> Batch:
        await self._records.write(lambda c: store.add(c, batch))
        try:
            await self._start(batch)
        except JournalUnavailable:
            await self._records.write(lambda c: store.remove(c, batch.id))
            raise
        return batch

    async def _start(self, batch: Batch, *, again: str = "") -> str:
        """Start the batch's run; one that was started already is left as it is."""
        labels = {"batch": batch.id}
        key = batch.id + again
        return await self._journal.start(NAME, {"batch": batch.id}, organisation=batch.organisation, queue=QUEUE, key=key, labels=labels)

    async def get(self, reach: str | None, id: str, *, shape: str | None = None) -> Batch:
        """One batch. `NotFound`, also for one of the other shape where a shape is given."""
        found = await self._kept(reach, id, shape)
        if found.status in LIVE and time.time() - found.updated_at > STALE_SECONDS:
            return await self._mend(found)
        return found

    async def _kept(self, reach: str | None, id: str, shape: str | None) -> Batch:
        found = await self._records.read(lambda c: store.get(c, reach, id))
        if found is None or (shape is not None and found.shape != shape):
            raise NotFound(f"there is no batch {id[:100]!r}", param="id")
        return found

    async def list(
        self,
        reach: str | None,
        *,
        shape: str | None = None,
        below: str | None = None,
        above: str | None = None,
        among: frozenset[Status] | None = None,
        limit: int = 20,
    ) -> Sequence[Batch]:
        """Batches, newest first."""
        return await self._records.read(lambda c: store.listed(c, reach, shape=shape, below=below, above=above, among=among, limit=limit))

    async def cancel(self, reach: str | None, id: str, *, shape: str | None = None) -> Batch:
        """Stop a batch: what is done stays done. `Conflict` when it has ended; once more does nothing."""
        batch = await self.get(reach, id, shape=shape)
        if batch.status in ENDED:
            raise Conflict(f"batch {id} is {batch.status.value} and cannot be cancelled", param="id")
        if batch.status in (Status.CANCELLING, Status.FINALIZING):
            return batch
        now = time.time()
        among = frozenset({Status.VALIDATING, Status.IN_PROGRESS})
        values = {"status": Status.CANCELLING, "cancelling_at": now, "updated_at": now}
        changed = await self._records.write(lambda c: store.change(c, id, values, among=among))
        self._runs.cancel(id)
        if self._settings.delegate:
            with contextlib.suppress(Conflict):  # it has ended meanwhile
                await self._journal.signal(None, await self._start(batch), CANCEL, key=f"{id}/cancel")
        return changed if changed is not None else await self.get(reach, id, shape=shape)

    async def delete(self, reach: str | None, id: str, *, shape: str | None = None) -> None:
        """Delete a batch that has ended, with its results. `Conflict` while it goes on."""
        batch = await self._kept(reach, id, shape)
        if batch.status not in ENDED:
            raise Conflict(f"batch {id} goes on; cancel it first", param="id")
        await self._records.write(lambda c: store.remove(c, id))
        await asyncio.to_thread(shutil.rmtree, self._runs.folder(id), ignore_errors=True)

    async def results(self, reach: str | None, id: str, *, errors: bool = False, shape: str | None = None) -> AsyncIterator[bytes]:
        """The results of a batch that has ended. `NotFound` where there are none (any more)."""
        batch = await self._kept(reach, id, shape)
        if batch.status not in ENDED:
            raise NotFound(f"batch {id} has no results yet: it is {batch.status.value}", param="id")
        if batch.shape == ANTHROPIC:
            path = self._runs.folder(id) / output.OUTPUT_FILE
            if not path.exists():
                raise NotFound(f"the results of batch {id} are not kept any more", param="id")
            return output.on_threads(_read(path))
        file = batch.error_file if errors else batch.output_file
        if file is None:
            raise NotFound(f"batch {id} has no {'errors' if errors else 'output'}", param="id")
        await self.files.get(batch.organisation, file)
        return self.files.read(batch.organisation, file)

    async def take_up(self) -> None:
        """See that every batch that goes on has its run; for one whose process died between the two."""
        for batch in await self.list(None, among=LIVE, limit=10_000):
            await self._start(batch)

    async def archive(self) -> None:
        """Let go of the results of Anthropic-shaped batches that were kept long enough."""
        now = time.time()
        for batch in await self.list(None, shape=ANTHROPIC, among=ENDED, limit=10_000):
            if batch.archived_at is None and now - batch.created_at > self._settings.keep_days * 86_400:
                id = batch.id
                await self._records.write(lambda c, id=id: store.change(c, id, {"archived_at": now}))
                await asyncio.to_thread(clear, self._runs.folder(id), keep_output=False)

    async def _mend(self, batch: Batch) -> Batch:
        """A batch without news: where its run has ended without it, make a file of what is done."""
        run = await self._start(batch)
        found = await self._journal.get(None, run)
        if found.state not in RUN_ENDED:
            return batch
        errors = [LineError(code="run_ended", message=f"its run {run} was ended ({found.state.value}) from outside")]
        values = {"status": Status.CANCELLING, "cancelling_at": time.time(), "updated_at": time.time(), "errors": errors}
        changed = await self._records.write(lambda c: store.change(c, batch.id, values, among=LIVE))
        await self._start(batch, again=f"/{int(batch.updated_at)}")
        return changed or batch


class Inline:
    """Requests on their way into a batch's folder; blocks."""

    def __init__(self, folder: Path, most: int) -> None:
        self.id = folder.name
        self.writer = LinesWriter(folder)
        self._folder = folder
        self._most = most
        self._ids: set[str] = set()

    def take(self, request: InlineRequest) -> None:
        """Write one down. Raises `MalformedRequest` for an id that was there before, and when there are too many."""
        if request.custom_id in self._ids:
            raise MalformedRequest(f"requests: custom_id {request.custom_id!r} stands there twice", param="requests")
        if self.writer.count >= self._most:
            raise MalformedRequest(f"requests: more than {self._most} (batches.max_lines)", param="requests")
        self._ids.add(request.custom_id)
        self.writer.add(written(request.custom_id, MESSAGES, bytes(request.params)))

    def discard(self) -> None:
        """Give up; nothing remains."""
        self.writer.discard()
        shutil.rmtree(self._folder, ignore_errors=True)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 18):
            yield piece
