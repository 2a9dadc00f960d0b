"""The batch APIs of vendors: OpenAI's files and batches, Anthropic's message batches, as their references have them.

https://platform.openai.com/docs/api-reference/batch, https://platform.openai.com/docs/api-reference/files,
https://docs.anthropic.com/en/api/creating-message-batches
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from penstock.gateway.choose import Catalogue
from penstock.gateway.client import Answer
from penstock.gateway.providers.http import HttpProvider
from penstock.gateway.providers.profile import CHAT, MESSAGES
from penstock.gateway.refusal import refusal
from penstock.kernel.delegation import Limits, LineReply, Looked, Returned
from penstock.kernel.errors import UpstreamMalformed

WIRES = {"openai": CHAT, "anthropic": MESSAGES}
"""The shape of the requests in the batches of each API. OpenAI's takes others too; those lines are called in real time."""
SECONDS = 60.0
LONG = 3600.0
MOST = 16 << 20
NOT_NOW = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
EARLIER = 3600.0
"""By how much a vendor's clock may be behind ours where we look for a batch of our own."""
OURS = "penstock_slice"


class Driver(Protocol):
    """One vendor's API, spoken to one provider."""

    limits: Limits

    def entry(self, custom_id: str, body: bytes) -> bytes: ...
    async def upload(self, http: HttpProvider, name: str, lines: AsyncIterator[bytes], seconds: float) -> str | None: ...
    async def submit(self, http: HttpProvider, name: str, file: str | None, lines: AsyncIterator[bytes]) -> str: ...
    async def find(self, http: HttpProvider, name: str, count: int, since: float, known: frozenset[str]) -> tuple[str | None, bool]: ...
    async def look(self, http: HttpProvider, id: str) -> Looked: ...
    def path_of(self, file: str) -> str: ...
    def cancelling(self, id: str) -> str: ...
    def line(self, data: bytes) -> LineReply: ...


class Vendors:
    """`VendorBatches` over the configured providers."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def limits(self, provider: str) -> Limits | None:
        """See `VendorBatches.limits`."""
        found = self._catalogue.providers.get(provider)
        if not isinstance(found, HttpProvider) or found.profile.batches is None:
            return None
        return DRIVERS[found.profile.batches].limits

    def entry(self, provider: str, custom_id: str, body: bytes) -> bytes:
        """See `VendorBatches.entry`."""
        return self._of(provider)[1].entry(custom_id, body)

    async def upload(self, provider: str, name: str, lines: AsyncIterator[bytes], seconds: float) -> str | None:
        """See `VendorBatches.upload`."""
        http, driver = self._of(provider)
        return await driver.upload(http, name, lines, seconds)

    async def submit(self, provider: str, name: str, file: str | None, lines: AsyncIterator[bytes]) -> str:
        """See `VendorBatches.submit`."""
        http, driver = self._of(provider)
        return await driver.submit(http, name, file, lines)

    async def find(self, provider: str, name: str, count: int, since: float, known: frozenset[str]) -> tuple[str | None, bool]:
        """See `VendorBatches.find`."""
        http, driver = self._of(provider)
        return await driver.find(http, name, count, since, known)

    async def look(self, provider: str, id: str) -> Looked:
        """See `VendorBatches.look`."""
        http, driver = self._of(provider)
        return await driver.look(http, id)

    async def cancel(self, provider: str, id: str) -> None:
        """See `VendorBatches.cancel`."""
        http, driver = self._of(provider)
        answer = await http.exchange("POST", driver.cancelling(id), b"{}", timeout=SECONDS)
        if answer.status >= 500 or answer.status == 429:
            raise await refusal(provider, answer)
        await answer.read(MOST)  # any other refusal: it has ended, which the next look sees

    async def results(self, provider: str, file: str, longest: int) -> AsyncIterator[LineReply | None]:
        """See `VendorBatches.results`."""
        http, driver = self._of(provider)
        answer = await http.exchange("GET", driver.path_of(file), timeout=LONG)
        if answer.status != 200:
            raise await refusal(provider, answer)
        try:
            async for line in _lines(answer, longest):
                if line is None:
                    yield None
                elif line.strip():
                    try:
                        found = driver.line(line)
                    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                        found = None
                    yield found
        finally:
            answer.close()

    def _of(self, provider: str) -> tuple[HttpProvider, Driver]:
        found = self._catalogue.providers.get(provider)
        if not isinstance(found, HttpProvider) or found.profile.batches is None:
            raise UpstreamMalformed(f"provider {provider!r} is not configured any more, or has no batches")
        return found, DRIVERS[found.profile.batches]


class _Fault(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _OpenAIFaults(msgspec.Struct):
    data: list[_Fault] | None = None


class _OpenAIBatch(msgspec.Struct):
    id: str
    status: str = ""
    created_at: float = 0.0
    metadata: dict[str, Any] | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _OpenAIFaults | None = None


class _OpenAIList(msgspec.Struct):
    data: list[_OpenAIBatch]
    has_more: bool = False


class _Id(msgspec.Struct):
    id: str


class _OpenAIResponse(msgspec.Struct):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _OpenAILine(msgspec.Struct):
    custom_id: str
    response: _OpenAIResponse | None = None
    error: _Fault | None = None


class OpenAI:
    """OpenAI: a file, then a batch of it, which carries our name in its metadata; one model in each."""

    limits = Limits(50_000, 200 << 20, CHAT)
    _ended = frozenset({"completed", "failed", "expired", "cancelled"})

    def entry(self, custom_id: str, body: bytes) -> bytes:
        return msgspec.json.encode({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": msgspec.Raw(body)})

    async def upload(self, http: HttpProvider, name: str, lines: AsyncIterator[bytes], seconds: float) -> str | None:
        edge = secrets.token_hex(16)

        async def form() -> AsyncIterator[bytes]:
            yield (
                f'--{edge}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--{edge}\r\n'
                f'content-disposition: form-data; name="file"; filename="{name}.jsonl"\r\ncontent-type: application/jsonl\r\n\r\n'
            ).encode()
            async for piece in lines:
                yield piece
            yield f"\r\n--{edge}--\r\n".encode()

        answer = await http.exchange("POST", "/files", form(), media=f"multipart/form-data; boundary={edge}", timeout=seconds)
        return (await _read(http.name, answer, _Id)).id

    async def submit(self, http: HttpProvider, name: str, file: str | None, lines: AsyncIterator[bytes]) -> str:
        asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {OURS: name}}
        answer = await http.exchange("POST", "/batches", msgspec.json.encode(asked), timeout=SECONDS)
        return (await _read(http.name, answer, _Id)).id

    async def find(self, http: HttpProvider, name: str, count: int, since: float, known: frozenset[str]) -> tuple[str | None, bool]:
        after = ""
        while True:
            page = await _read(http.name, await http.exchange("GET", f"/batches?limit=100{after}", timeout=SECONDS), _OpenAIList)
            for one in page.data:
                if (one.metadata or dict[str, Any]()).get(OURS) == name:
                    return one.id, True
            if not page.data or not page.has_more or page.data[-1].created_at < since - EARLIER:
                return None, True
            after = f"&after={quote(page.data[-1].id, safe='')}"

    async def look(self, http: HttpProvider, id: str) -> Looked:
        one = await _read(http.name, await http.exchange("GET", f"/batches/{quote(id, safe='')}", timeout=SECONDS), _OpenAIBatch)
        error = None
        if one.status == "failed":
            told = one.errors.data if one.errors is not None else None
            error = (told[0].message if told else None) or "no further explanation"
        return Looked(ended=one.status in self._ended, error=error, files=tuple(f for f in (one.output_file_id, one.error_file_id) if f))

    def path_of(self, file: str) -> str:
        return f"/files/{quote(file, safe='')}/content"

    def cancelling(self, id: str) -> str:
        return f"/batches/{quote(id, safe='')}/cancel"

    def line(self, data: bytes) -> LineReply:
        one = msgspec.json.decode(data, type=_OpenAILine)
        if one.response is None:
            return LineReply(one.custom_id, None, (one.error and one.error.code) or "batch_expired", True)
        status = one.response.status_code
        return LineReply(one.custom_id, Returned(status, bytes(one.response.body)), f"http_{status}", status in NOT_NOW)


class _AnthropicBatch(msgspec.Struct):
    id: str
    processing_status: str = ""
    created_at: str = ""
    request_counts: dict[str, int] = {}


class _AnthropicList(msgspec.Struct):
    data: list[_AnthropicBatch]
    has_more: bool = False


class _AnthropicResult(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


class _AnthropicLine(msgspec.Struct):
    custom_id: str
    result: _AnthropicResult


class _AnthropicError(msgspec.Struct):
    error: dict[str, Any] = {}


_STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""https://docs.anthropic.com/en/api/errors"""


class Anthropic:
    """Anthropic: the requests stand in the body. Nothing of ours is on the batch but the ids of its lines, which its results show."""

    limits = Limits(100_000, 256 << 20, MESSAGES)

    def entry(self, custom_id: str, body: bytes) -> bytes:
        return msgspec.json.encode({"custom_id": custom_id, "params": msgspec.Raw(body)})

    async def upload(self, http: HttpProvider, name: str, lines: AsyncIterator[bytes], seconds: float) -> str | None:
        return None

    async def submit(self, http: HttpProvider, name: str, file: str | None, lines: AsyncIterator[bytes]) -> str:
        async def body() -> AsyncIterator[bytes]:
            # Lines end in a line break, which may stand for the comma between them: no valid JSON of ours has one inside.
            held = b'{"requests":['
            async for piece in lines:
                made = held + piece.replace(b"\n", b",")
                held = made[-1:] if made.endswith(b",") else b""
                yield made.removesuffix(b",")
            yield b"]}"

        return (await _read(http.name, await http.exchange("POST", "/messages/batches", body(), timeout=LONG), _Id)).id

    async def find(self, http: HttpProvider, name: str, count: int, since: float, known: frozenset[str]) -> tuple[str | None, bool]:
        after, certain = "", True
        while True:
            page = await _read(
                http.name, await http.exchange("GET", f"/messages/batches?limit=100{after}", timeout=SECONDS), _AnthropicList
            )
            for one in page.data:
                if one.id in known or sum(one.request_counts.values()) != count or _moment(one.created_at) < since - EARLIER:
                    continue
                if one.processing_status != "ended":
                    certain = False  # it could be ours: its lines can be seen only when it has ended
                elif await self._is(http, one.id, name):
                    return one.id, True
            if not page.data or not page.has_more or _moment(page.data[-1].created_at) < since - EARLIER:
                return None, certain
            after = f"&after_id={quote(page.data[-1].id, safe='')}"

    async def _is(self, http: HttpProvider, id: str, name: str) -> bool:
        answer = await http.exchange("GET", self.path_of(id), timeout=SECONDS)
        if answer.status != 200:
            await answer.read(MOST)
            return False
        try:
            async for line in _lines(answer, MOST):
                return line is not None and self.line(line).custom_id.startswith(name)
        except msgspec.DecodeError:
            return False
        finally:
            answer.close()
        return False

    async def look(self, http: HttpProvider, id: str) -> Looked:
        path = f"/messages/batches/{quote(id, safe='')}"
        one = await _read(http.name, await http.exchange("GET", path, timeout=SECONDS), _AnthropicBatch)
        ended = one.processing_status == "ended"
        return Looked(ended=ended, files=(id,) if ended else ())

    def path_of(self, file: str) -> str:
        return f"/messages/batches/{quote(file, safe='')}/results"

    def cancelling(self, id: str) -> str:
        return f"/messages/batches/{quote(id, safe='')}/cancel"

    def line(self, data: bytes) -> LineReply:
        one = msgspec.json.decode(data, type=_AnthropicLine)
        result = one.result
        if result.type == "succeeded":
            return LineReply(one.custom_id, Returned(200, bytes(result.message)))
        if result.type != "errored":
            return LineReply(one.custom_id, None, f"batch_{result.type}"[:50], True)
        kind = str(msgspec.json.decode(result.error, type=_AnthropicError).error.get("type", ""))
        status = _STATUSES.get(kind, 500)
        return LineReply(one.custom_id, Returned(status, bytes(result.error)), kind or "api_error", status in NOT_NOW)


DRIVERS: Mapping[str, Driver] = {"openai": OpenAI(), "anthropic": Anthropic()}


async def _read(provider: str, answer: Answer, kind: Any) -> Any:
    if answer.status != 200:
        raise await refusal(provider, answer)
    try:
        return msgspec.json.decode(await answer.read(MOST), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise UpstreamMalformed(f"{provider} answered with something else than its batches' reference says") from fault


async def _lines(answer: Answer, longest: int) -> AsyncIterator[bytes | None]:
    held, skipping = bytearray(), False
    async for piece in answer.chunks():
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            held += piece[start:end]
            yield None if skipping or len(held) > longest else bytes(held)
            held.clear()
            start, skipping = end + 1, False
        held += piece[start:]
        if len(held) > longest:
            held.clear()
            skipping = True
    if held or skipping:
        yield None if skipping else bytes(held)


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return float("inf")
