"""Handing a call over to a vendor's batch instead of sending it, and answering it with what that batch brought.

Both are an ordinary attempt with a provider in the middle that takes the request, or has the reply already: translation, usage and what
a refusal means are the same as for any call.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.gateway.choose import Catalogue
from penstock.gateway.providers.profile import Profile
from penstock.gateway.providers.provider import Declined, Provider
from penstock.gateway.quota import Quota
from penstock.gateway.relay import Relay
from penstock.gateway.vendor_batches import WIRES
from penstock.kernel.call import Attempt, Call, Headers, Reply
from penstock.kernel.delegation import Handed, HandedOver, Handover, Returned
from penstock.kernel.errors import PenstockError
from penstock.kernel.tasks import Place


class Handing:
    """What the sender does with a call that carries a `Handover`; None where it is to be sent as any other."""

    def __init__(self, catalogue: Catalogue, relay: Relay) -> None:
        self._catalogue = catalogue
        self._relay = relay

    async def __call__(self, call: Call) -> Reply | None:
        """Raises `HandedOver` once the body for the vendor is on the call."""
        handover = call.handover
        assert handover is not None
        target = call.targets[0]
        provider = self._catalogue.providers.get(target.provider)
        wire = WIRES.get(provider.profile.batches or "") if provider is not None else None
        if handover.returned is not None:
            assert provider is not None
            assert handover.handed is not None
            attempt = Attempt(provider=target.provider, model=target.model, started_ms=call.elapsed_ms())
            call.attempts.append(attempt)
            given = _Given(provider, call, handover.returned)
            try:
                reply = await self._relay.attempt(call, target, given, handover.handed.wire, attempt, Quota())
            except PenstockError as fault:
                attempt.ended_ms, attempt.error, attempt.message = call.elapsed_ms(), fault.code, fault.message
                raise
            call.target = target
            return reply
        if provider is None or wire is None or target.provider not in handover.to or provider.speaks(call.shape) != wire:
            return None
        if wire != call.shape:
            # What INSPECT has put in is not in the caller's body, from which the way back would be found.
            return None
        taking = _Given(provider, call, None)
        attempt = Attempt(provider=target.provider, model=target.model, started_ms=call.elapsed_ms())
        await self._relay.attempt(call, target, taking, wire, attempt, Quota())
        raise AssertionError("a call was handed over and answered")


class _Given:
    """A provider that is not asked: it takes the request for a batch, or answers what a batch has brought."""

    def __init__(self, provider: Provider, call: Call, returned: Returned | None) -> None:
        self.name = provider.name
        self.profile: Profile = provider.profile
        self.declared = provider.declared
        self.place: Place = provider.place
        self.region = provider.region
        self._call = call
        self._returned = returned

    def speaks(self, shape: str) -> str | None:
        return shape

    async def post(
        self, shape: str, model: str, body: bytes, *, fields: Mapping[str, bytes], stream: bool, headers: Headers, timeout: float
    ) -> Declined:
        """See `Provider.post`."""
        if self._returned is not None:
            return Declined(self._returned.status, {"content-type": "application/json"}, self._returned.body)
        call, handover = self._call, self._call.handover
        assert isinstance(handover, Handover)
        handover.handed = Handed(
            call=call.id,
            provider=self.name,
            model=model,
            name=call.model,
            wire=shape,
            task=call.task,
            most=handover.most,
            body=body,
            prompt=call.prompt,
        )
        raise HandedOver

    async def probe(self) -> tuple[bool, str]:
        return True, "not asked"

    async def close(self) -> None:
        """Nothing is open."""
