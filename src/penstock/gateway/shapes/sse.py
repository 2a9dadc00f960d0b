"""Server-sent events, read as the HTML standard describes them, however the bytes are cut.

Lines end in LF, CRLF or CR; events end at an empty line; a leading byte order mark and comments are ignored; several ``data`` lines are one
value joined by newlines (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from __future__ import annotations

from penstock.kernel.errors import UpstreamMalformed

MAX_EVENT = 32 * 1024 * 1024
"""Longest event in bytes; images in base64 travel in single events."""

_BOM = b"\xef\xbb\xbf"
_IGNORED = (b":", b"id:", b"retry:", b"id", b"retry", b"event", b"data")


class EventCutter:
    """Cuts a byte stream into whole events, each with line ends made LF, its own end (an empty line) included."""

    __slots__ = ("_begun", "_cr", "_held", "_size")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        """All whole events received so far and not returned before, strung together; the rest is kept."""
        if not chunk:
            return b""
        if not self._begun:
            chunk = self._begin(chunk)
        if self._cr or b"\r" in chunk:
            chunk = self._plain_ends(chunk)
        held = self._held
        if not held and chunk.endswith(b"\n\n"):
            return chunk
        if held:
            # An empty line may straddle what is held and what came; short of that, nothing is complete yet.
            if b"\n\n" not in chunk and not (chunk[:1] == b"\n" and held[-1][-1:] == b"\n"):
                return self._hold(chunk)
            held.append(chunk)
            chunk = b"".join(held)
            held.clear()
            self._size = 0
        cut = chunk.rfind(b"\n\n")
        if cut < 0:
            return self._hold(chunk)
        cut += 2
        if cut < len(chunk):
            self._hold(chunk[cut:])
        return chunk[:cut]

    def close(self) -> bytes:
        """What is left when the stream ends: an event without its empty line, ended here; empty when nothing is left."""
        rest = b"".join(self._held).strip(b"\n")
        self._held.clear()
        self._size = 0
        return rest + b"\n\n" if rest else b""

    def _begin(self, chunk: bytes) -> bytes:
        chunk = b"".join((*self._held, chunk))
        self._held.clear()
        if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
            self._held.append(chunk)
            return b""
        self._begun = True
        return chunk.removeprefix(_BOM)

    def _plain_ends(self, chunk: bytes) -> bytes:
        if self._cr and chunk[:1] == b"\n":
            chunk = chunk[1:]
        self._cr = chunk[-1:] == b"\r"
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, piece: bytes) -> bytes:
        if piece:
            self._held.append(piece)
            self._size += len(piece)
            if self._size > MAX_EVENT:
                raise UpstreamMalformed(f"The provider sent an event of more than {MAX_EVENT} bytes.")
        return b""


def data_of(event: bytes) -> bytes | None:
    """The data of one event (its lines, LF ended); None when it has none, as in a comment that keeps the connection alive.

    Raises `UpstreamMalformed` when a line is none that an event can have: then this is no event stream.
    """
    if event.startswith(b"data: ") and event.find(b"\n", 6) == len(event.rstrip(b"\n")):
        return event[6:].rstrip(b"\n")
    found: list[bytes] = []
    for line in event.split(b"\n"):
        if line.startswith(b"data:"):
            found.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line and not line.startswith(b"event:") and not line.startswith((b":", b"id:", b"retry:")) and line not in _IGNORED:
            raise UpstreamMalformed("The provider's stream holds a line that no event stream has.")
    return b"\n".join(found) if found else None


def event(data: bytes, name: bytes | None = None) -> bytes:
    """One event to send: ``data`` must hold no newline, which JSON encoders guarantee."""
    if name is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + name + b"\ndata: " + data + b"\n\n"
