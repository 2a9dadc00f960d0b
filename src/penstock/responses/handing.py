"""A request for a response that a run will make: read, written down, begun, and answered with what there is of it by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
from msgspec import Raw

from penstock.kernel.call import Call, Reply
from penstock.kernel.errors import Conflict, MalformedRequest, NotExpressible, NotFound, RequestError
from penstock.kernel.principal import Principal
from penstock.responses.agent import Agents, answers
from penstock.responses.background import Background
from penstock.responses.context import Context
from penstock.responses.conversation import Conversations
from penstock.responses.job import Asked, Job
from penstock.responses.service import ResponseService
from penstock.responses.turn import input_items, new_turn

_EVENTS = [("content-type", "text/event-stream"), ("cache-control", "no-cache"), ("x-accel-buffering", "no")]
_JSON = [("content-type", "application/json")]
_KEPT_HERE = frozenset({"background", "store", "stream", "previous_response_id", "conversation"})


class HandOver:
    """Makes jobs of calls."""

    def __init__(
        self, service: ResponseService, context: Context, conversations: Conversations, background: Background, agents: Agents
    ) -> None:
        self._service = service
        self._context = context
        self._conversations = conversations
        self._background = background
        self._agents = agents

    async def over(self, call: Call, previous: str | None, conversation: str | None, *, background: bool) -> Reply:
        """Begin the work. The reply says where it stands; for a caller who waits, what came of it."""
        assert call.principal is not None
        if "\0" in call.model:  # which no database holds in a text
            raise NotFound("there is no model of that name", code="model_not_found", param="model")
        id = new_turn()
        own = input_items(call.fields["input"], id) if "input" in call.fields else None
        if own is None:
            raise MalformedRequest("'input' must be text or a list of objects.", param="input")
        job = self._job(call, id, own, previous, conversation, background=background)
        if job.agent is not None:
            job = await self._for_agent(call.principal, job, own)
        else:
            # Whether it can be gone on with is said now, to who asks, and not later by a response that has failed.
            await self._context.before(call.principal.reach, previous, conversation, call.model)
        await self._background.start(job)
        call.notes.append(f"worked on by a run of its own: response {id}")
        if job.stream:
            call.end()  # what it holds is not to be held while its events are told: the run's own call needs it too
            chunks = self._background.watch(job)
            return Reply(headers=list(_EVENTS), chunks=chunks if background else self._attended(call.principal, job, chunks))
        if background:
            return Reply(headers=list(_JSON), body=msgspec.json.encode(job.shell("queued")))
        call.end()
        return Reply(headers=list(_JSON), body=await self._waited(call, job))

    def _job(self, call: Call, id: str, own: bytes, previous: str | None, conversation: str | None, *, background: bool) -> Job:
        assert call.principal is not None
        now, principal = self._service.now(), call.principal
        asked = Asked(
            fields={name: value for name, value in call.fields.items() if name not in _KEPT_HERE},
            own=Raw(own),
            labels=dict(call.labels),
            task=call.task,
            priority=call.priority,
            passed=tuple((name, value) for name, value in call.passthrough),
        )
        return Job(
            id=id,
            organisation=principal.organisation,
            person=principal.person,
            key_id=principal.key_id,
            model=call.model,
            status="queued",
            background=background,
            stream=call.stream,
            previous=previous,
            conversation=conversation,
            run=None,
            agent_run=None,
            seen=0,
            thread=conversation,
            created_at=now,
            updated_at=now,
            expires_at=now + self._service.settings.retention_days * 86400,
            asked=msgspec.json.encode(asked),
        )

    async def _for_agent(self, principal: Principal, job: Job, own: bytes) -> Job:
        """What the agent is given, or the run that the response goes on with."""
        assert job.agent is not None
        if job.conversation is not None:
            await self._conversations.get(principal.reach, job.conversation)
        items = msgspec.json.decode(own, type=list[dict[str, Any]])
        said, rest = answers(items)
        before = await self._before(principal, job)
        if before is not None and before.agent_run is not None and (said or not rest):
            if rest:
                raise NotExpressible(
                    "an answer to an agent stands alone in its 'input'; say the rest in a response of its own", param="input"
                )
            await self._agents.answer(principal, before, said)
            return msgspec.structs.replace(job, agent_run=before.agent_run, seen=before.seen, thread=before.thread)
        if said:
            what = "an answer needs 'previous_response_id': the response of the agent that asked"
            raise RequestError(what, param="previous_response_id")
        if before is not None and before.agent_run is not None:
            standing = await self._agents.runs.look(principal, before.agent_run)
            if standing.ended is None:
                ids = ", ".join(one.id for one in standing.requests) or "nobody"
                what = (
                    f"run {before.agent_run} of this agent has not ended: it waits for {ids}; answer that, or go on with an empty 'input'"
                )
                raise Conflict(what, param="previous_response_id")
        what = job.what()
        given = self._agents.input(principal, job.agent, what.fields, rest)
        thread = job.thread or (before.thread if before is not None else None) or job.id
        return msgspec.structs.replace(job, thread=thread, asked=msgspec.json.encode(msgspec.structs.replace(what, input=given)))

    async def _before(self, principal: Principal, job: Job) -> Job | None:
        """The agent's response that this one follows."""
        if job.previous is None:
            return None
        before = await self._background.get(principal.reach, job.previous)
        if before is None or before.model != job.model:
            what = f"{job.previous[:80]!r} is no response of {job.model}, which goes on with its own alone"
            raise NotFound(what, code="previous_response_not_found", status=400, param="previous_response_id")
        if before.live:
            raise Conflict(f"response {job.previous} is still worked on", param="previous_response_id")
        return before

    async def _waited(self, call: Call, job: Job) -> bytes:
        """The response of a caller who waits; who leaves does not want it any more."""
        assert call.principal is not None
        try:
            async with asyncio.timeout(max(0.001, call.remaining())):
                return await self._background.ended(job)
        except TimeoutError:
            return await self._background.look(await self._background.get(None, job.id) or job)
        except asyncio.CancelledError:
            await asyncio.shield(self._background.cancel(call.principal, job))
            raise

    async def _attended(self, principal: Principal, job: Job, chunks: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
        """Events for a caller who waits; who leaves does not want them any more."""
        whole = False
        try:
            async for chunk in chunks:
                yield chunk
            whole = True
        finally:
            await chunks.aclose()
            if not whole:
                await asyncio.shield(self._background.cancel(principal, job))


def text_of(fields: dict[str, Raw], name: str, what: str) -> str | None:
    """A text of a request, None where it is absent or null. Raises `MalformedRequest`."""
    given = fields.get(name)
    if given is None or bytes(given) == b"null":
        return None
    try:
        return msgspec.json.decode(given, type=str)
    except msgspec.ValidationError:
        raise MalformedRequest(f"{name!r} must be {what}.", param=name) from None


def conversation_of(fields: dict[str, Raw]) -> str | None:
    """The conversation that a request names, by its id or as an object that has one. Raises `MalformedRequest`."""
    given = fields.get("conversation")
    if given is None or bytes(given) == b"null":
        return None
    try:
        told = msgspec.json.decode(given, type=str | _Conversation)
    except msgspec.ValidationError:
        raise MalformedRequest("'conversation' must be the id of a conversation, or an object with it.", param="conversation") from None
    return told if isinstance(told, str) else told.id


class _Conversation(msgspec.Struct):
    id: str


def flag(fields: dict[str, Raw], name: str, *, default: bool = False) -> bool:
    """A true or false of a request. Raises `MalformedRequest`."""
    given = fields.get(name)
    if given is None or bytes(given) == b"null":
        return default
    if bytes(given) not in (b"true", b"false"):
        raise MalformedRequest(f"{name!r} must be true or false.", param=name)
    return bytes(given) == b"true"
