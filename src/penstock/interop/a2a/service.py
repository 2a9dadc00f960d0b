"""What A2A's operations do: a task is a run, and what is said to it starts it or answers what it asks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Any, cast

import msgspec

from penstock.interop.a2a import words
from penstock.interop.a2a.pushing import Pushing
from penstock.interop.a2a.store import A2aStore, Kept, made
from penstock.interop.a2a.words import A2aFault, Listing, Message, Named, OfTask, PushConfig, Send
from penstock.interop.open import thread_of, unanswered
from penstock.kernel.agents import AgentCard, AgentEvent, AgentRuns, AgentStanding
from penstock.kernel.errors import Conflict, NotFound
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal

SCANNED = 500
"""Tasks that are looked at for one page of a list that asks for a state or a time, which only their runs know."""


class A2aService:
    """The operations, for one agent and principal at a time. Raises `A2aFault` and `PenstockError`."""

    def __init__(self, runs: Callable[[], AgentRuns], store: A2aStore, pushing: Pushing, seconds: float) -> None:
        self._runs = runs
        self._store = store
        self._pushing = pushing
        self._seconds = seconds

    async def send(self, principal: Principal, card: AgentCard, sent: Send, message: dict[str, Any]) -> dict[str, Any]:
        """Start a task or answer one, and wait for its end, or until it asks; ``message`` is what was sent, as it came."""
        kept, _, answered = await self._take(principal, card, sent, message)
        if not sent.configuration.return_immediately:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._settled(principal, kept, answered)
        standing = await self._runs().look(principal, kept.run)
        return {"task": words.task(kept, standing, history=sent.configuration.history_length)}

    async def stream(
        self, principal: Principal, card: AgentCard, sent: Send, message: dict[str, Any]
    ) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        """As `send`, told as it goes; each event with its id."""
        kept, since, answered = await self._take(principal, card, sent, message)
        standing = await self._runs().look(principal, kept.run)
        first = {"task": words.task(kept, standing, history=sent.configuration.history_length, artifacts=False)}
        return self._told(principal, kept, first, since, stops=True, answered=answered)

    async def subscribe(
        self, principal: Principal, card: AgentCard, named: Named, after: int
    ) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        """A task that has not ended, from now on, or after the event ``after``."""
        kept = await self._store.get(principal.reach, card.name, named.id)
        now = time.time()
        standing = await self._runs().look(principal, kept.run)
        if standing.ended is not None and not after:
            raise A2aFault("UNSUPPORTED_OPERATION", f"task {kept.run} has ended; nothing more is told of it")
        return self._told(principal, kept, {"task": words.task(kept, standing)}, 0.0 if after else now, stops=False, after=after)

    async def get(self, principal: Principal, card: AgentCard, named: Named) -> dict[str, Any]:
        """One task."""
        kept = await self._store.get(principal.reach, card.name, named.id)
        return words.task(kept, await self._runs().look(principal, kept.run), history=named.history_length)

    async def list(self, principal: Principal, card: AgentCard, wanted: Listing) -> dict[str, Any]:
        """Tasks, those that began last first."""
        if wanted.status and wanted.status not in words.STATES:
            raise A2aFault("INVALID_PARAMS", f"there is no state {wanted.status[:60]!r}; there are {', '.join(words.STATES)}")
        since = _moment(wanted.status_timestamp_after)
        found: list[dict[str, Any]] = []
        last, more, looked = wanted.page_token, True, 0
        total = 0
        while more and len(found) < wanted.page_size and looked < SCANNED:
            page, total = await self._store.list(
                principal.reach, card.name, context=wanted.context_id, before=last, limit=wanted.page_size + 1
            )
            more = len(page) > wanted.page_size
            for kept in page[: wanted.page_size]:
                if len(found) == wanted.page_size:
                    more = True
                    break
                last, looked = kept.run, looked + 1
                standing = await self._standing(principal, kept)
                if standing is None or standing.updated_at < since or wanted.status not in ("", words.state_of(standing)):
                    continue
                found.append(words.task(kept, standing, history=wanted.history_length or 0, artifacts=wanted.include_artifacts))
        return {"tasks": found, "nextPageToken": last if more else "", "pageSize": wanted.page_size, "totalSize": total}

    async def cancel(self, principal: Principal, card: AgentCard, named: Named) -> dict[str, Any]:
        """End a task."""
        kept = await self._store.get(principal.reach, card.name, named.id)
        try:
            await self._runs().cancel(principal, kept.run)
        except Conflict as fault:
            raise A2aFault("TASK_NOT_CANCELABLE", fault.message) from fault
        return words.task(kept, await self._runs().look(principal, kept.run))

    async def push(self, principal: Principal, card: AgentCard, config: PushConfig) -> dict[str, Any]:
        """Tell a URL of a task."""
        kept = await self._store.get(principal.reach, card.name, config.task_id)
        return await self._pushing.add(principal, kept, config)

    async def pushes(self, principal: Principal, card: AgentCard, named: OfTask) -> dict[str, Any]:
        """The URLs that are told of a task."""
        kept = await self._store.get(principal.reach, card.name, named.task_id)
        return {"configs": await self._pushing.list(kept.run), "nextPageToken": ""}

    async def one_push(self, principal: Principal, card: AgentCard, named: OfTask) -> dict[str, Any]:
        """One of them."""
        kept = await self._store.get(principal.reach, card.name, named.task_id)
        for config in await self._pushing.list(kept.run):
            if config["id"] == named.id:
                return config
        raise NotFound(f"task {kept.run} tells nobody under the id {named.id[:100]!r}", param="id")

    async def drop_push(self, principal: Principal, card: AgentCard, named: OfTask) -> dict[str, Any]:
        """Tell it no more; also where it was not told."""
        kept = await self._store.get(principal.reach, card.name, named.task_id)
        await self._pushing.drop(kept.run, named.id)
        return {}

    async def _take(self, principal: Principal, card: AgentCard, sent: Send, raw: dict[str, Any]) -> tuple[Kept, float, frozenset[str]]:
        """What a message begins or goes on with, since when its client wants to be told, and the request that it answered."""
        message = sent.message
        if message.role not in ("ROLE_USER", "user"):
            raise A2aFault("INVALID_PARAMS", "a client's message has the role ROLE_USER")
        if message.task_id:
            kept = await self._store.get(principal.reach, card.name, message.task_id)
            if message.context_id and message.context_id != kept.context:
                raise A2aFault("INVALID_PARAMS", f"task {kept.run} is of another context")
            now = time.time()
            answered = frozenset({await self._answer(principal, kept, message, raw)})
            kept = await self._store.get(principal.reach, card.name, kept.run)
        else:
            answered = frozenset[str]()
            context, now = message.context_id or new_id("ctx"), 0.0
            said = msgspec.json.encode([message.parts, message.context_id], order="deterministic")
            key = f"a2a/{principal.key_id}/{message.message_id}/{hashlib.sha256(said).hexdigest()}"
            thread = thread_of(principal, card, context)
            run = await self._runs().begin(principal, card.name, words.question(message, card), key=key, thread=thread)
            told = raw | {"contextId": context, "taskId": run}
            kept = await self._store.add(made(run, principal.organisation, card.name, context, told, principal.person))
        config = sent.configuration.task_push_notification_config
        if config is not None:
            await self._pushing.add(principal, kept, config)
        return kept, now, answered

    async def _answer(self, principal: Principal, kept: Kept, message: Message, raw: dict[str, Any]) -> str:
        standing = await self._runs().look(principal, kept.run)
        if standing.ended is not None:
            raise A2aFault("UNSUPPORTED_OPERATION", f"task {kept.run} has ended; begin another in its context")
        if not standing.requests:
            raise A2aFault("UNSUPPORTED_OPERATION", f"task {kept.run} waits for nothing; it takes messages when its state is {words.INPUT}")
        metadata: Any = raw.get("metadata")
        named = cast("dict[str, Any]", metadata).get("request") if isinstance(metadata, dict) else None
        request = next((one for one in standing.requests if one.id == named), standing.requests[0])
        await self._runs().answer(principal, kept.run, request.id, words.answer(message, request))
        await self._store.say(kept.run, raw | {"contextId": kept.context, "taskId": kept.run})
        return request.id

    async def _settled(self, principal: Principal, kept: Kept, answered: frozenset[str]) -> None:
        """Return when the run has ended, or waits for people."""
        runs = self._runs()
        async with contextlib.aclosing(cast("AsyncGenerator[AgentEvent]", runs.watch(principal, kept.run))) as events:
            async for event in events:
                if event.kind == "ended":
                    return
                if event.kind == "asked" and unanswered(await runs.look(principal, kept.run), answered):
                    return

    async def _told(
        self,
        principal: Principal,
        kept: Kept,
        first: dict[str, Any],
        since: float,
        *,
        stops: bool,
        after: int = 0,
        answered: frozenset[str] = frozenset(),
    ) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        """A task, then its events since a moment, or after one of them; until it ends, or, if it ``stops`` then, waits for people."""
        runs, passed = self._runs(), not after
        yield "0", first
        async with contextlib.aclosing(cast("AsyncGenerator[AgentEvent]", runs.watch(principal, kept.run))) as events:
            async for event in events:
                fresh = passed and event.at >= since
                passed = passed or event.number == after
                if event.kind == "asked":
                    standing = await runs.look(principal, kept.run)
                    if unanswered(standing, answered) and (fresh or stops):
                        yield str(event.number), words.asked(standing, kept)
                        if stops:
                            return
                elif fresh or event.kind == "ended":
                    for told in words.updates(event, kept):
                        yield str(event.number), told

    async def _standing(self, principal: Principal, kept: Kept) -> AgentStanding | None:
        with contextlib.suppress(NotFound):  # it has left the journal since
            return await self._runs().look(principal, kept.run)
        return None


def _moment(text: str) -> float:
    if not text:
        return 0.0
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        raise A2aFault("INVALID_PARAMS", "statusTimestampAfter is no time as of RFC 3339") from None


__all__ = ["A2aService"]
