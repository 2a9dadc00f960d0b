"""Credentials that expire: fetched once, kept, and renewed in the background before they end, so that no call waits for it.

Whoever knows how to get them (Google's, Microsoft's and Amazon's own libraries, which block) is asked in a thread. The first call waits for
the first ones; later calls only when renewing has failed until the old ones ended.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from penstock.kernel.call import Headers
from penstock.kernel.errors import PenstockError, ProviderCredentials

T = TypeVar("T")
_log = logging.getLogger("penstock.gateway")

AHEAD_SECONDS = 300.0
"""How long before their end credentials are renewed; less for those that live less than twice as long."""
AGAIN_SECONDS = 5.0
"""How long a failure is believed before the vendor is asked again."""


class Authoriser(Protocol):
    """What signs requests to a provider in the place of a fixed key."""

    source: str
    """Where its credentials come from, for people; never a secret."""

    async def headers(self, method: str, path: str, body: bytes) -> Headers:
        """The headers that let this request in. Raises `ProviderCredentials`."""
        ...

    async def close(self) -> None: ...


class Lease(Struct, Generic[T], frozen=True):
    """Credentials, and for how many seconds they may be used (infinite: for ever)."""

    value: T
    seconds: float = math.inf


class Renewed(Generic[T]):
    """Credentials from ``fetch``, which runs in a thread. ``label`` names their user and their source in errors and the log."""

    def __init__(self, label: str, fetch: Callable[[], Lease[T]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._fetch = fetch
        self._clock = clock
        self._lease: Lease[T] | None = None
        self._ends = self._due = -math.inf
        self._fault: ProviderCredentials | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def get(self) -> T:
        """Credentials that are good now. Raises `ProviderCredentials` when there are none to be had."""
        now = self._clock()
        if now >= self._due:
            if self._renewing is None or self._renewing.done():
                self._renewing = asyncio.get_running_loop().create_task(self._renew())
            if self._lease is None or now >= self._ends:
                # A caller who leaves must not take the renewal away from the others.
                await asyncio.shield(self._renewing)
        if self._lease is None or self._clock() >= self._ends:
            raise self._fault or ProviderCredentials(f"{self._label}: the credentials that came had ended already")
        return self._lease.value

    async def close(self) -> None:
        """Stop renewing."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    async def _renew(self) -> None:
        try:
            lease = await asyncio.to_thread(self._fetch)
        except Exception as fault:  # the vendors' libraries raise whatever they like
            self._due = self._clock() + AGAIN_SECONDS
            # What the vendor says may quote the request, and so a secret: only its kind is told.
            told = fault.message if isinstance(fault, PenstockError) else f"no credentials to be had ({type(fault).__name__})"
            self._fault = ProviderCredentials(f"{self._label}: {told}", retry_after=AGAIN_SECONDS)
            _log.warning("provider credentials could not be renewed", extra={"provider": self._label, "reason": told})
            return
        now = self._clock()
        self._lease, self._fault = lease, None
        self._ends = now + lease.seconds
        self._due = self._ends - min(AHEAD_SECONDS, lease.seconds / 2) if math.isfinite(lease.seconds) else math.inf


class Bearer:
    """An `Authoriser` that sends a token as ``Authorization: Bearer``; ``more`` are headers that go with it."""

    def __init__(self, source: str, tokens: Renewed[str], more: Sequence[tuple[str, str]] = ()) -> None:
        self.source = source
        self._tokens = tokens
        self._more = list(more)

    async def headers(self, method: str, path: str, body: bytes) -> Headers:
        """See `Authoriser.headers`."""
        return [("authorization", f"Bearer {await self._tokens.get()}"), *self._more]

    async def close(self) -> None:
        """See `Authoriser.close`."""
        await self._tokens.close()
