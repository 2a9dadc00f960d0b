"""Taking down one exchange while it happens, to be added to a recording."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from penstock.gateway.recordings.exchange import Exchange, kept_headers
from penstock.kernel.call import Headers


class Capture:
    """Made when the request is sent; told of the head and the bytes as they come; `whole` or `streamed` gives the exchange at the end.

    An exchange that did not come to its end is simply dropped. ``fields`` is the top level of the request as it went to the provider.
    ``clock`` gives seconds.
    """

    def __init__(self, shape: str, fields: Mapping[str, msgspec.Raw | bytes], clock: Callable[[], float] = time.perf_counter) -> None:
        self._shape = shape
        self._request: dict[str, msgspec.Raw] = {}
        self.asked(fields)
        self._clock = clock
        self._started = clock()
        self._recorded_at = time.time()
        self._status = 200
        self._headers: Headers = []
        self._head_ms = 0.0
        self._chunks: list[tuple[float, bytes]] = []

    def asked(self, fields: Mapping[str, msgspec.Raw | bytes]) -> None:
        """What the request was, when it is known only after it was sent."""
        self._request = {name: raw if isinstance(raw, msgspec.Raw) else msgspec.Raw(raw) for name, raw in fields.items()}

    def head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """The reply's head arrived."""
        self._status = status
        self._headers = kept_headers(headers)
        self._head_ms = self._elapsed()

    def chunk(self, data: bytes) -> None:
        """Bytes of a stream arrived."""
        self._chunks.append((self._elapsed(), data))

    def whole(self, body: bytes) -> Exchange:
        """The exchange of a reply that was read in one piece. Its first byte is taken to have come with the head."""
        return self._exchange(body=body, first_byte_ms=self._head_ms)

    def streamed(self) -> Exchange:
        """The exchange of a stream that has ended."""
        return self._exchange(chunks=self._chunks, first_byte_ms=self._chunks[0][0] if self._chunks else self._head_ms)

    def _exchange(self, *, first_byte_ms: float, body: bytes | None = None, chunks: list[tuple[float, bytes]] | None = None) -> Exchange:
        return Exchange(
            shape=self._shape,
            request=self._request,
            status=self._status,
            headers=self._headers,
            body=body,
            chunks=chunks,
            first_byte_ms=first_byte_ms,
            total_ms=self._elapsed(),
            recorded_at=self._recorded_at,
        )

    def _elapsed(self) -> float:
        return (self._clock() - self._started) * 1e3
