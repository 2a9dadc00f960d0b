"""What an AG-UI client sends, and what of it an agent is asked. Unknown fields are left alone, as the specification wants."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from penstock.kernel.agents import AgentCard
from penstock.kernel.errors import MalformedRequest, NotExpressible

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Part(Struct, frozen=True, rename="camel"):
    """A part of a user's message; only text is understood by agents."""

    type: str
    text: str = ""


class Message(Struct, frozen=True, rename="camel"):
    """A message of the conversation so far."""

    role: str
    id: str = ""
    content: str | list[Part] | dict[str, Any] | None = None


class Resume(Struct, frozen=True, rename="camel"):
    """An answer to an interrupt."""

    interrupt_id: Annotated[str, Meta(min_length=1, max_length=500)]
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class Noted(Struct, frozen=True, rename="camel"):
    """Something that the interface wants the agent to know."""

    description: str
    value: str


class RunAgentInput(Struct, frozen=True, rename="camel"):
    """A request to run an agent, or to go on after an interrupt."""

    thread_id: Name
    run_id: Name
    messages: list[Message]
    protocol_version: str | None = None
    parent_run_id: str | None = None
    state: Any = None
    tools: list[dict[str, Any]] | None = None
    context: list[Noted] | None = None
    forwarded_props: Any = None
    resume: list[Resume] | None = None

    def ignored(self) -> list[str]:
        """The fields that have no meaning here, and are there all the same."""
        return ["tools"] if self.tools else []


def question(given: RunAgentInput, card: AgentCard) -> Any:
    """What the agent is asked: the messages of the user since anybody else said something, with what the interface adds.

    An agent that wants another type than text is given their JSON. Raises `MalformedRequest` or `NotExpressible`.
    """
    said: list[str] = []
    for place in range(len(given.messages) - 1, -1, -1):
        message = given.messages[place]
        if message.role != "user":
            if said:
                break
            continue
        said.insert(0, _text(message, place))
    text = "\n\n".join(said)
    if not text.strip():
        raise MalformedRequest("messages hold nothing that a user said; send a message with the role 'user'", param="messages")
    if card.input.get("type") == "string":
        return "\n\n".join([text, *(f"{one.description}: {one.value}" for one in given.context or ())])
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise MalformedRequest(
            f"agent {card.name} wants JSON as the user's message, as its card in GET /v1/agents says", param="messages"
        ) from None


def _text(message: Message, place: int) -> str:
    if isinstance(message.content, str):
        return message.content
    if not isinstance(message.content, list):
        raise MalformedRequest("a user's content is text or a list of parts", param=f"messages[{place}].content")
    for at, part in enumerate(message.content):
        if part.type != "text":
            where = f"messages[{place}].content[{at}]"
            raise NotExpressible(f"agents take text alone, and this is a part of the type {part.type[:40]!r}", param=where)
    return "\n".join(part.text for part in message.content)


__all__ = ["Message", "Noted", "Part", "Resume", "RunAgentInput", "question"]
