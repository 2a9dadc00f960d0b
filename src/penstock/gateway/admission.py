"""Who is let in: overload, draining, and the limits of the key, decided in microseconds before any work is done."""

from __future__ import annotations

from penstock.kernel.call import Call, Reply
from penstock.kernel.errors import Draining, LimitExceeded, Overloaded
from penstock.kernel.principal import Principal
from penstock.kernel.stage import Proceed, Slot
from penstock.storage.counters import Counters


class Admission:
    """Refuses early, or takes what the call needs and gives it back when the call is over.

    Requests and tokens are sustained rates with a burst of one minute. Tokens are taken as estimated (input plus the caller's output
    cap) and settled against what was really used. A call that is refused takes nothing.
    """

    name = "admit"
    slot = Slot.ADMIT

    def __init__(self, counters: Counters, *, max_in_flight: int) -> None:
        self._counters = counters
        self._max_in_flight = max_in_flight
        self.in_flight = 0
        self.draining = False
        self.refused = 0

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        if call.fault is not None:
            raise call.fault
        if self.draining:
            self.refused += 1
            raise Draining("this Penstock is shutting down; try again, another or the next one will answer", retry_after=1)
        if self.in_flight >= self._max_in_flight:
            self.refused += 1
            raise Overloaded(f"{self.in_flight} calls are in flight, as many as gateway.max_in_flight allows", retry_after=1)
        principal = call.principal
        if principal is not None:
            limits = principal.limits
            if limits.concurrency is not None or limits.requests_per_minute is not None or limits.tokens_per_minute is not None:
                self._take(call, principal)
        self.in_flight += 1
        call.at_end(self._leave)
        return await proceed(call)

    def _leave(self, call: Call) -> None:
        self.in_flight -= 1

    def _take(self, call: Call, principal: Principal) -> None:
        counters, limits, key = self._counters, principal.limits, principal.key_id
        if limits.concurrency is not None:
            slot = f"{key}/calls"
            if not counters.enter(slot, limits.concurrency):
                raise LimitExceeded(
                    f"key {principal.name!r} has {limits.concurrency} calls in flight, its limit",
                    code="concurrency_limit_exceeded",
                    retry_after=1,
                )
            call.at_end(lambda _: counters.leave(slot))
        try:
            if limits.requests_per_minute is not None:
                wait = counters.take(f"{key}/requests", 1, limits.requests_per_minute)
                if wait > 0:
                    raise LimitExceeded(f"key {principal.name!r} may make {limits.requests_per_minute} requests a minute", retry_after=wait)
            if limits.tokens_per_minute is not None:
                self._take_tokens(call, principal, limits.tokens_per_minute)
        except LimitExceeded:
            call.end()
            raise

    def _take_tokens(self, call: Call, principal: Principal, per_minute: int) -> None:
        counters, bucket = self._counters, f"{principal.key_id}/tokens"
        # A call larger than a whole minute's worth could never run; it may when the bucket is full, and pays it off afterwards.
        asked = min(call.input_estimate + (call.max_output or 0), per_minute)
        wait = counters.take(bucket, asked, per_minute)
        if wait > 0:
            if principal.limits.requests_per_minute is not None:
                counters.adjust(f"{principal.key_id}/requests", -1, principal.limits.requests_per_minute)
            raise LimitExceeded(
                f"key {principal.name!r} may use {per_minute} tokens a minute", code="token_limit_exceeded", retry_after=wait
            )

        def settle(ended: Call) -> None:
            used = ended.usage.total if ended.usage is not None else 0
            counters.adjust(bucket, used - asked, per_minute)

        call.at_end(settle)
