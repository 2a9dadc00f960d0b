"""A provider that writes down what another one does, so that it can be replayed later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import msgspec

from penstock.gateway.providers.profile import Profile
from penstock.gateway.providers.provider import Provider, Upstream, for_forms
from penstock.gateway.recordings import Capture, Recorder
from penstock.gateway.recordings.exchange import KEPT_HEADERS
from penstock.gateway.settings import ProviderSettings
from penstock.gateway.uploads.upload import Form
from penstock.kernel.call import Headers
from penstock.kernel.errors import SettingsError
from penstock.kernel.tasks import Place


class RecordingProvider:
    """Wraps a provider; everything else is as there. Only exchanges that came to their end are written."""

    def __init__(self, name: str, profile: Profile, settings: ProviderSettings, inner: Provider) -> None:
        if not settings.file:
            raise SettingsError(f"gateway.providers.{name}.file: name the file to record to", param="file")
        self.name = name
        self.profile = inner.profile
        self.place: Place = settings.place or inner.place
        self.region = settings.region or inner.region
        self.declared = settings.models
        self._inner = inner
        self._recorder = Recorder(settings.file, source=f"provider {inner.name}")

    def speaks(self, shape: str) -> str | None:
        """What the wrapped provider speaks."""
        return self._inner.speaks(shape)

    async def post(
        self,
        shape: str,
        model: str,
        body: bytes,
        *,
        fields: Mapping[str, bytes],
        stream: bool,
        headers: Headers,
        timeout: float,
    ) -> Captured:
        """See `Provider.post`."""
        request = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "model" not in request:  # the path named it
            request["model"] = msgspec.Raw(msgspec.json.encode(model))
        capture = Capture(shape, request)
        upstream = await self._inner.post(shape, model, body, fields=fields, stream=stream, headers=headers, timeout=timeout)
        kept = [(name, value) for name in KEPT_HEADERS if (value := upstream.header(name)) is not None]
        capture.head(upstream.status, kept)
        return Captured(upstream, capture, self._recorder)

    async def upload(self, shape: str, model: str, form: Form, *, headers: Headers, timeout: float) -> Captured:
        """See `TakesForms.upload`; the recording keeps a file's digest in the place of its content."""
        capture = Capture(shape, {})
        upstream = await for_forms(self._inner).upload(shape, model, form, headers=headers, timeout=timeout)
        await form.settle()
        capture.asked({**form.fields(), "model": msgspec.Raw(msgspec.json.encode(model))})
        kept = [(name, value) for name in KEPT_HEADERS if (value := upstream.header(name)) is not None]
        capture.head(upstream.status, kept)
        return Captured(upstream, capture, self._recorder)

    async def probe(self) -> tuple[bool, str]:
        """Ask the wrapped provider."""
        good, what = await self._inner.probe()
        return good, f"{what}; recording to {self._recorder.path}"

    async def close(self) -> None:
        """Close the file. The wrapped provider is closed by whoever owns it."""
        self._recorder.close()


class Captured:
    """An answer that is written down while it is read."""

    __slots__ = ("_capture", "_recorder", "_upstream", "status")

    def __init__(self, upstream: Upstream, capture: Capture, recorder: Recorder) -> None:
        self._upstream = upstream
        self._capture = capture
        self._recorder = recorder
        self.status = upstream.status

    def header(self, name: str) -> str | None:
        """A header of the wrapped answer."""
        return self._upstream.header(name)

    async def read(self, limit: int) -> bytes:
        """The body, recorded."""
        body = await self._upstream.read(limit)
        self._recorder.add(self._capture.whole(body))
        return body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks; recorded when the last one has come."""
        async for chunk in self._upstream.chunks():
            self._capture.chunk(chunk)
            yield chunk
        self._recorder.add(self._capture.streamed())

    def close(self) -> None:
        """Drop the wrapped answer."""
        self._upstream.close()
