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
from penstock.kernel.errors import MalformedRequest, NotExpressible, NotFound, PenstockError
from penstock.kernel.stage import Proceed, Slot
from penstock.responses.reply import Rewriter
from penstock.responses.service import ResponseService
from penstock.responses.turn import ID, Turn, input_items, new_turn, said_again

_log = logging.getLogger("penstock.responses")
SHAPE = "openai.responses"
_NONE = frozenset({b"null", b"false"})
_FALSE, _TRUE = Raw(b"false"), Raw(b"true")


class Remember:
    """Continues stored responses and stores new ones."""

    name = "responses"
    slot = Slot.INSPECT

    def __init__(self, service: ResponseService) -> None:
        self._service = service
        self.kept = 0
        self.lost = 0

    def concerns(self, call: Call) -> bool:
        """Whether it is a response, and responses are stored at all."""
        return call.shape == SHAPE and call.principal is not None and self._service.settings.store != "off"

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        fields = call.fields
        previous = _text(fields, "previous_response_id")
        if previous is not None and ID.fullmatch(previous) is None:
            return await proceed(call)  # a response of the provider's own, which it knows and we do not
        for name, instead in _ELSEWHERE.items():
            if name in fields and bytes(fields[name]) not in _NONE:
                raise NotExpressible(f"'{name}' is not served here; {instead}", param=name)
        stores = self._wanted(fields)
        if previous is None and not stores:
            return await proceed(call)
        id = new_turn()
        own = input_items(fields["input"], id) if "input" in fields else None
        if own is None:
            return await proceed(call)  # whatever is wrong with it is said by whoever reads it
        await self._continue(call, previous)
        fields["store"] = _FALSE
        reply = await proceed(call)
        draft = _Draft(self, call, id, own, previous) if stores else None
        rewriter = Rewriter(id, previous, stored=stores)
        if reply.body is not None:
            reply.body = await _whole(reply.body, rewriter, draft)
        elif reply.chunks is not None:
            reply.chunks = _stream(reply.chunks, rewriter, draft)
        return reply

    async def keep(self, turn: Turn) -> bool:
        """Keep a turn; whether it is kept. What the model said is not withheld because it could not be stored."""
        settings = self._service.settings
        if turn.size > settings.max_turn_bytes:
            self.lost += 1
            return False
        try:
            await self._service.keep(turn)
        except PenstockError as fault:
            self.lost += 1
            _log.warning("a response was not stored", extra={"response": turn.id, "fault": fault.message, "code": fault.code})
            return False
        self.kept += 1
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
        )

    def _wanted(self, fields: dict[str, Raw]) -> bool:
        given = fields.get("store")
        if given is None or bytes(given) == b"null":
            return self._service.settings.store == "unless_refused"
        if bytes(given) not in (b"true", b"false"):
            raise MalformedRequest("'store' must be true or false.", param="store")
        return bytes(given) == b"true"

    async def _continue(self, call: Call, previous: str | None) -> None:
        fields = call.fields
        fields.pop("previous_response_id", None)
        if previous is None:
            return
        assert call.principal is not None
        try:
            turns = await self._service.conversation(call.principal.reach, previous)
        except NotFound as fault:
            if fault.code != "not_found":
                raise
            what = f"there is no response {previous!r}: it was never stored, was deleted or has expired"
            raise NotFound(what, code="previous_response_not_found", status=400, param="previous_response_id") from None
        before = [
            said for turn in turns for item in turn.items() if (said := said_again(item, same_model=turn.model == call.model)) is not None
        ]
        now = msgspec.json.decode(fields["input"])
        items = [*before, *([{"role": "user", "content": now}] if isinstance(now, str) else now)]
        fields["input"] = Raw(msgspec.json.encode(items))
        call.input_estimate += sum(len(bytes(item)) for item in before) // 4


_ELSEWHERE = {
    "background": "poll a batch (/v1/batches) for work that outlives its request",
    "conversation": "follow responses by 'previous_response_id'",
}


class _Draft:
    """A turn that lacks its response."""

    def __init__(self, stage: Remember, call: Call, id: str, own: bytes, previous: str | None) -> None:
        self._stage = stage
        self._call = call
        self._id = id
        self._own = own
        self._previous = previous

    async def keep(self, response: bytes) -> bool:
        """Keep it with this response."""
        return await self._stage.keep(self._stage.turn(self._call, self._id, self._own, self._previous, response))


async def _whole(body: bytes, rewriter: Rewriter, draft: _Draft | None) -> bytes:
    response = rewriter.response(body)
    if draft is not None and not await draft.keep(response):
        rewriter.stored = False
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
                    rewriter.stored = False
                    out, _ = rewriter.events(chunk)
            yield out
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


def _text(fields: dict[str, Raw], name: str) -> str | None:
    given = fields.get(name)
    if given is None or bytes(given) == b"null":
        return None
    try:
        return msgspec.json.decode(given, type=str)
    except msgspec.ValidationError:
        raise MalformedRequest(f"{name!r} must be the id of a response.", param=name) from None
