"""A response on its way to the client gets an id of ours, and says what is true of it here: whether it is kept, and what it follows."""

from __future__ import annotations

import msgspec
from msgspec import Raw

_MARK = b'"response":'
_ENDS = frozenset({"response.completed", "response.incomplete"})


class _Event(msgspec.Struct):
    type: str = ""


class Rewriter:
    """Rewrites whole responses, and the events of streams that hold one. Everything else of a response stays as the provider wrote it."""

    def __init__(self, id: str, previous: str | None, conversation: str | None = None, *, stored: bool) -> None:
        self._id = id
        self._previous = previous
        self._conversation = conversation
        self.stored = stored

    def lost(self) -> None:
        """It was not kept after all, nor put into its conversation."""
        self.stored, self._conversation = False, None

    def response(self, body: bytes | Raw) -> bytes:
        """A response object. What is no object is left alone."""
        try:
            fields = msgspec.json.decode(body, type=dict[str, Raw])
        except msgspec.ValidationError:
            return bytes(body)
        fields["id"] = Raw(msgspec.json.encode(self._id))
        fields["store"] = Raw(b"true" if self.stored else b"false")
        fields["previous_response_id"] = Raw(msgspec.json.encode(self._previous))
        if self._conversation is not None:
            fields["conversation"] = Raw(msgspec.json.encode({"id": self._conversation}))
        return msgspec.json.encode(fields)

    def concerns(self, chunk: bytes) -> bool:
        """Whether these events may hold a response. A text may hold the same words; then nothing is changed."""
        return _MARK in chunk or b'"response" :' in chunk

    def events(self, chunk: bytes) -> tuple[bytes, bytes | None]:
        """Whole events rewritten, and the response that ends the stream when they hold it."""
        out: list[bytes] = []
        ended: bytes | None = None
        for event in chunk.split(b"\n\n"):
            lines = event.split(b"\n")
            for number, line in enumerate(lines):
                if not line.startswith(b"data:") or not self.concerns(line):
                    continue
                rewritten = self._data(line[5:].strip())
                if rewritten is None:
                    continue
                kind, data, response = rewritten
                lines[number] = b"data: " + data
                if kind in _ENDS:
                    ended = response
            out.append(b"\n".join(lines))
        return b"\n\n".join(out), ended

    def _data(self, data: bytes) -> tuple[str, bytes, bytes] | None:
        try:
            fields = msgspec.json.decode(data, type=dict[str, Raw])
            kind = msgspec.json.decode(data, type=_Event).type
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # a line of an event with several, or what the reader behind us will refuse
        held = fields.get("response")
        if held is None or not kind.startswith("response."):
            return None
        response = self.response(held)
        fields["response"] = Raw(response)
        return kind, msgspec.json.encode(fields), response
