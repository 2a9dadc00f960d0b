"""What decoders of event streams share: whole events, one at a time, to the end that the stream itself must tell."""

from __future__ import annotations

from abc import ABC, abstractmethod

from penstock.gateway.shapes.sse import EventCutter, data_of
from penstock.kernel import messages as m
from penstock.kernel.call import Usage
from penstock.kernel.errors import UpstreamMalformed, UpstreamReset


class EventDecoder(ABC):
    """A `StreamDecoder` to be filled in: `_see` turns one event's data into deltas and sets ``finished`` at the last one.

    What comes after that one is no part of the reply.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finished = False
        self.finish_reason: str | None = None
        self.output_bytes = 0
        self._cutter = EventCutter()

    @abstractmethod
    def _see(self, data: bytes, deltas: list[m.Delta]) -> None: ...

    def feed(self, chunk: bytes) -> list[m.Delta]:
        """See `StreamDecoder.feed`."""
        return self._events(self._cutter.feed(chunk))

    def close(self) -> list[m.Delta]:
        """See `StreamDecoder.close`."""
        try:
            deltas = self._events(self._cutter.close())
        except UpstreamMalformed as fault:
            raise UpstreamReset("The provider's stream ended inside an event.") from fault
        if not self.finished:
            raise UpstreamReset("The provider's stream ended before the reply was complete.")
        return deltas

    def _events(self, whole: bytes) -> list[m.Delta]:
        deltas: list[m.Delta] = []
        for piece in whole.split(b"\n\n"):
            event = piece.strip(b"\n")
            data = data_of(event + b"\n") if event else None
            if data is not None and not self.finished:
                self._see(data, deltas)
        return deltas
