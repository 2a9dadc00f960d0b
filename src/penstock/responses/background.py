"""Responses as durable runs: begun, worked on whatever crashes, watched, cancelled, deleted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
from sqlalchemy import Connection

from penstock.kernel.errors import Conflict, JournalInUse, NotFound, PenstockError, RequestError, StepFailed
from penstock.kernel.journal import ENDED, Journal, Queue, Retry, Run
from penstock.kernel.principal import Principal
from penstock.responses import job_store
from penstock.responses.agent import Agents
from penstock.responses.asking import Asking, Fault, failure
from penstock.responses.job import LIVE, Job, Status
from penstock.responses.replay import replay
from penstock.responses.service import ResponseService, missing
from penstock.responses.settings import ResponsesSettings
from penstock.responses.telling import Board, Cut, Over, Telling
from penstock.storage.records import Records

NAME = "response"
QUEUE = "responses"
TRIES = 8
"""How often a model is asked that cannot answer just then; between them it waits as long as it is told, or 1, 2, 4 ... seconds."""
LONGEST_PAUSE = 60.0
PATIENT = Retry(attempts=20, first_seconds=0.2, longest_seconds=30.0)
"""For a step that could not be written down."""
TAKE_UP_SECONDS = 5.0
SETTLE_SECONDS = 60.0
"""Without news of a response for so long it is looked whether its run still goes on."""
POLL_SECONDS = 0.25
"""Between two looks for events that another process tells."""
HERE_SECONDS = 2.0
"""The same where this process tells them, and wakes who waits: another one may have ended the response all the same."""
KEEP_ALIVE_SECONDS = 15.0
PAGE = 500


class Background:
    """The responses that are worked on. The journal is asked for when it is needed: another room provides it."""

    def __init__(
        self,
        records: Records,
        service: ResponseService,
        settings: ResponsesSettings,
        journal: Callable[[], Journal],
        asking: Asking,
        agents: Agents,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        self._records = records
        self._service = service
        self._settings = settings
        self._journal = journal
        self._asking = asking
        self._left = left
        self._agents = agents
        self._board = Board()

    def define(self) -> None:
        """Tell the journal what such a run is."""
        journal = self._journal()
        journal.define(NAME, self.execute)
        journal.declare(Queue(name=QUEUE, tenant_concurrency=self._settings.at_once, per_process=self._settings.per_process))

    # What callers ask for

    async def start(self, job: Job) -> None:
        """Begin a job; it cannot get lost once this returns. Raises `JournalUnavailable`, and then there is none."""

        def write(connection: Connection) -> None:
            job_store.add(connection, job)
            if job.stream:
                shell = job.shell("queued")
                told = (
                    {"type": f"response.{kind}", "sequence_number": n, "response": shell} for n, kind in enumerate(("created", "queued"))
                )
                job_store.tell(connection, job.id, 0, [msgspec.json.encode(one) for one in told], job.created_at)

        await self._records.write(write)
        try:
            await self._begin(job)
        except JournalInUse:
            self._left()  # another worker has the journal, and takes up what lies there
        except PenstockError:
            await self._records.write(lambda c: job_store.remove(c, job.id))
            raise

    async def get(self, reach: str | None, id: str) -> Job | None:
        """The job of a response, None where it has, or had, none."""
        if "\0" in id:  # which no database holds in a text
            return None
        now = time.time()
        return await self._records.read(lambda c: job_store.get(c, reach, id, now))

    async def look(self, job: Job) -> bytes:
        """A response as it stands."""
        if job.response is not None:
            return job.response
        if job.live:
            return msgspec.json.encode(job.shell(job.status))
        return (await self._service.get(None, job.id)).response

    async def ended(self, job: Job) -> bytes:
        """The response, once it is over. Raises `NotFound` where it was deleted meanwhile."""
        async with self._board.listen(job.id) as news:
            while True:
                status = await self._records.read(lambda c: job_store.status(c, job.id, time.time()))
                if status not in LIVE:
                    found = await self.get(None, job.id) if status is not None else None
                    if found is None:
                        raise missing(job.id)
                    return await self.look(found)
                await _news(news, self._pause(job.id))

    async def watch(self, job: Job, after: int = -1) -> AsyncGenerator[bytes]:
        """The events behind number ``after`` as server-sent events, as they come, until the last."""
        if not job.stream:
            async for event in self._replayed(job, after):
                yield event
            return
        quiet = time.monotonic()
        async with self._board.listen(job.id) as news:
            while True:
                status, told = await self._news(job.id, after)
                for number, data in told:
                    after, quiet = number, time.monotonic()
                    yield b"event: %s\ndata: %s\n\n" % (_kind(data), data)
                if len(told) < PAGE and status not in LIVE:
                    return
                if not told:
                    await _news(news, self._pause(job.id))
                    if time.monotonic() - quiet >= KEEP_ALIVE_SECONDS:
                        quiet = time.monotonic()
                        yield b": still there\n\n"

    async def replay(self, job: Job, after: int) -> AsyncGenerator[bytes]:
        """As `watch`, for who comes back. Raises `RequestError` where the events are not kept any more."""
        if job.stream and not job.live:
            kept = await self._records.read(lambda c: job_store.told(c, job.id, -1, 1))
            if not kept:
                if after >= 0:
                    what = f"the events of {job.id} are not kept any more (responses.event_hours); ask for it without 'starting_after'"
                    raise RequestError(what, code="events_expired", param="starting_after")
                return self._replayed(job, after)
        return self.watch(job, after)

    async def cancel(self, principal: Principal, job: Job) -> bytes:
        """End it where it stands; the response, also of one that has ended before."""
        if job.live:
            shell = job.shell("cancelled", completed_at=int(time.time()))
            telling = Telling(self._records, self._board, job, 0)
            try:
                await telling.end("cancelled", shell)
            except Over:
                pass  # it ended by itself in this moment
            else:
                await self._stop(principal, job)
        found = await self.get(None, job.id)
        if found is None:
            raise missing(job.id)
        return await self.look(found)

    async def delete(self, principal: Principal, job: Job) -> None:
        """Take it away with all that was told of it; one that is worked on is cancelled first."""
        if job.live:
            await self.cancel(principal, job)
        await self._records.write(lambda c: job_store.remove(c, job.id))
        with contextlib.suppress(NotFound):  # it had no answer
            await self._service.delete(principal.reach, job.id)

    async def _stop(self, principal: Principal, job: Job) -> None:
        found = await self.get(None, job.id) or job
        with contextlib.suppress(Conflict, NotFound):  # it had ended by itself
            await self._agents.cancel(principal, found)
        if found.run is not None:
            with contextlib.suppress(Conflict, NotFound):
                await self._journal().cancel(None, found.run)

    async def _news(self, id: str, after: int) -> tuple[Status | None, list[tuple[int, bytes]]]:
        now = time.time()
        return await self._records.read(lambda c: (job_store.status(c, id, now), job_store.told(c, id, after, PAGE)))

    def _pause(self, id: str) -> float:
        return HERE_SECONDS if self._board.tells(id) else POLL_SECONDS

    async def _replayed(self, job: Job, after: int) -> AsyncGenerator[bytes]:
        waiting = asyncio.ensure_future(self.ended(job))
        try:
            while not (await asyncio.wait([waiting], timeout=KEEP_ALIVE_SECONDS))[0]:
                yield b": still there\n\n"
            for event in replay(await waiting, after):
                yield event
        finally:
            waiting.cancel()

    # The run

    async def execute(self, run: Run, given: Any) -> str:
        """The run's function; how the response ended."""
        id: str = given["response"]
        try:
            for attempt in range(1, TRIES + 1):
                told = await run.step("answer", self._answer, id, attempt == TRIES, retry=PATIENT)
                if told["again"] is None:
                    return told["status"]
                await run.sleep(max(told["again"], min(LONGEST_PAUSE, 2.0 ** (attempt - 1))))
            return "failed"
        except StepFailed as fault:
            return await run.step("fail", self._fail, id, fault.step_code or fault.code, fault.message, retry=PATIENT)

    async def _answer(self, id: str, last: bool) -> dict[str, Any]:
        job = await self.get(None, id)
        if job is None or not job.live:
            # Deleted or cancelled, or its end was kept and the step that did it was not: then nobody is asked again.
            return {"status": "gone" if job is None else job.status, "again": None}
        cut = Cut(await self._records.read(lambda c: job_store.told(c, id, -1)))
        try:
            return await (self._model if job.agent is None else self._agent)(job, cut, last)
        except Over:
            return {"status": "cancelled", "again": None}

    async def _model(self, job: Job, cut: Cut, last: bool) -> dict[str, Any]:
        telling = Telling(self._records, self._board, job, cut.next)
        async with telling.open():
            if not cut.working:
                telling.say("response.in_progress", {"response": job.shell("in_progress")})
            for place, item in cut.unfinished():
                telling.say("response.output_item.done", {"output_index": place, "item": item})
            await telling.flush(status="in_progress")
            found = await self._asking.ask(job, cut, telling)
            if isinstance(found, Fault):
                return await self._faulted(job, telling, found, last)
            status = "incomplete" if found.get("status") == "incomplete" else "completed"
            await telling.end(status, {**found, "created_at": int(job.created_at)})
            return {"status": status, "again": None}

    async def _agent(self, job: Job, cut: Cut, last: bool) -> dict[str, Any]:
        telling = Telling(self._records, self._board, job, 2 if job.stream else 0, known=cut.next)
        async with telling.open():
            telling.say("response.in_progress", {"response": job.shell("in_progress")})
            await telling.flush(status="in_progress")
            try:
                if job.agent_run is None:
                    job = msgspec.structs.replace(job, agent_run=await self._begun(job, telling))
                status, response, seen = await self._agents.follow(job, telling)
            except PenstockError as fault:
                return await self._faulted(job, telling, Fault(fault.code, fault.message, fault.retry_after), last)
            await telling.end(status, response, seen=seen)
            return {"status": status, "again": None}

    async def _begun(self, job: Job, telling: Telling) -> str:
        """Start the agent's run and keep its id. Who ends the response meanwhile does not know of the run yet: then it is ended here."""
        beginning = asyncio.ensure_future(self._agents.begin(job))
        try:
            run = await asyncio.shield(beginning)
            await telling.flush(agent_run=run)
        except (Over, asyncio.CancelledError):
            await asyncio.shield(asyncio.ensure_future(self._unwanted(job, beginning)))
            raise
        return run

    async def _unwanted(self, job: Job, beginning: asyncio.Future[str]) -> None:
        run, found = await beginning, await self.get(None, job.id)
        if found is None or not found.live:  # else it is only this process that stops
            with contextlib.suppress(Conflict, NotFound):
                await self._journal().cancel(job.organisation, run)

    async def _faulted(self, job: Job, telling: Telling, fault: Fault, last: bool) -> dict[str, Any]:
        if fault.again is None or last:
            await telling.end("failed", failure(job, fault))
            return {"status": "failed", "again": None}
        await telling.flush()
        return {"status": "in_progress", "again": fault.again}

    async def _fail(self, id: str, code: str, message: str) -> str:
        job = await self.get(None, id)
        if job is not None and job.live:
            cut = Cut(await self._records.read(lambda c: job_store.told(c, id, -1)))
            try:
                await Telling(self._records, self._board, job, cut.next).end("failed", failure(job, Fault(code, message)))
            except Over:
                return "cancelled"
        return "failed"

    # What it does by itself

    async def take_up(self) -> None:
        """Begin what a process that died, or one that has not got the journal, has left. Raises `JournalInUse`."""
        before = time.time() - 1.0
        for job in await self._records.read(lambda c: job_store.live(c, before, begun=False, most=PAGE)):
            await self._begin(job)

    async def settle(self) -> None:
        """End what nobody works on any more: a run that somebody cancelled, or that was abandoned."""
        before = time.time() - SETTLE_SECONDS
        for job in await self._records.read(lambda c: job_store.live(c, before, begun=True, most=PAGE)):
            assert job.run is not None
            try:
                info = await self._journal().get(None, job.run)
            except NotFound:
                await self._fail(job.id, "run_ended", "the run of this response is gone")
                continue
            if info.state in ENDED:
                await self._fail(job.id, "run_ended", f"the run of this response was {info.state}: {info.error or 'somebody ended it'}")

    async def expire(self) -> None:
        """Let go of what was kept long enough."""
        now = time.time()
        await self._records.write(lambda c: job_store.remove_expired(c, now, now - self._settings.event_hours * 3600))

    async def _begin(self, job: Job) -> None:
        run = await self._journal().start(
            NAME,
            {"response": job.id},
            organisation=job.organisation,
            queue=QUEUE,
            key=f"response/{job.id}",
            labels={"response": job.id},
        )
        await self._records.write(lambda c: job_store.change(c, job.id, {"run": run}))


async def _news(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return
    finally:
        news.clear()


def _kind(data: bytes) -> bytes:
    return msgspec.json.decode(data, type=_Kind).type.encode()


class _Kind(msgspec.Struct):
    type: str
