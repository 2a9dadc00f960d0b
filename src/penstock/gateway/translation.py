"""One request on its way through a form that both shapes know, and its reply on the way back."""

from __future__ import annotations

from typing import Protocol, cast

import msgspec

from penstock.gateway.shapes import chat
from penstock.gateway.shapes.embedding import EmbeddingRequest, expect_count
from penstock.gateway.shapes.plain import Plain
from penstock.gateway.shapes.shape import ChatShape, CountShape, Dialect, EmbeddingShape, Fields, Shape
from penstock.kernel.call import Usage
from penstock.kernel.errors import NotExpressible
from penstock.kernel.messages import ArgumentsDelta, Choice, Delta, ToolBegin, ToolCall


class Translation(Protocol):
    """A request in the provider's shape: ``body``, and in ``dropped`` the names of what was left out of it.

    ``one_call`` says that the client wants tools to be called one at a time. Not every API can be told so (Gemini's cannot); of several
    calls the client is then given the first, and the model can ask for the next once it has the result.
    """

    body: bytes
    dropped: list[str]
    one_call: bool

    def reply(self, body: bytes, *, model: str) -> tuple[bytes, Usage | None]:
        """The provider's whole reply in the client's shape, naming ``model``, and its usage. Raises `UpstreamError`."""
        ...


def translate(shape: Shape, spoken: Shape, fields: Fields, *, model: str, stream: bool, dialect: Dialect) -> Translation:
    """The request of ``shape`` for a provider that speaks ``spoken``. Raises `NotExpressible` or `MalformedRequest`."""
    if isinstance(shape, Plain):
        return _Plain(shape, spoken, fields, model)
    if _CONTINUED.get(shape.operation, shape.operation) != spoken.operation:
        raise NotExpressible(f"{shape.name} and {spoken.name} do different things")
    if shape.operation == "embeddings":
        return _Embedding(cast("EmbeddingShape", shape), cast("EmbeddingShape", spoken), fields, model)
    if shape.operation == "count_tokens":
        return _Count(cast("CountShape", shape), cast("CountShape", spoken), fields, model, dialect)
    return _Chat(chat(shape), chat(spoken), fields, model, stream, dialect)


_CONTINUED = {"completions": "chat"}
"""Operations that are served through another one."""


class _Plain:
    def __init__(self, shape: Plain, spoken: Shape, fields: Fields, model: str) -> None:
        self._shape, self._spoken, self._fields = shape, spoken, fields
        self.body = shape.request_in(spoken.name, fields, model=model)
        self.dropped: list[str] = []
        self.one_call = False

    def reply(self, body: bytes, *, model: str) -> tuple[bytes, Usage | None]:
        return self._shape.reply_from(self._spoken.name, body, self._fields, model=model), self._spoken.usage(body)


class _Chat:
    def __init__(self, shape: ChatShape, spoken: ChatShape, fields: Fields, model: str, stream: bool, dialect: Dialect) -> None:
        request = shape.decode_request(fields)
        self._shape, self._spoken = shape, spoken
        self.body = spoken.encode_request(request, model=model, stream=stream, dialect=dialect)
        self.dropped = request.dropped
        self.one_call = request.parallel_tool_calls is False

    def reply(self, body: bytes, *, model: str) -> tuple[bytes, Usage | None]:
        completion = self._spoken.decode_reply(body)
        if self.one_call:
            completion = msgspec.structs.replace(completion, choices=tuple(_one_call(choice) for choice in completion.choices))
        return self._shape.encode_reply(completion, model=model), completion.usage


def _one_call(choice: Choice) -> Choice:
    later = [part for part in choice.parts if isinstance(part, ToolCall)][1:]
    return msgspec.structs.replace(choice, parts=tuple(p for p in choice.parts if not any(p is one for one in later))) if later else choice


def one_call_only(deltas: list[Delta]) -> list[Delta]:
    """The deltas of a stream without those of any call but the first."""
    return [delta for delta in deltas if not (isinstance(delta, ToolBegin | ArgumentsDelta) and delta.index > 0)]


class _Count:
    one_call = False

    def __init__(self, shape: CountShape, spoken: CountShape, fields: Fields, model: str, dialect: Dialect) -> None:
        request = shape.decode_request(fields)
        self._shape, self._spoken = shape, spoken
        self.body = spoken.encode_request(request, model=model, dialect=dialect)
        self.dropped = request.dropped

    def reply(self, body: bytes, *, model: str) -> tuple[bytes, Usage | None]:
        counted = self._spoken.decode_reply(body)
        return self._shape.encode_reply(counted), counted.usage


class _Embedding:
    one_call = False

    def __init__(self, shape: EmbeddingShape, spoken: EmbeddingShape, fields: Fields, model: str) -> None:
        request: EmbeddingRequest = shape.decode_request(fields)
        self._shape, self._spoken, self._request = shape, spoken, request
        self.body = spoken.encode_request(request, model=model)
        self.dropped = request.dropped

    def reply(self, body: bytes, *, model: str) -> tuple[bytes, Usage | None]:
        vectors = self._spoken.decode_reply(body)
        expect_count(len(vectors.vectors), self._request)
        return self._shape.encode_reply(vectors, model=model, request=self._request), vectors.usage
