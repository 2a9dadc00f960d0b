"""A recording as a provider: answers what was recorded, in its own time or faster, whole or streamed as asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import msgspec

from penstock.gateway.providers.profile import ASKED_AS, CHAT_SHAPES, COMPLETIONS, Profile
from penstock.gateway.recordings import Exchange, Player, as_stream, as_whole, play_stream, play_whole, wait_for_first_byte
from penstock.gateway.settings import ProviderSettings
from penstock.gateway.shapes import SHAPES, chat
from penstock.gateway.uploads.upload import Form
from penstock.kernel.call import Headers
from penstock.kernel.errors import SettingsError
from penstock.kernel.tasks import Place


class ReplayProvider:
    """Plays one recording file. A request that was not recorded is a miss (`UnknownModel`, code ``recording_miss``)."""

    def __init__(self, name: str, profile: Profile, settings: ProviderSettings) -> None:
        if not settings.file:
            raise SettingsError(f"gateway.providers.{name}.file: a replay needs the recording's file", param="file")
        self.name = name
        self.profile = profile
        self.place: Place = settings.place or "device"
        self.region = settings.region or ""
        self._player = Player(settings.file, settings.speed)
        self._speed = settings.speed
        self.declared: tuple[str, ...] = settings.models or tuple(self._player.models)

    def speaks(self, shape: str) -> str | None:
        """The shapes that the file holds; any conversation can be answered from any recorded conversation by translation."""
        held = self._player.shapes
        if shape in held:
            return shape
        return next((s for s in ASKED_AS.get(shape, ()) if s in held), None)

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
    ) -> Replayed:
        """See `Provider.post`. Recorded refusals are refused again, with their status."""
        sent = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        exchange = self._player.find(shape, sent, model)
        if shape in CHAT_SHAPES or shape == COMPLETIONS:
            exchange = as_stream(exchange, chat(SHAPES[shape]), include_usage=True) if stream else as_whole(exchange, chat(SHAPES[shape]))
        await wait_for_first_byte(exchange, self._speed)
        return Replayed(exchange, self._speed)

    async def upload(self, shape: str, model: str, form: Form, *, headers: Headers, timeout: float) -> Replayed:
        """See `TakesForms.upload`; files are known again by their digest."""
        await form.settle()
        exchange = self._player.find(shape, form.fields(), model)
        await wait_for_first_byte(exchange, self._speed)
        return Replayed(exchange, self._speed)

    async def probe(self) -> tuple[bool, str]:
        """The file was read when Penstock started."""
        player = self._player
        damaged = f", {player.damaged} unreadable lines left out" if player.damaged else ""
        return True, f"{player.count} exchanges of {len(player.models)} models in {player.path}{damaged}"

    async def close(self) -> None:
        """Give the file back."""
        self._player.close()


class Replayed:
    """A recorded answer as it arrives."""

    __slots__ = ("_exchange", "_headers", "_speed", "status")

    def __init__(self, exchange: Exchange, speed: float) -> None:
        self._exchange = exchange
        self._speed = speed
        self._headers = {name.lower(): value for name, value in exchange.headers}
        self.status = exchange.status

    def header(self, name: str) -> str | None:
        """A recorded header."""
        return self._headers.get(name.lower())

    async def read(self, limit: int) -> bytes:
        """The whole body, when its time has come."""
        _, _, body = await play_whole(self._rest(), self._speed)
        return body

    def chunks(self) -> AsyncIterator[bytes]:
        """The recorded chunks, each when its time has come."""
        return play_stream(self._rest(), self._speed)

    def close(self) -> None:
        """Nothing to drop."""

    def _rest(self) -> Exchange:
        # The time to the first byte has passed already; what follows is timed from there.
        exchange, gone = self._exchange, self._exchange.first_byte_ms
        chunks = [(max(0.0, ms - gone), data) for ms, data in exchange.chunks] if exchange.chunks is not None else None
        return msgspec.structs.replace(exchange, chunks=chunks, first_byte_ms=0.0, total_ms=max(0.0, exchange.total_ms - gone))
