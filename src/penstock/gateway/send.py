"""Making the attempts: one target after another, repeating only what is safe to repeat, never after the client has seen a byte.

A form that was too large to be held is sent once: what has been passed on is gone.

Before an attempt its target's circuits, quota and capacity are asked (`penstock.gateway.gate`); who may not be asked is passed over, and
the record says why. When nobody else is left, targets that were only set aside are asked after all.

Safe to repeat on the same target: no connection was made, or the provider said that it did not do the work (429, 5xx), there is no
equal target that could do it instead, and the provider's retry budget allows it. A timeout or a broken connection may have run, and
may be billed: it is not repeated there, but the next target of the fallback chain is tried. What the caller got wrong (other 4xx) ends the
call at once: every other target would say the same.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from functools import partial

from penstock.gateway.balance import order
from penstock.gateway.choose import Catalogue
from penstock.gateway.gate import CIRCUIT, RATE_LIMIT, Gate, Hold
from penstock.gateway.handing import Handing
from penstock.gateway.health import Health, Standing
from penstock.gateway.hedge import LOST, race
from penstock.gateway.providers.profile import CHAT, COMPLETIONS
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
PATIENCE_SECONDS = 2.0
"""How long a call waits for somebody to come back when all of its targets, several, are left alone."""
MOST_WAITING = 256
OUTPUT_GUESS = 256
"""Tokens of output that a call without a cap counts for while it is in flight."""
# Statuses by which a provider says "not now": the work was not done, and may be asked for again.
NOT_NOW = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
# Statuses that another target may not share: our key there, or its list of models.
NOT_HERE = frozenset({401, 402, 403, 404, 405, 407})


_Passed = tuple[Target, tuple[Provider, str], Hold, Attempt]


class Send:
    """Walks the call's targets until one has begun to answer."""

    name = "send"
    slot = Slot.SEND

    def __init__(
        self, catalogue: Catalogue, relay: Relay, settings: GatewaySettings, health: Health, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._catalogue = catalogue
        self._relay = relay
        self._handing = Handing(catalogue, relay)
        self._health = health
        self._retries = settings.retries
        self._longest_wait = settings.retry_wait_seconds
        self._clock = clock
        self.hedges = 0
        self._waiting = 0

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        if call.handover is not None and (reply := await self._handing(call)) is not None:
            return reply
        targets: Sequence[Target] = call.targets
        if len(targets) > 1:
            targets = order(targets, self._health.of, _tokens(call), self._clock())
            model = self._catalogue.models.get(call.model)
            if model is not None and model.hedge_seconds is not None and call.form is None and call.session is None:
                return await self._hedged(call, targets, model.hedge_seconds)
        return await self._walk(call, targets)

    async def _walk(self, call: Call, targets: Sequence[Target]) -> Reply:
        gate = Gate(self._health, call, _tokens(call))
        last: PenstockError | None = None
        passed: list[_Passed] = []
        for target in targets:
            fit = self._fit(call, target)
            if isinstance(fit, UnknownModel):
                last = last or fit
                continue
            held = gate.asks(target)
            if held is not None:
                skipped = _skipped(call, target, held)
                call.attempts.append(skipped)
                passed.append((target, fit, held, skipped))
                continue
            try:
                return await self._target(call, target, *fit, targets, probe=gate.probe)
            except (NotExpressible, UpstreamError, DeadlineExceeded) as fault:
                last = self._going_on(call, fault, last)
        if passed:
            return await self._last_resort(call, targets, gate, passed, last)
        raise last or UnknownModel(f"nothing serves model {call.model!r}", param="model")

    async def _last_resort(
        self, call: Call, targets: Sequence[Target], gate: Gate, passed: list[_Passed], last: PenstockError | None
    ) -> Reply:
        """Whom to ask when everyone else has failed or was passed over.

        First those that may do well all the same; a rate limit that ends soon is waited for. Of several targets that are
        all left alone one call at a time probes each, twice a second at most, and the others wait a moment for what it finds.
        """
        until = self._clock() + (min(PATIENCE_SECONDS, call.remaining()) if len(targets) > 1 else 0.0)
        again = False
        while True:
            for one in tuple(passed):
                target, fit, held, skipped = one
                if again:
                    asked = gate.asks(target)
                    if asked is not None:
                        held = asked
                else:
                    asked = held
                probe = gate.probe
                if asked is not None:
                    if held.reason == RATE_LIMIT:
                        if last is not None or 1.5 * held.seconds > min(self._longest_wait, call.remaining()):
                            continue
                        await asyncio.sleep(held.seconds * random.uniform(1.0, 1.5))  # not everyone who waited comes at once
                        probe = gate.insist(target)
                    elif held.soft:
                        probe = gate.insist(target)
                    elif held.reason == CIRCUIT and len(targets) > 1 and gate.early(target):
                        probe = True
                    else:
                        continue
                passed.remove(one)
                call.attempts.remove(skipped)
                try:
                    return await self._target(call, target, *fit, targets, probe=probe)
                except (NotExpressible, UpstreamError, DeadlineExceeded) as fault:
                    last = self._going_on(call, fault, last)
            if self._clock() >= until or self._waiting >= MOST_WAITING or not any(one[2].reason == CIRCUIT for one in passed):
                raise last or gate.refusal() or UnknownModel(f"nothing serves model {call.model!r}", param="model")
            await self._pause()
            again = True

    async def _pause(self) -> None:
        self._waiting += 1
        try:
            await asyncio.sleep(random.uniform(0.03, 0.1))
        finally:
            self._waiting -= 1

    def _going_on(self, call: Call, fault: PenstockError, last: PenstockError | None) -> PenstockError:
        """The fault to raise when nobody else answers. Raises it at once when nobody else would, or there is no time to ask."""
        if isinstance(fault, NotExpressible):
            return last or fault
        if not _others_may_differ(fault) or call.remaining() <= 0 or _gone(call):
            raise fault
        return fault

    def _fit(self, call: Call, target: Target) -> tuple[Provider, str] | UnknownModel:
        provider = self._catalogue.providers.get(target.provider)
        wire = _wire(provider, call.shape, target.model) if provider is not None else None
        if provider is None or wire is None:
            return UnknownModel(f"{target.provider} serves no {call.operation} in a form that fits {call.shape}", param="model")
        return provider, wire

    async def _target(
        self, call: Call, target: Target, provider: Provider, wire: str, targets: Sequence[Target], *, probe: bool, hedge: bool = False
    ) -> Reply:
        standing, tokens = self._health.of(target), _tokens(call)
        budget = standing.provider.budget
        if call.last_attempt() is None:
            budget.deposit()
        elif not hedge:
            budget.drain()
        wait, left = FIRST_WAIT_SECONDS, 0 if hedge or probe else self._retries
        while True:
            attempt = Attempt(provider=target.provider, model=target.model, started_ms=call.elapsed_ms(), hedge=hedge)
            call.attempts.append(attempt)
            began = self._clock()
            standing.begin(tokens)
            try:
                reply = await self._once(call, target, provider, wire, attempt, standing)
            except (UpstreamError, DeadlineExceeded) as fault:
                _close(call, attempt, fault)
                others = [self._health.of(t) for t in targets if t is not target]
                standing.failed(tokens, fault, began, self._patience(call, standing), others, probe=probe)
                pause = fault.retry_after if fault.retry_after is not None else wait * random.uniform(0.5, 1.0)
                if left == 0 or not _repeatable(fault) or _gone(call) or pause > self._longest_wait or pause >= call.remaining():
                    raise
                stands_in = any(t.rank == target.rank and t is not target and self._health.of(t).quiet for t in targets)
                if stands_in or not (standing.quiet or fault.retry_after is not None) or not budget.take():
                    raise
            except NotExpressible:
                standing.abandoned(tokens, probe=probe)
                call.attempts.remove(attempt)  # nothing was sent
                raise
            except PenstockError as fault:
                standing.abandoned(tokens, probe=probe)
                _close(call, attempt, fault)
                raise
            except BaseException as gone:
                standing.abandoned(tokens, probe=probe)
                lost = gone.args == LOST
                _close(call, attempt, _lost() if lost else CallCancelled("the client went away"))
                raise
            else:
                if call.session is not None:
                    standing.opened(probe=probe)
                    call.at_end(partial(self._streamed, standing, tokens, began, False, attempt, reply))
                elif reply.chunks is None:
                    output = call.usage.output if call.usage is not None else 0
                    standing.succeeded(tokens, self._clock() - began, output, probe=probe)
                else:
                    call.at_end(partial(self._streamed, standing, tokens, began, probe, attempt, reply))
                call.target = target
                return reply
            left -= 1
            wait *= 2
            await asyncio.sleep(pause)

    async def _once(self, call: Call, target: Target, provider: Provider, wire: str, attempt: Attempt, standing: Standing) -> Reply:
        model = self._catalogue.models.get(call.model)
        if model is None or model.try_seconds is None:
            return await self._relay.attempt(call, target, provider, wire, attempt, standing.quota)
        try:
            async with asyncio.timeout(model.try_seconds):
                return await self._relay.attempt(call, target, provider, wire, attempt, standing.quota)
        except TimeoutError:
            said = f"{target.provider}: no reply within {model.try_seconds:g} s (try_seconds of {call.model!r})"
            raise DeadlineExceeded(said) from None

    def _patience(self, call: Call, standing: Standing) -> float:
        model = self._catalogue.models.get(call.model)
        own = model.try_seconds if model is not None else None
        return standing.provider.try_seconds if own is None else min(own, standing.provider.try_seconds)

    def _streamed(self, standing: Standing, tokens: int, began: float, probe: bool, attempt: Attempt, reply: Reply, call: Call) -> None:
        """A stream is over, to its end or not: only now is it known how the target did."""
        if attempt.error is not None:
            kind = DeadlineExceeded if attempt.error == DeadlineExceeded.default_code else UpstreamError
            others = [self._health.of(t) for t in call.targets if (t.provider, t.model) != (attempt.provider, attempt.model)]
            fault = kind(attempt.message or "", code=attempt.error)
            standing.failed(tokens, fault, began, self._patience(call, standing), others, probe=probe)
        elif reply.finished and call.session is None:
            output = call.usage.output if call.usage is not None else 0
            standing.succeeded(tokens, self._clock() - began, output, probe=probe)
        else:
            standing.abandoned(tokens, probe=probe)

    async def _hedged(self, call: Call, targets: Sequence[Target], seconds: float) -> Reply:
        async def second() -> Reply | None:
            asked = {(a.provider, a.model) for a in call.attempts if a.skipped is None}
            for target in targets:
                fit, standing = self._fit(call, target), self._health.of(target)
                if isinstance(fit, UnknownModel) or (target.provider, target.model) in asked or not standing.quiet:
                    continue
                # A hedge is a further try: where these are used up, the provider is in no state for more.
                if standing.provider.capacity.room(batch=True) and standing.provider.budget.take():
                    self.hedges += 1
                    return await self._target(call, target, *fit, targets, probe=False, hedge=True)
            return None

        return await race(call, partial(self._walk, call, targets), second, seconds)


def _tokens(call: Call) -> int:
    return call.input_estimate + (call.max_output if call.max_output is not None else OUTPUT_GUESS)


def _skipped(call: Call, target: Target, held: Hold) -> Attempt:
    now = call.elapsed_ms()
    return Attempt(provider=target.provider, model=target.model, started_ms=now, ended_ms=now, skipped=held.reason, message=held.why)


def _lost() -> CallCancelled:
    return CallCancelled("another attempt of the call was sooner", code="hedge_lost")


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
