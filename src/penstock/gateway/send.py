"""Making the attempts: one target after another, repeating only what is safe to repeat, never after the client has seen a byte.

A form that was too large to be held is sent once: what has been passed on is gone.

Safe to repeat on the same target: no connection was made, or the provider said that it did not do the work (429, 5xx). A timeout or a
broken connection may have run, and may be billed: it is not repeated there, but the next target of the fallback chain is tried. What the
caller got wrong (other 4xx) ends the call at once: every other target would say the same.
"""

from __future__ import annotations

import asyncio
import random

from penstock.gateway.choose import Catalogue
from penstock.gateway.providers.profiles import CHAT, COMPLETIONS
from penstock.gateway.providers.provider import Provider
from penstock.gateway.relay import Relay
from penstock.gateway.settings import GatewaySettings
from penstock.kernel.call import Attempt, Call, Reply, Target
from penstock.kernel.errors import (
    CallCancelled,
    DeadlineExceeded,
    NotExpressible,
    PenstockError,
    UnknownModel,
    UpstreamError,
    UpstreamMalformed,
    UpstreamRefused,
    UpstreamReset,
    UpstreamUnreachable,
)
from penstock.kernel.stage import Proceed, Slot

FIRST_WAIT_SECONDS = 0.25
# Statuses by which a provider says "not now": the work was not done, and may be asked for again.
NOT_NOW = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
# Statuses that another target may not share: our key there, or its list of models.
NOT_HERE = frozenset({401, 402, 403, 404, 405, 407})


class Send:
    """Walks the call's targets until one has begun to answer."""

    name = "send"
    slot = Slot.SEND

    def __init__(self, catalogue: Catalogue, relay: Relay, settings: GatewaySettings) -> None:
        self._catalogue = catalogue
        self._relay = relay
        self._retries = settings.retries
        self._longest_wait = settings.retry_wait_seconds

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        last: PenstockError | None = None
        for target in call.targets:
            provider = self._catalogue.providers.get(target.provider)
            wire = _wire(provider, call.shape, target.model) if provider is not None else None
            if provider is None or wire is None:
                last = last or UnknownModel(f"{target.provider} serves no {call.operation} in a form that fits {call.shape}", param="model")
                continue
            try:
                return await self._target(call, target, provider, wire)
            except NotExpressible as fault:
                last = last or fault
            except (UpstreamError, DeadlineExceeded) as fault:
                last = fault
                if not _others_may_differ(fault) or call.remaining() <= 0 or _gone(call):
                    break
        raise last or UnknownModel(f"nothing serves model {call.model!r}", param="model")

    async def _target(self, call: Call, target: Target, provider: Provider, wire: str) -> Reply:
        wait = FIRST_WAIT_SECONDS
        left = self._retries
        while True:
            attempt = Attempt(provider=target.provider, model=target.model, started_ms=call.elapsed_ms())
            call.attempts.append(attempt)
            try:
                reply = await self._relay.attempt(call, target, provider, wire, attempt)
            except (UpstreamError, DeadlineExceeded) as fault:
                _close(call, attempt, fault)
                if left == 0 or not _repeatable(fault) or _gone(call):
                    raise
                pause = fault.retry_after if fault.retry_after is not None else wait * random.uniform(0.5, 1.0)
                if pause > self._longest_wait or pause >= call.remaining():
                    raise
            except NotExpressible:
                call.attempts.pop()  # nothing was sent
                raise
            except PenstockError as fault:
                _close(call, attempt, fault)
                raise
            except BaseException:
                _close(call, attempt, CallCancelled("the client went away"))
                raise
            else:
                call.target = target
                return reply
            left -= 1
            wait *= 2
            await asyncio.sleep(pause)


def _gone(call: Call) -> bool:
    """Whether the request was sent on while it arrived, and nobody has it any more."""
    return call.form is not None and not call.form.repeatable


def _wire(provider: Provider, shape: str, model: str) -> str | None:
    """The shape in which to speak to a model there; a completion becomes a conversation for a model that takes only those."""
    wire = provider.speaks(shape)
    if wire is None or provider.profile.takes(wire, model):
        return wire
    return provider.speaks(CHAT) if shape == COMPLETIONS else None


def _close(call: Call, attempt: Attempt, fault: PenstockError) -> None:
    attempt.ended_ms = call.elapsed_ms()
    attempt.error = fault.code
    attempt.message = fault.message


def _repeatable(fault: PenstockError) -> bool:
    if isinstance(fault, UpstreamUnreachable):
        return True
    return isinstance(fault, UpstreamRefused) and fault.upstream_status in NOT_NOW


def _others_may_differ(fault: PenstockError) -> bool:
    if isinstance(fault, UpstreamRefused):
        return fault.upstream_status in NOT_NOW or fault.upstream_status in NOT_HERE
    return isinstance(fault, UpstreamUnreachable | UpstreamReset | UpstreamMalformed | DeadlineExceeded | UpstreamError)
