"""What a provider is to the gateway: something that takes a body in a wire shape it speaks and gives back an answer, whole or in chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import TYPE_CHECKING, Protocol, cast

from penstock.gateway.providers.profile import Profile
from penstock.gateway.settings import RealtimeSettings
from penstock.gateway.uploads.upload import Form
from penstock.kernel.call import Headers
from penstock.kernel.errors import NotExpressible
from penstock.kernel.tasks import Place

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection


class Upstream(Protocol):
    """A provider's answer, its head received and its body still to be read, once, whole or in chunks.

    ``close`` drops the rest and is safe to call twice; an answer read to its end needs none.
    """

    status: int

    def header(self, name: str) -> str | None: ...

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises `UpstreamReset`, `DeadlineExceeded`, or `UpstreamMalformed` when longer than ``limit`` bytes."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises `UpstreamReset` or `DeadlineExceeded` from the iteration."""
        ...

    def close(self) -> None: ...


class Provider(Protocol):
    """One configured endpoint. Extend by wrapping: the recording provider wraps any other."""

    name: str
    profile: Profile
    declared: tuple[str, ...]
    """Names of models it is known to serve; may grow by discovery."""
    place: Place
    """Where what is sent to it goes."""
    region: str
    """The region that its address, or its settings, name; empty where nobody said."""

    def speaks(self, shape: str) -> str | None:
        """The wire shape in which a request of client shape ``shape`` is best sent here, None when it cannot be served."""
        ...

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
    ) -> Awaitable[Upstream]:
        """Send ``body`` (its top level also given as raw ``fields``) and return as soon as the head of the answer is there.

        ``timeout`` is in seconds, for the whole exchange. Raises `UpstreamUnreachable` when nothing was sent, `UpstreamReset`
        when the connection broke, `DeadlineExceeded` when time ran out.
        """
        ...

    async def probe(self) -> tuple[bool, str]:
        """Whether it can be reached now, and a word on it; asked by ``penstock doctor``. Never raises."""
        ...

    async def close(self) -> None: ...


class TakesForms(Protocol):
    """A provider that speaks shapes whose requests are forms."""

    def upload(self, shape: str, model: str, form: Form, *, headers: Headers, timeout: float) -> Awaitable[Upstream]:
        """Send a form, as far as it has not arrived yet while it arrives. Raises as `Provider.post`, and what is wrong with the form."""
        ...


class TakesSessions(Protocol):
    """A provider with which one can talk over a WebSocket."""

    def dial(self, shape: str, model: str, *, headers: Headers, limits: RealtimeSettings) -> Awaitable[ClientConnection | Declined]:
        """Open a connection, or have it declined. Raises `UpstreamUnreachable` or `UpstreamMalformed`."""
        ...


class Declined:
    """The answer of a provider that did not open a session; an `Upstream` whose body is there."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._body = body

    def header(self, name: str) -> str | None:
        return self._headers.get(name.lower())

    async def read(self, limit: int) -> bytes:
        return self._body[:limit]

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    def close(self) -> None:
        """Nothing is open any more."""


def for_sessions(provider: Provider) -> TakesSessions:
    """``provider`` as one that takes sessions. Raises `NotExpressible` when it does not."""
    if not hasattr(provider, "dial"):
        raise NotExpressible(f"{provider.name} takes no sessions over WebSocket")
    return cast("TakesSessions", provider)


def for_forms(provider: Provider) -> TakesForms:
    """``provider`` as one that takes forms. Raises `NotExpressible` when it does not."""
    if not hasattr(provider, "upload"):
        raise NotExpressible(f"{provider.name} takes no uploads")
    return cast("TakesForms", provider)
