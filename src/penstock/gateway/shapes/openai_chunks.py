"""What chat completions and the older completions share: their envelope, and their streams of chunks that end in ``[DONE]``."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes import openai_usage
from penstock.gateway.shapes.decoder import EventDecoder
from penstock.gateway.shapes.openai_usage import ChatUsage
from penstock.gateway.shapes.sse import event
from penstock.kernel import messages as m
from penstock.kernel.call import Usage

DONE = b"[DONE]"
_SHORT = 64
"""The event that ends a stream is shorter, nearly every chunk longer: those are not looked at for it."""

C = TypeVar("C")


class ChunkWire(Struct, Generic[C]):
    """A whole reply or one chunk of a stream; ``C`` is a choice."""

    id: str = ""
    model: str = ""
    created: float | None = None
    choices: list[C] | None = None
    usage: ChatUsage | None = None
    system_fingerprint: str | None = None
    error: Raw = Raw(b"")


class ChunkDecoder(EventDecoder, Generic[C]):
    """A `StreamDecoder` to be filled in: ``read`` decodes one chunk, `_choice` tells what is new in one of its choices."""

    def __init__(self, read: Callable[[bytes], ChunkWire[C]]) -> None:
        super().__init__()
        self._read = read
        self._begun = False

    @abstractmethod
    def _choice(self, choice: C, deltas: list[m.Delta]) -> None: ...

    def _see(self, data: bytes, deltas: list[m.Delta]) -> None:
        if len(data) < _SHORT and data.strip() == DONE:
            self.finished = True
            return
        body = self._read(data)
        if not self._begun:
            self._begun = True
            deltas.append(m.Begin(body.id, body.model, int(body.created) if body.created is not None else None))
        for choice in body.choices or ():
            self._choice(choice, deltas)
        if body.usage is not None:
            self.usage = openai_usage.from_chat(body.usage)
            deltas.append(m.UsageDelta(self.usage))


class ChunkEncoder:
    """What the `StreamEncoder` of either writes alike. ``object`` is what a chunk calls itself."""

    object: str

    def __init__(self, model: str, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._usage: Usage | None = None
        self._head: dict[str, Any] = {"id": "", "object": self.object, "created": int(time.time()), "model": model}

    def finish(self) -> bytes:
        """See `StreamEncoder.finish`."""
        out = b""
        if self._include_usage and self._usage is not None:
            out = event(msgspec.json.encode({**self._head, "choices": [], "usage": openai_usage.chat_object(self._usage)}))
        return out + event(DONE)

    def _begin(self, delta: m.Begin) -> None:
        self._head["id"] = delta.id
        if delta.created is not None:
            self._head["created"] = delta.created

    def _chunk(self, choices: Sequence[Mapping[str, Any]]) -> bytes:
        return event(msgspec.json.encode({**self._head, "choices": choices}))
