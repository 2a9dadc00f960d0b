"""Watching a stream that is passed on in its own shape.

Nearly every event of a stream holds nothing that the gateway must know. So each chunk is first scanned for a few byte strings that only
the interesting events hold; only when one turns up is the chunk cut into events and those decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from penstock.gateway.shapes.sse import EventCutter, data_of
from penstock.kernel.call import Usage
from penstock.kernel.errors import UpstreamMalformed, UpstreamReset


class Eye(Protocol):
    """What a shape knows about its streams."""

    usage: Usage | None
    finished: bool
    finish_reason: str | None

    def quiet(self, chunk: bytes) -> bool:
        """Whether whole events surely hold neither end, nor usage, nor failure. May err on the side of no."""
        ...

    def see(self, data: bytes) -> bool:
        """Take note of one event; whether to pass it on. Raises `UpstreamError` for a reported failure, `UpstreamMalformed` for no JSON."""
        ...


class Tap:
    """A `StreamTap` over any shape's `Eye`. ``marks`` are the names (``"text":``) of the fields that hold generated text.

    ``kept`` gives what the record keeps in the place of the stream, None for the stream itself.
    """

    __slots__ = ("_cutter", "_eye", "_marks", "kept", "output_bytes")

    def __init__(self, eye: Eye, marks: tuple[bytes, ...], kept: Callable[[], bytes] | None = None) -> None:
        self.kept = kept
        self._eye = eye
        self._marks = marks
        self._cutter = EventCutter()
        self.output_bytes = 0

    @property
    def usage(self) -> Usage | None:
        return self._eye.usage

    @property
    def finished(self) -> bool:
        return self._eye.finished

    @property
    def finish_reason(self) -> str | None:
        return self._eye.finish_reason

    def feed(self, chunk: bytes) -> bytes:
        whole = self._cutter.feed(chunk)
        if not whole:
            return whole
        for mark in self._marks:
            at = whole.find(mark)
            if at >= 0:
                self.output_bytes += text_bytes(whole, mark, at)
                break
        if self._eye.quiet(whole):
            return whole
        return self._look(whole)

    def close(self) -> bytes:
        rest = self._cutter.close()
        if rest and not self._eye.finished:
            try:
                rest = self._look(rest)
            except UpstreamMalformed as fault:
                raise UpstreamReset("The provider's stream ended inside an event.") from fault
        if not self._eye.finished:
            raise UpstreamReset("The provider's stream ended before the reply was complete.")
        return rest

    def _look(self, whole: bytes) -> bytes:
        eye = self._eye
        kept: list[bytes] = []
        dropped = False
        for piece in whole.split(b"\n\n"):
            event = piece.strip(b"\n")
            if not event:
                continue
            if eye.finished:
                # Nothing after the end is part of the reply.
                dropped = True
                break
            data = data_of(event + b"\n")
            if data is None or eye.see(data):
                kept.append(event)
            else:
                dropped = True
        if not dropped:
            return whole
        return b"".join(event + b"\n\n" for event in kept)


def text_bytes(whole: bytes, mark: bytes, at: int) -> int:
    """Roughly how many bytes of text stand behind every ``mark`` (a field's name and colon), the first of which is at ``at`` (-1: none).

    An escaped quote ends a count early: a rough figure is enough for an estimate.
    """
    found = 0
    width = len(mark)
    while at >= 0:
        start = at + width
        if whole[start : start + 1] == b" ":
            start += 1
        if whole[start : start + 1] != b'"':
            at = whole.find(mark, start)  # null, or a list of parts whose texts have marks of their own
            continue
        start += 1
        end = whole.find(b'"', start)
        if end < 0:
            break
        found += end - start
        at = whole.find(mark, end)
    return found
