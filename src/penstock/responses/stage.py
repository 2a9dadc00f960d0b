"""The station of the line that remembers: what a response follows is put before its input, and the response is kept under an id of ours.

The provider keeps nothing and is told so (``store: false``), so that any provider will do, also one that only knows chat. A response
is kept before the bytes that end it are handed on: a client that has it whole can name it in its very next call.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import msgspec
from msgspec import Raw

from penstock.kernel.call import Call, Reply
from penstock.kernel.errors import MalformedRequest, NotExpressible, PenstockError
from penstock.kernel.stage import Proceed, Slot
from penstock.responses.context import Context
from penstock.responses.conversation import Conversations
from penstock.responses.handing import HandOver, conversation_of, flag, text_of
from penstock.responses.job import AGENT
from penstock.responses.reply import Rewriter
from penstock.responses.service import ResponseService
from penstock.responses.turn import ID, Turn, input_items, new_turn

_log = logging.getLogger("penstock.responses")
SHAPE = "openai.responses"
FALSE = Raw(b"false")


class Remember:
    """Continues stored responses and conversations, stores new ones, and hands on what is worked on in the background."""

    name = "responses"
    slot = Slot.INSPECT

    def __init__(self, service: ResponseService, context: Context, conversations: Conversations, hand: HandOver) -> None:
        self._service = service
        self._context = context
        self._conversations = conversations
        self._hand = hand
        self.kept = 0
        self.lost = 0

    def concerns(self, call: Call) -> bool:
        """Whether it is a response, and responses are stored at all, or an agent is to answer."""
        if call.shape != SHAPE or call.principal is None:
            return False
        return self._service.settings.store != "off" or call.model.startswith(AGENT)

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        fields, principal = call.fields, call.principal
        assert principal is not None
        previous, conversation = text_of(fields, "previous_response_id", "the id of a response"), conversation_of(fields)
        agent, background = call.model.startswith(AGENT), flag(fields, "background")
        if previous is not None and ID.fullmatch(previous) is None and not agent:
            return await proceed(call)  # a response of the provider's own, which it knows and we do not
        if previous is not None and conversation is not None:
            raise MalformedRequest("'previous_response_id' and 'conversation' exclude each other.", param="conversation")
        stores = self._wanted(fields)
        if agent or background:
            if flag(fields, "store", default=True) is False:
                raise NotExpressible("what is worked on in the background, or by an agent, is stored; leave 'store' out", param="store")
            return await self._hand.over(call, previous, conversation, background=background)
        if previous is None and conversation is None and not stores:
            return await proceed(call)
        id = new_turn()
        own = input_items(fields["input"], id) if "input" in fields else None
        if own is None:
            return await proceed(call)  # whatever is wrong with it is said by whoever reads it
        for name in ("previous_response_id", "conversation", "background"):
            fields.pop(name, None)
        before = await self._context.before(principal.reach, previous, conversation, call.model)
        if before:
            now = msgspec.json.decode(fields["input"])
            items = [*before, *([{"role": "user", "content": now}] if isinstance(now, str) else now)]
            fields["input"] = Raw(msgspec.json.encode(items))
            call.input_estimate += sum(len(bytes(item)) for item in before) // 4
        fields["store"] = FALSE
        reply = await proceed(call)
        draft = _Draft(self, call, id, own, previous, conversation, stores=stores) if stores or conversation is not None else None
        rewriter = Rewriter(id, previous, conversation, stored=stores)
        if reply.body is not None:
            reply.body = await _whole(reply.body, rewriter, draft)
        elif reply.chunks is not None:
            reply.chunks = _stream(reply.chunks, rewriter, draft)
        return reply

    async def keep(self, turn: Turn, conversation: str | None, *, stores: bool) -> bool:
        """Keep a turn, and put it into its conversation; whether it is kept. What the model said is not withheld because it could not be
        stored."""
        settings = self._service.settings
        if turn.size > settings.max_turn_bytes:
            self.lost += 1
            return False
        try:
            if conversation is not None:
                await self._conversations.keep(conversation, turn.id, turn.items())
            if stores:
                await self._service.keep(turn)
        except PenstockError as fault:
            self.lost += 1
            _log.warning("a response was not stored", extra={"response": turn.id, "fault": fault.message, "code": fault.code})
            return False
        self.kept += stores
        return True

    def turn(self, call: Call, id: str, own: bytes, previous: str | None, response: bytes) -> Turn:
        """The turn that a call has made."""
        assert call.principal is not None
        now = self._service.now()
        return Turn(
            id=id,
            organisation=call.principal.organisation,
            previous=previous,
            model=call.model,
            created_at=now,
            expires_at=now + self._service.settings.retention_days * 86400,
            created_by=call.principal.key_id,
            input=own,
            response=response,
            person=call.principal.person,
        )

    def _wanted(self, fields: dict[str, Raw]) -> bool:
        return flag(fields, "store", default=self._service.settings.store == "unless_refused")


class _Draft:
    """A turn that lacks its response."""

    def __init__(
        self, stage: Remember, call: Call, id: str, own: bytes, previous: str | None, conversation: str | None, *, stores: bool
    ) -> None:
        self._stage = stage
        self._call = call
        self._id = id
        self._own = own
        self._previous = previous
        self._conversation = conversation
        self._stores = stores

    async def keep(self, response: bytes) -> bool:
        """Keep it with this response."""
        turn = self._stage.turn(self._call, self._id, self._own, self._previous, response)
        return await self._stage.keep(turn, self._conversation, stores=self._stores)


async def _whole(body: bytes, rewriter: Rewriter, draft: _Draft | None) -> bytes:
    response = rewriter.response(body)
    if draft is not None and not await draft.keep(response):
        rewriter.lost()
        response = rewriter.response(body)
    return response


async def _stream(chunks: AsyncIterator[bytes], rewriter: Rewriter, draft: _Draft | None) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            if not rewriter.concerns(chunk):
                yield chunk
                continue
            out, response = rewriter.events(chunk)
            if response is not None and draft is not None:
                kept = draft
                draft = None
                if not await kept.keep(response):
                    rewriter.lost()
                    out, _ = rewriter.events(chunk)
            yield out
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
