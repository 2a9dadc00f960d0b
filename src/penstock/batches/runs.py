"""A batch as a durable run: its lines are checked, done, and made into files, each in a step.

The lines are no steps of their own, or a hundred thousand of them would be as many transactions: they are one step, which keeps a log of
results beside the journal (`penstock.batches.results`). A step that is done again reads it and does the rest. A line that was in flight
when the process died is asked again, so the provider may see it twice; its result is there once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from penstock.batches import output, store, working
from penstock.batches.asking import Asking
from penstock.batches.delegating import Delegation, Handing, Looking
from penstock.batches.lines import INDEX_FILE, Checker, LinesWriter, Splitter
from penstock.batches.model import ANTHROPIC, ENDED, Batch, LineError, Status
from penstock.batches.results import ResultLog
from penstock.batches.settings import BatchSettings
from penstock.batches.working import Working
from penstock.kernel.errors import NotFound, PenstockError, StepFailed, Unauthenticated, Unavailable
from penstock.kernel.journal import Retry, Run
from penstock.kernel.ports import Files
from penstock.storage.records import Records

_log = logging.getLogger("penstock.batches")

NAME = "batch"
QUEUE = "batches"
CANCEL = "cancel"
"""Topic under which a run that waits for a vendor is told to look now."""
PATIENT = Retry(attempts=50, first_seconds=0.5, longest_seconds=60.0)
BOM = b"\xef\xbb\xbf"
LIVE = frozenset(Status) - ENDED


class Runs:
    """Executes batches. ``asking`` and ``files`` are asked for when a batch runs, since other rooms provide what they need."""

    def __init__(
        self,
        records: Records,
        folder: Path,
        settings: BatchSettings,
        asking: Callable[[], Asking],
        files: Callable[[], Files],
        delegation: Callable[[], Delegation | None] = lambda: None,
    ) -> None:
        self._records = records
        self._folder = folder
        self._settings = settings
        self._asking = asking
        self._files = files
        self._delegation = delegation
        self._working: dict[str, Working] = {}
        self.lines = {"completed": 0, "failed": 0, "cancelled": 0, "expired": 0}

    def folder(self, id: str) -> Path:
        """Where a batch keeps its lines and results."""
        return self._folder / id

    def cancel(self, id: str) -> None:
        """Have this process stop a batch's lines at once, if it works on them; another one does within a second of seeing the status."""
        if id in self._working:
            self._working[id].cancel()

    async def execute(self, run: Run, input: Any) -> str:
        """The run's function; how the batch ended."""
        id: str = input["batch"]

        async def step(name: str, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
            return await run.step(name, _said(name, id, function), *args, retry=PATIENT)

        try:
            if not await step("check", self._check, id):
                return Status.FAILED
            why, looks = await step("lines", self._lines, id), 0
            while why in (working.WAITING, working.AGAIN):
                if why == working.AGAIN:
                    why = await step("lines", self._lines, id)
                    continue
                with contextlib.suppress(TimeoutError):
                    if looks:
                        await run.wait(CANCEL, self._pause(looks))
                why, looks = await step("vendor", self._vendor, id), looks + 1
            good = await step("output", self._output, id, why, True)
            bad = await step("errors", self._output, id, why, False)
            return await step("close", self._close, id, why, good, bad)
        except StepFailed as fault:
            return await step("fail", self._fail, id, fault.step_code or fault.code, fault.message)

    async def _get(self, id: str) -> Batch:
        found = await self._records.read(lambda c: store.get(c, None, id))
        if found is None:
            raise NotFound(f"batch {id} is gone")
        return found

    async def _change(self, id: str, *, among: frozenset[Status] = LIVE, **values: Any) -> Batch:
        values.setdefault("updated_at", time.time())
        changed = await self._records.write(lambda c: store.change(c, id, values, among=among))
        return changed if changed is not None else await self._get(id)

    # Check

    async def _check(self, id: str) -> bool:
        batch = await self._get(id)
        if batch.status is not Status.VALIDATING:
            return batch.status not in ENDED
        total, errors = batch.total, []
        if batch.input_file is not None:
            total, errors = await self._take(batch, batch.input_file)
        now = time.time()
        if errors:
            await self._change(id, status=Status.FAILED, failed_at=now, errors=errors, total=total)
            await asyncio.to_thread(shutil.rmtree, self.folder(id), ignore_errors=True)
            return False
        await self._change(id, total=total)
        await self._change(id, among=frozenset({Status.VALIDATING}), status=Status.IN_PROGRESS, in_progress_at=now)
        return True

    async def _take(self, batch: Batch, file: str) -> tuple[int, list[LineError]]:
        """Copy the input, line by line, into the batch's folder: how many lines there are, and what is wrong with them."""
        settings = self._settings
        taking = _Taking(self.folder(batch.id), batch.endpoint, settings)
        try:
            async for piece in self._files().read(batch.organisation, file):
                if not await asyncio.to_thread(taking.feed, piece):
                    break
        except NotFound:
            return 0, [LineError(code="input_file_not_found", message=f"there is no file {file!r} any more", param="input_file_id")]
        return await asyncio.to_thread(taking.end)

    # Lines

    async def _lines(self, id: str) -> str:
        batch = await self._get(id)
        if batch.status is Status.CANCELLING and not (self.folder(id) / INDEX_FILE).exists():
            return working.CANCELLED  # before its lines were read
        before: list[int] = []

        async def beat(log: ResultLog, rate: float) -> Batch:
            if before:
                self.lines["completed"] += log.good - before[0]
                self.lines["failed"] += log.bad - before[1]
            before[:] = (log.good, log.bad)
            return await self._progress(id, log, rate)

        delegation, folder = self._delegation(), self.folder(id)
        handing = None
        if delegation is not None:
            handing = await asyncio.to_thread(Handing, delegation, folder, batch.total)
        work = self._working[id] = Working(batch, folder, self._asking(), beat, 2 * self._settings.max_in_flight, handing)
        try:
            return await work.run()
        finally:
            if self._working.get(id) is work:
                del self._working[id]

    async def _progress(self, id: str, log: ResultLog, rate: float) -> Batch:
        values: dict[str, Any] = {
            "completed": log.good,
            "failed": log.bad,
            "cost": log.cost,
            "full_cost": log.full,
            "codes": dict(log.codes),
        }
        return await self._change(id, **values, rate=rate)

    # Lines at a vendor's batch

    def _pause(self, looks: int) -> float:
        longest = self._settings.delegate_poll_seconds
        return min(longest, longest / 16 * 2 ** min(looks - 1, 4))

    async def _vendor(self, id: str) -> str:
        """Look after what is at the vendor; what comes next."""
        batch, delegation, folder = await self._get(id), self._delegation(), self.folder(id)
        if delegation is None:
            raise Unavailable("batches.delegate was emptied while lines of a batch are at a vendor", retry_after=60)
        looking = await asyncio.to_thread(Looking, delegation, batch, folder)
        log = await asyncio.to_thread(ResultLog, folder, batch.total)
        try:
            good, bad = log.good, log.bad
            over = await looking.look(log, self._over(batch))
            await asyncio.to_thread(log.sync)
            self.lines["completed"] += log.good - good
            self.lines["failed"] += log.bad - bad
            await self._progress(id, log, 0.0)
        finally:
            log.close()
        if not over:
            return working.WAITING
        return looking.notes.why or working.AGAIN

    def _over(self, batch: Batch) -> str | None:
        """Why work ends early, None where it goes on."""
        if batch.status is Status.CANCELLING:
            return working.CANCELLED
        if batch.expires_at <= time.time():
            return working.EXPIRED
        try:
            self._asking().principal(batch)
        except Unauthenticated:
            return working.KEY
        return None

    # Output

    async def _output(self, id: str, why: str, good: bool) -> str | None:
        """Make one of the output files; its id, None where it would be empty or there is no need."""
        batch = await self._get(id)
        if batch.status in ENDED:
            return batch.output_file if good else batch.error_file
        if batch.status is Status.IN_PROGRESS:
            batch = await self._change(id, status=Status.FINALIZING, finalizing_at=time.time())
        folder, total = self.folder(id), batch.total
        if batch.shape == ANTHROPIC:
            if good:
                await asyncio.to_thread(output.write, output.everything(batch, folder, total, why), folder)
            return None
        pieces = output.on_threads(output.good(folder, total) if good else output.bad(batch, folder, total, why))
        first = await anext(pieces, None)
        if first is None:
            return None

        async def whole() -> AsyncIterator[bytes]:
            yield first
            async for piece in pieces:
                yield piece

        kept = await self._files().add(
            whole(),
            organisation=batch.organisation,
            name=f"{id}_{'output' if good else 'error'}.jsonl",
            purpose="batch_output",
            media="application/jsonl",
            created_by=batch.key_id,
            lifetime=batch.output_lifetime,
        )
        return kept.id

    async def _close(self, id: str, why: str, good: str | None, bad: str | None) -> str:
        batch = await self._get(id)
        if batch.status not in ENDED:
            now = time.time()
            missing = batch.total - batch.completed - batch.failed
            values: dict[str, Any] = {"output_file": good, "error_file": bad, "rate": 0.0}
            match why:
                case working.CANCELLED:
                    values |= {"status": Status.CANCELLED, "cancelled_at": now, "cancelled": missing}
                    self.lines["cancelled"] += missing
                case working.EXPIRED:
                    values |= {"status": Status.EXPIRED, "expired_at": now, "expired": missing}
                    self.lines["expired"] += missing
                case working.KEY:
                    told = LineError(code="revoked_api_key", message="the key of the batch was revoked or has expired")
                    codes = {**batch.codes, "revoked_api_key": missing}
                    values |= {
                        "status": Status.FAILED,
                        "failed_at": now,
                        "errors": [told],
                        "failed": batch.failed + missing,
                        "codes": codes,
                    }
                    self.lines["failed"] += missing
                case _ if batch.status is Status.CANCELLING:  # too late to stop anything
                    values |= {"status": Status.CANCELLED, "cancelled_at": now}
                case _:
                    values |= {"status": Status.COMPLETED, "completed_at": now}
            batch = await self._change(id, **values)
        await asyncio.to_thread(clear, self.folder(id), keep_output=batch.shape == ANTHROPIC)
        return batch.status.value

    async def _fail(self, id: str, code: str, message: str) -> str:
        told = LineError(code=code, message=message)
        return (await self._change(id, status=Status.FAILED, failed_at=time.time(), errors=[told], rate=0.0)).status.value


def _said(name: str, id: str, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The function, whose failures are logged: each is tried again, and nobody would see why a batch does not move."""

    async def call(*args: Any) -> Any:
        try:
            return await function(*args)
        except PenstockError as fault:
            _log.warning("a step of a batch failed", extra={"batch": id, "step": name, "fault": fault.message, "code": fault.code})
            raise
        except Exception:  # a fault of ours, whose trace the operator needs
            _log.exception("a step of a batch failed", extra={"batch": id, "step": name})
            raise

    return call


class _Taking:
    """Lines of a file on their way into a batch's folder; blocks."""

    def __init__(self, folder: Path, endpoint: str, settings: BatchSettings) -> None:
        self._most = settings.max_lines
        self._splitter = Splitter(settings.max_line_bytes)
        self._checker = Checker(endpoint, settings.max_line_bytes)
        self._writer = LinesWriter(folder)
        self._number = 0
        self._begun = False
        self._over = False

    def feed(self, piece: bytes) -> bool:
        """Take a piece; whether more is wanted."""
        if not self._begun:
            self._begun, piece = True, piece.removeprefix(BOM)
        for line in self._splitter.feed(piece):
            self._line(line)
            if self._over:
                return False
        return True

    def end(self) -> tuple[int, list[LineError]]:
        """How many lines there are, and what is wrong."""
        for line in self._splitter.end() if not self._over else ():
            self._line(line)
        checker = self._checker
        errors = list(checker.errors)
        if checker.wrong > len(errors):
            errors.append(LineError(code="more_errors", message=f"{checker.wrong - len(errors)} more lines are not in order"))
        if self._over:
            errors = [LineError(code="too_many_lines", message=f"the file has more than {self._most} lines (batches.max_lines)"), *errors]
        elif not self._writer.count and not errors:
            errors = [LineError(code="empty_file", message="the file has no lines")]
        if errors:
            self._writer.discard()
            return self._number, errors
        return self._writer.close(), []

    def _line(self, line: bytes | None) -> None:
        self._number += 1
        if line is not None:
            line = line.removesuffix(b"\r")
            if not line.strip():
                return  # an empty line is no request
        if self._writer.count >= self._most:
            self._over = True
        elif self._checker.takes(self._number, line) and line is not None:
            self._writer.add(line)


def clear(folder: Path, *, keep_output: bool) -> None:
    """Remove what a batch that has ended needs no more."""
    if not keep_output:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for file in folder.glob("*"):
        if file.name not in (output.OUTPUT_FILE, INDEX_FILE):
            file.unlink(missing_ok=True)
