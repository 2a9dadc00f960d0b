"""Asking a model for an agent's next turn: over the line, so that each question is routed, guarded, charged and recorded like any other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from penstock.kernel.completion import completed, told_why
from penstock.kernel.errors import PenstockError
from penstock.kernel.pace import again
from penstock.kernel.ports import Holders, ModelAsk, ModelClient

PATH = "/v1/chat/completions"
Message = dict[str, Any]
"""A message as chat completions write it: the conversation is journalled and sent in one shape."""


class ToolCall(Struct, frozen=True, kw_only=True):
    """A tool that the model wants called. ``arguments`` is what it wrote, which need not be JSON."""

    id: str
    name: str
    arguments: str


class Question(Struct, frozen=True, kw_only=True):
    """What is asked. ``tools`` are as chat completions describe them, ``max_tokens`` the longest answer, ``seconds`` the longest wait.

    ``key`` is the id of the key that pays, whose rights and limits are those of the moment. ``labels`` are put on the call.
    """

    model: str
    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()
    params: Mapping[str, Any] = {}
    max_tokens: int | None = None
    seconds: float | None = None
    key: str = ""
    labels: Mapping[str, str] = {}


class Said(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the model said: text, calls of tools, or both. It is journalled as it stands.

    ``error`` is a stable code where there is no answer, ``again`` the seconds after which asking once more makes sense, None where it does
    not. ``cost`` is micro-dollars, ``call`` the call's id on the record, ``at`` when it was over, in Unix seconds.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    error: str = ""
    message: str = ""
    again: float | None = None
    tokens: int = 0
    cost: int = 0
    call: str = ""
    answered_by: str = ""
    at: float = 0.0

    def turn(self) -> Message:
        """The message that goes back into the conversation."""
        told: Message = {"role": "assistant", "content": self.text}
        if self.calls:
            told["tool_calls"] = [
                {"id": one.id, "type": "function", "function": {"name": one.name, "arguments": one.arguments}} for one in self.calls
            ]
        return told


class Model(Protocol):
    """Whoever answers for an agent: the line, or in a test whatever says the same each time."""

    async def say(self, question: Question) -> Said:
        """Ask once. Whatever goes wrong is in the answer."""
        ...


class LineModel:
    """Models over the line of this process."""

    def __init__(self, client: ModelClient, holders: Holders) -> None:
        self._client = client
        self._holders = holders

    async def say(self, question: Question) -> Said:
        """One call for the key behind the run; one that was revoked meanwhile asks nothing more."""
        body: dict[str, Any] = {**question.params, "model": question.model, "messages": question.messages}
        if question.tools:
            body["tools"] = question.tools
        if question.max_tokens is not None:
            body["max_tokens"] = min(question.max_tokens, body.get("max_tokens", question.max_tokens))
        try:
            principal = self._holders.holder_of(question.key)
        except PenstockError as fault:
            return Said(error=fault.code, message=fault.message, at=time.time())
        answer = await self._client.call(
            ModelAsk(path=PATH, body=msgspec.json.encode(body), principal=principal, seconds=question.seconds, labels=question.labels)
        )
        usage, now = answer.usage, time.time()
        known: dict[str, Any] = {
            "tokens": usage.input + usage.output if usage is not None else 0,
            "cost": answer.cost or 0,
            "call": answer.call,
            "answered_by": answer.answered_by,
            "at": now,
        }
        if answer.error is not None or not 200 <= answer.status < 300:
            retry, _ = again(answer)
            wait = (answer.retry_after or 0.0) if retry else None
            return Said(error=answer.error or f"http_{answer.status}", message=told_why(answer.body), again=wait, **known)
        return _said(answer.body, known)


def _said(body: bytes, known: Mapping[str, Any]) -> Said:
    answer = completed(body)
    if answer is None:
        return Said(error="bad_reply", message="the model's reply is no chat completion", again=0.0, **known)
    calls = tuple(
        # Some servers leave the id out; the place of a call in its turn names it as well.
        ToolCall(id=one.id or f"call_{place}", name=one.function.name, arguments=one.function.arguments)
        for place, one in enumerate(answer.calls)
    )
    return Said(text=answer.text, calls=calls, finish=answer.finish, **known)
