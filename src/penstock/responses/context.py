"""What a response goes on with: the turns that it follows, or the conversation that it stands in."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw

from penstock.kernel.errors import NotFound
from penstock.responses.conversation import Conversations
from penstock.responses.service import ResponseService
from penstock.responses.turn import said_again


class Context:
    """Finds what was said before, as a provider is told it."""

    def __init__(self, service: ResponseService, conversations: Conversations) -> None:
        self._service = service
        self._conversations = conversations

    async def before(self, reach: str | None, previous: str | None, conversation: str | None, model: str) -> Sequence[Raw]:
        """The items, the first one first. Raises `NotFound` where something is missing, `BodyTooLarge` where it is too much."""
        if conversation is not None:
            items = await self._conversations.said(reach, conversation)
            return [said for item in items if (said := said_again(item, same_model=True)) is not None]
        if previous is None:
            return ()
        try:
            turns = await self._service.conversation(reach, previous)
        except NotFound as fault:
            if fault.code != "not_found":
                raise
            what = f"there is no response {previous!r} to follow: it has no answer yet, was never stored, was deleted or has expired"
            raise NotFound(what, code="previous_response_not_found", status=400, param="previous_response_id") from None
        return [said for turn in turns for item in turn.items() if (said := said_again(item, same_model=turn.model == model)) is not None]
