"""Answers on their way from the line to their judgement: a bounded queue in memory, emptied into a table by a thread.

The line is never slowed: a call whose task takes no samples costs a look into a dictionary, one that is taken the joining of its bytes.
Everything else happens elsewhere, and what does not fit is dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import msgspec

from penstock.kernel.call import Call, Target
from penstock.kernel.candidates import Candidates
from penstock.kernel.errors import PenstockError
from penstock.kernel.events import CallEnded
from penstock.kernel.evidence import CallRecords, Sample
from penstock.kernel.recall import Replies
from penstock.kernel.tasks import Task, Tasks
from penstock.quality import samples
from penstock.quality.examples import Item
from penstock.quality.grounded.calls import of_body
from penstock.quality.samples import Kept
from penstock.quality.settings import QualitySettings
from penstock.quality.slices import language, length
from penstock.storage.records import Records

_log = logging.getLogger("penstock.quality")

BATCH = 64
FLUSH_SECONDS = 0.2
AGAIN_SECONDS = 5.0
NEED_TARGET = frozenset({"exact", "numeric", "code", "human", "outcome"})
"""Judges that live traffic has nothing for: such answers wait for people or the business."""
MOST_CONTEXT = 50_000
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_whole = msgspec.json.Decoder(dict[str, Any])


class Sampling:
    """The queue. ``written`` is called, on the event loop, with the organisations for which something is to be judged."""

    def __init__(
        self,
        records: Records,
        settings: QualitySettings,
        tasks: Callable[[], Tasks | None],
        replies: Callable[[], Replies | None],
        kept: Callable[[], CallRecords | None],
        written: Callable[[set[str]], Awaitable[None]],
        chance: Callable[[], float] = random.random,
        candidates: Callable[[], Candidates | None] = lambda: None,
    ) -> None:
        self._records = records
        self._settings = settings
        self._find_tasks = tasks
        self._find_replies = replies
        self._find_kept = kept
        self._written = written
        self._chance = chance
        self._candidates = candidates
        self._version = -1
        self._taking: dict[tuple[str, str], Task | None] = {}
        self._queue: deque[tuple[Sample, str]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None
        self.counts: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """Samples in memory."""
        return len(self._queue)

    def open(self) -> None:
        """Begin to write."""
        self._loop = asyncio.create_task(self._run(), name="samples")

    async def close(self) -> None:
        """Write what is queued, as far as the database takes it."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
            self._loop = None
        try:
            await self.flush()
        except PenstockError as fault:
            _log.warning("samples were lost at shutdown", extra={"samples": len(self._queue), "fault": fault.message})

    def heard(self, event: CallEnded) -> None:
        """A call has ended: take it with its task's probability."""
        call = event.call
        if call.task is None or call.outcome != "ok" or call.principal is None:
            return
        tasks = self._find_tasks()
        if tasks is None:
            return
        if tasks.version != self._version:
            self._version = tasks.version
            self._taking.clear()
        key = (call.principal.organisation, call.task)
        try:
            task = self._taking[key]
        except KeyError:
            found = tasks.find(*key)
            task = found if found is not None and found.sample > 0 and found.judge is not None else None
            if len(self._taking) > 10_000:  # callers choose tasks' names
                self._taking.clear()
            self._taking[key] = task
        if task is None or self._chance() >= task.sample:
            return
        self._take(call, task)

    def _take(self, call: Call, task: Task) -> None:
        if call.recalled is not None or call.target is None or call.session is not None or call.operation != "chat":
            return
        if call.inside:
            return  # our own, and not by its labels, which callers set too
        principal = call.principal
        assert principal is not None
        reply = b"".join(call.reply_text)
        if not reply or not call.body:
            self.counts["not_kept"] += 1  # the record may keep nothing of it, so neither may we
            return
        if len(reply) > self._settings.sample_max_bytes or len(call.body) > self._settings.sample_max_bytes:
            self.counts["too_long"] += 1
            return
        target = call.target
        named = f"{target.provider}/{target.model}"
        among = (*task.candidates, task.default)
        groups = {name: value[:200] for name, value in call.labels.items()} if call.labels else {}
        if principal.team is not None:
            groups["team"] = principal.team
        self.submit(
            Sample(
                organisation=principal.organisation,
                task=task.name,
                item=call.id,
                call=call.id,
                candidate=named if named in among or target.name not in among else target.name,
                source="live",
                propensity=task.sample,
                shape=call.shape,
                request=call.body,
                reply=reply,
                stream=call.stream,
                at=call.started_at,
                cost=call.cost.amount if call.cost is not None and call.cost.priced else None,
                latency_ms=call.total_ms,
                input_tokens=call.usage.input if call.usage is not None else 0,
                output_tokens=call.usage.output if call.usage is not None else 0,
                groups=groups,
                answered_by=named,
            )
        )

    def submit(self, sample: Sample) -> bool:
        """See `Evidence.submit`."""
        size = len(sample.request) + len(sample.reply)
        if len(self._queue) >= self._settings.sample_queue or self._bytes + size > self._settings.sample_queue_bytes:
            self.counts["queue_full"] += 1
            return False
        self._bytes += size
        self._queue.append((sample, self._version_of(sample)))
        if len(self._queue) == 1:
            self._wake.set()
        return True

    def _version_of(self, sample: Sample) -> str:
        """The registered version behind the model that answered, now that it has."""
        candidates = self._candidates()
        provider, _, model = sample.answered_by.partition("/")
        return candidates.traits(Target(provider, model, sample.candidate), sample.organisation).version if candidates and model else ""

    async def flush(self) -> None:
        """Write down what is queued at this moment. Raises `StorageError` when the database does not take it."""
        async with self._one_at_a_time:
            organisations = await self._flush()
        if organisations:
            await self._written(organisations)

    async def _flush(self) -> set[str]:
        organisations: set[str] = set()
        for _ in range(len(self._queue) // BATCH + 1):
            batch = [self._queue[at] for at in range(min(BATCH, len(self._queue)))]
            if not batch:
                break
            kept, lost = await asyncio.to_thread(self._read, batch)
            if kept:
                self.counts["taken"] += await self._records.write(lambda c, kept=kept: samples.put(c, kept))
            self.counts.update(lost)
            # Only now: what was not written stays in the queue.
            for one, _ in batch:
                self._queue.popleft()
                self._bytes -= len(one.request) + len(one.reply)
            organisations.update(one.organisation for one in kept if one.state == "queued")
        return organisations

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(FLUSH_SECONDS)  # so that one transaction takes several
            try:
                await self.flush()
            except PenstockError as fault:
                _log.warning("samples cannot be written and wait", extra={"fault": fault.message, "code": fault.code})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(AGAIN_SECONDS):
                        await self._wake.wait()
                self._wake.set()

    def _read(self, batch: Sequence[tuple[Sample, str]]) -> tuple[list[Kept], Counter[str]]:
        """What is kept of samples: their texts, as the record may keep them. On a thread."""
        lost: Counter[str] = Counter()
        made: list[Kept] = []
        records, replies, tasks = self._find_kept(), self._find_replies(), self._find_tasks()
        for one, version in batch:
            if records is None or replies is None or not records.keeps:
                lost["not_kept"] += 1
                continue
            fields: dict[str, msgspec.Raw] = {}
            try:
                fields = _fields.decode(one.request)
                question = replies.question(one.shape, fields)
                seen = replies.see(one.shape, one.reply, stream=one.stream)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
                question = seen = None
            if question is None or seen is None or not seen.text:
                lost["unreadable"] += 1
                continue
            task = tasks.find(one.organisation, one.task) if tasks is not None else None
            waits = task is None or task.judge is None or task.judge.kind in NEED_TARGET
            prompt, answer = records.clean(question.text), records.clean(seen.text)
            # What the caller's labels say goes before what is guessed.
            groups = {"language": language(prompt), "length": length(prompt), **one.groups}
            made.append(
                Kept(
                    id=one.call,
                    organisation=one.organisation,
                    task=one.task,
                    item=one.item,
                    candidate=one.candidate,
                    source=one.source,
                    propensity=one.propensity,
                    prompt=prompt,
                    context=records.clean(_context(one, question.rest, task)),
                    answer=answer,
                    groups=groups,
                    cost=one.cost,
                    latency_ms=one.latency_ms,
                    input_tokens=one.input_tokens,
                    output_tokens=one.output_tokens,
                    at=one.at,
                    state="waiting" if waits else "queued",
                    answered_by=one.answered_by,
                    version=version,
                    tools=tools_of(fields.get("tools")),
                )
            )
        return made, lost


def _context(sample: Sample, rest: bytes, task: Task | None) -> str:
    """What an answer has to rest on, for the detector; for other judges what was said before the question."""
    if task is not None and task.judge is not None and task.judge.kind == "groundedness":
        # Documents, results of tools and the like: instructions ground nothing.
        return "\n\n".join(of_body(sample.request).context)[:MOST_CONTEXT]
    return context_of(rest)


def tools_of(raw: msgspec.Raw | None) -> str:
    """The names of the tools that a request offers, sorted, in any vendor's shape; empty for none, and for what has no name."""
    if raw is None:
        return ""
    try:
        told = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    names: set[str] = set()
    _names(told, names)
    return ", ".join(sorted(names))[:500]


def _names(tree: object, found: set[str]) -> None:
    if isinstance(tree, list):
        for each in cast("list[object]", tree):
            _names(each, found)
    elif isinstance(tree, dict):
        held = cast("dict[str, object]", tree)
        name = held.get("name")
        if isinstance(name, str) and name:
            found.add(name)
        _names(held.get("function"), found)
        _names(held.get("functionDeclarations"), found)


def context_of(rest: bytes) -> str:
    """What was said before the question, as text: instructions, documents, earlier turns. Empty where it cannot be read."""
    try:
        told = _whole.decode(rest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    texts: list[str] = []
    _texts(told.get("system"), texts)
    _texts(told.get("messages"), texts)
    return "\n\n".join(texts)[:MOST_CONTEXT]


def _texts(tree: object, found: list[str]) -> None:
    if isinstance(tree, list):
        for each in cast("list[object]", tree):
            _texts(each, found)
    elif isinstance(tree, dict):
        held = cast("dict[str, object]", tree)
        text = held.get("text")
        if isinstance(text, str) and text:
            found.append(text)
        _texts(held.get("parts"), found)
    elif isinstance(tree, str) and tree:
        found.append(tree)


def item_of(kept: Kept) -> Item:
    """A sample as an item that a grader takes."""
    return Item(id=kept.item, input=kept.prompt or " ", context=kept.context, groups={k: v for k, v in kept.groups.items() if k and v})


__all__ = ["Sampling", "context_of", "item_of", "tools_of"]
