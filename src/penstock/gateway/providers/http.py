"""A provider reached over HTTP: any endpoint that a profile describes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from penstock.gateway.client import Answer, Client, Origin
from penstock.gateway.providers.authorisation import authoriser
from penstock.gateway.providers.place import base_url, place_of, region_of
from penstock.gateway.providers.profile import ASKED_AS, Profile
from penstock.gateway.providers.tokens import Authoriser
from penstock.gateway.settings import ProviderSettings, RealtimeSettings
from penstock.gateway.shapes import bedrock_error
from penstock.gateway.uploads.upload import Form
from penstock.kernel.call import Headers
from penstock.kernel.errors import DeadlineExceeded, PenstockError, SettingsError, UpstreamError, UpstreamMalformed
from penstock.kernel.tasks import Place

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from penstock.gateway.providers.provider import Declined

MODELS_BYTES = 8 * 1024 * 1024
_MODELS_SECONDS = 3.0
NOT_ALLOWED = "AccessDeniedException"
"""What AWS says to one whom it knows and who may not do this: to be known is what a probe asks."""


class HttpProvider:
    """One endpoint, with connections of its own, so that a slow provider cannot use up another's."""

    def __init__(self, name: str, profile: Profile, settings: ProviderSettings, environ: Mapping[str, str] = os.environ) -> None:
        self.name = name
        self.profile = profile if settings.sampling else msgspec.structs.replace(profile, sampling=False)
        self.declared = settings.models
        base = base_url(name, profile, settings, environ)
        self.origin = Origin(base)
        self.base_url = base
        self.region = region_of(profile, settings, environ)
        self.place: Place = settings.place or place_of(profile, base, self.region)
        self._try_seconds = settings.try_seconds
        self._connect_seconds = settings.connect_seconds
        self._client = Client(self.origin, max_connections=settings.max_connections, connect_seconds=settings.connect_seconds, label=name)
        self._auth, key, self.key_source = authoriser(name, profile, settings, environ, self.origin)
        headers = {"host": self.origin.authority, "user-agent": "penstock"}
        headers |= profile.headers | {k.lower(): v for k, v in settings.headers.items()}
        if key is not None:
            headers[profile.auth] = profile.auth_prefix + key
        self._session_headers = [(k, v) for k, v in headers.items() if k not in ("host", "content-type")]
        self._form_headers = _header_bytes(name, {k: v for k, v in headers.items() if k != "content-type"})
        self._headers = _header_bytes(name, {"content-type": "application/json", **headers})
        self._query = f"?api-version={quote(settings.api_version, safe='')}" if settings.api_version else ""
        self._reshapes = profile.reshapes
        self._heads: dict[tuple[str, str, bool], bytes] = {}

    def speaks(self, shape: str) -> str | None:
        """Its own shape when it has it; else one into which the request may be translated."""
        paths = self.profile.paths
        if shape in paths:
            return shape
        return next((s for s in ASKED_AS.get(shape, ()) if s in paths), None)

    def post(
        self,
        shape: str,
        model: str,
        body: bytes,
        *,
        fields: Mapping[str, bytes],
        stream: bool,
        headers: Headers,
        timeout: float,
    ) -> Awaitable[Answer]:
        """See `Provider.post`."""
        if self._reshapes and shape in self._reshapes:
            body = self._reshapes[shape].reshaped(body)
        if self._auth is not None:
            return self._authorised(self._auth, shape, model, body, stream=stream, headers=headers, timeout=timeout)
        return self._post(shape, model, body, stream=stream, headers=headers, timeout=timeout)

    async def _authorised(
        self, auth: Authoriser, shape: str, model: str, body: bytes, *, stream: bool, headers: Headers, timeout: float
    ) -> Answer:
        began = time.monotonic()
        headers = [*headers, *await self._allowed(auth, "POST", self._path(shape, model, stream), body, timeout)]
        return await self._post(shape, model, body, stream=stream, headers=headers, timeout=timeout - (time.monotonic() - began))

    async def _allowed(self, auth: Authoriser, method: str, path: str, body: bytes, timeout: float) -> Headers:
        try:
            async with asyncio.timeout(timeout):
                return await auth.headers(method, path, body)
        except TimeoutError as fault:
            raise DeadlineExceeded(f"{self.name}: the deadline passed before there were credentials") from fault

    def _post(self, shape: str, model: str, body: bytes, *, stream: bool, headers: Headers, timeout: float) -> Awaitable[Answer]:
        head = self._heads.get((shape, model, stream)) or self._head(shape, model, stream)
        head += _lines(headers)
        if stream:
            # A stream may last until the call's deadline, but not pause for longer than one try may take.
            return self._client.request(head, body, timeout=timeout, idle_timeout=min(timeout, self._try_seconds))
        return self._client.request(head, body, timeout=min(timeout, self._try_seconds))

    async def upload(self, shape: str, model: str, form: Form, *, headers: Headers, timeout: float) -> Answer:
        """See `TakesForms.upload`."""
        if self._auth is not None:
            # A form that is still arriving cannot be signed, and none of those who sign requests takes forms: a token does not look at it.
            headers = [*headers, *await self._allowed(self._auth, "POST", self._path(shape, model, False), b"", timeout)]
        head = b"%s%scontent-type: %s\r\n" % (self._line(shape, model), self._form_headers, form.media.encode("ascii"))
        head += _lines(headers)
        # Whether a stream comes back is told by the reply, so what bounds each kind bounds this one: the deadline, and the pauses.
        idle = min(timeout, self._try_seconds)
        if form.complete and form.repeatable:
            return await self._client.request(head, form.encoded(model), timeout=timeout, idle_timeout=idle)
        return await self._client.upload(head, form.passed(model), timeout=timeout, idle_timeout=idle)

    async def dial(self, shape: str, model: str, *, headers: Headers, limits: RealtimeSettings) -> ClientConnection | Declined:
        """See `TakesSessions.dial`."""
        # Only houses with sessions pay for the import (20 ms).
        from penstock.gateway.providers.dial import dial

        path = self._path(shape, model, stream=False)
        if self._auth is not None:
            headers = [*headers, *await self._allowed(self._auth, "GET", path, b"", self._connect_seconds)]
        return await dial(self.name, self.origin, path, [*self._session_headers, *headers], self._connect_seconds, limits)

    async def models(self) -> tuple[str, ...]:
        """Names that the endpoint lists, empty when it has none. Raises `UpstreamError` or `DeadlineExceeded` when it cannot be asked."""
        path = self.profile.models_path
        if path is None:
            return ()
        answer = await self._get(path)
        body = await answer.read(MODELS_BYTES)
        if answer.status != 200:
            raise UpstreamError(f"{self.name}: {path} answers {answer.status}")
        try:
            found = msgspec.json.decode(body, type=_ModelList)
            if found.data is not None:
                return tuple(m.id for m in found.data)
            return tuple(m.name.removeprefix("models/") for m in msgspec.json.decode(found.models, type=list[_GoogleModel]))
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise UpstreamMalformed(f"{self.name}: {path} is not a list of models") from fault

    async def exchange(
        self, method: str, path: str, body: bytes | AsyncIterator[bytes] = b"", *, media: str = "application/json", timeout: float
    ) -> Answer:
        """One request of the API beside calls to models, at ``path`` below the base URL; a body in pieces is sent while it is made."""
        whole = self.origin.path + path
        head = b"%s %s HTTP/1.1\r\n%scontent-type: %s\r\n" % (method.encode(), whole.encode("ascii"), self._form_headers, media.encode())
        if self._auth is not None:
            head += _lines(await self._allowed(self._auth, method, whole, body if isinstance(body, bytes) else b"", timeout))
        idle = min(timeout, self._try_seconds)
        if isinstance(body, bytes):
            return await self._client.request(head, body, timeout=timeout, idle_timeout=idle)
        return await self._client.upload(head, body, timeout=timeout, idle_timeout=idle)

    async def probe(self) -> tuple[bool, str]:
        """Ask for the list of models, or for anything at all where there is none."""
        try:
            answer = await self._get(self.profile.probe_path or self.profile.models_path or "/")
            kind = (answer.header(bedrock_error.HEADER) or "").partition(":")[0]
            answer.close()
        except PenstockError as fault:
            return False, fault.message
        if answer.status in (401, 403) and kind != NOT_ALLOWED:
            what = "key" if self._auth is None else "credentials"
            return False, f"refuses our {what} ({f'{answer.status} {kind}'.strip()}); it came from {self.key_source or 'nowhere'}"
        return answer.status < 500, f"answers {answer.status}" + (f", {kind}" if kind else "")

    async def close(self) -> None:
        """Close all connections."""
        if self._auth is not None:
            await self._auth.close()
        await self._client.close()

    async def _get(self, path: str) -> Answer:
        path = self.origin.path + path
        head = b"GET %s HTTP/1.1\r\n%s" % (path.encode("ascii"), self._headers)
        if self._auth is not None:
            head += _lines(await self._allowed(self._auth, "GET", path, b"", _MODELS_SECONDS))
        return await self._client.request(head, b"", timeout=_MODELS_SECONDS)

    def _path(self, shape: str, model: str, stream: bool) -> str:
        paths = self.profile.stream_paths if stream and shape in self.profile.stream_paths else self.profile.paths
        path = paths[shape].replace("{model}", quote(model, safe=""))
        query = self._query.replace("?", "&") if "?" in path else self._query
        return f"{self.origin.path}{path}{query}"

    def _line(self, shape: str, model: str, stream: bool = False) -> bytes:
        return b"POST %s HTTP/1.1\r\n" % self._path(shape, model, stream).encode("ascii")

    def _head(self, shape: str, model: str, stream: bool) -> bytes:
        head = self._line(shape, model, stream) + self._headers
        if len(self._heads) < 10_000:  # names of models come from callers; do not keep them without end
            self._heads[(shape, model, stream)] = head
        return head


class _Model(msgspec.Struct):
    id: str


class _GoogleModel(msgspec.Struct):
    name: str


class _ModelList(msgspec.Struct):
    """OpenAI's and Anthropic's list under ``data``, or Google's under ``models``."""

    data: list[_Model] | None = None
    models: msgspec.Raw = msgspec.Raw(b"")


def _lines(headers: Headers) -> bytes:
    return b"".join([f"{name}: {value}\r\n".encode("latin-1") for name, value in headers])


def _header_bytes(name: str, headers: Mapping[str, str]) -> bytes:
    lines: list[bytes] = []
    for header, value in headers.items():
        if any(c in header + value for c in "\r\n\0"):
            raise SettingsError(f"gateway.providers.{name}: header {header!r} or the key contains a line break", param=name)
        lines.append(f"{header}: {value}\r\n".encode("latin-1"))
    return b"".join(lines)
