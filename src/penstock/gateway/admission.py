"""Who is let in: overload, draining, and the limits of the key, decided in microseconds before any work is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penstock.kernel.call import Call, Reply
from penstock.kernel.errors import Draining, LimitExceeded, Overloaded
from penstock.kernel.principal import Limits, Principal, allows
from penstock.kernel.stage import Proceed, Slot
from penstock.storage.counters import Counters, enter_later, take_later

UNLIMITED = Limits()
INTERACTIVE = "interactive"


class Admission:
    """Refuses early, or takes what the call needs and gives it back when the call is over.

    Requests and tokens are sustained rates with a burst of one minute. Tokens are taken as estimated (input plus the caller's output
    cap) and settled against what was really used. A call that is refused takes nothing.
    """

    name = "admit"
    slot = Slot.ADMIT

    def __init__(
        self, counters: Counters, *, max_in_flight: int, batch_share: float = 1.0, priorities: Mapping[str, str] | None = None
    ) -> None:
        self._counters = counters
        self._max_in_flight = max_in_flight
        self._most_with_batch = max(1, int(max_in_flight * batch_share))
        self._priorities = priorities or {}
        self.in_flight = 0
        self.batch_in_flight = 0
        self.interactive_started = 0
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
        if not call.priority:
            call.priority = self._priority(principal.name) if self._priorities and principal is not None else INTERACTIVE
        if self.in_flight >= self._most_with_batch and call.priority != INTERACTIVE:
            self.refused += 1
            raise Overloaded(
                f"{self.in_flight} calls are in flight; the rest of gateway.max_in_flight is for interactive ones", retry_after=1
            )
        # Counted before the limits are asked, which may take a moment where they are kept on a server.
        self._enter(call)
        if principal is None or principal.limits == UNLIMITED:
            call.at_end(self._leave)
        else:
            try:
                leave = await self._take(call, principal)
            except BaseException:  # cancellation too
                self._leave(call)
                raise
            call.at_end(leave)
        return await proceed(call)

    @property
    def interactive(self) -> int:
        """Interactive calls in flight."""
        return self.in_flight - self.batch_in_flight

    async def again(self, call: Call) -> None:
        """Take one more request of the key's limits for a further response of a session that is on. Raises `LimitExceeded`.

        What a session has used counts against the tokens a minute as it goes on, response by response: see `used`.
        """
        principal = call.principal
        if principal is None or principal.limits == UNLIMITED:
            return
        counters, limits, key = self._counters, principal.limits, principal.key_id
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        if tokens is not None:
            wait = counters.take(key + "/tokens", 0, tokens)
            if wait > 0 and (wait := await take_later(counters, key + "/tokens", 0, tokens, wait)) > 0:
                raise LimitExceeded(
                    f"key {principal.name!r} may use {tokens} tokens a minute", code="token_limit_exceeded", retry_after=wait
                )
        if requests is not None:
            wait = counters.take(key + "/requests", 1, requests)
            if wait > 0 and (wait := await take_later(counters, key + "/requests", 1, requests, wait)) > 0:
                raise LimitExceeded(f"key {principal.name!r} may make {requests} requests a minute", retry_after=wait)

    def used(self, call: Call, tokens: int) -> None:
        """A response of a session has used so many tokens."""
        principal = call.principal
        if principal is not None and principal.limits.tokens_per_minute is not None:
            self._counters.adjust(principal.key_id + "/tokens", tokens, principal.limits.tokens_per_minute)

    def _priority(self, key: str) -> str:
        """The priority of a key's calls that name none; the longest pattern that fits its name decides."""
        found = [pattern for pattern in self._priorities if allows((pattern,), key)]
        return self._priorities[max(found, key=len)] if found else INTERACTIVE

    def _enter(self, call: Call) -> None:
        self.in_flight += 1
        if call.priority == INTERACTIVE:
            self.interactive_started += 1
        else:
            self.batch_in_flight += 1

    def _leave(self, call: Call) -> None:
        self.in_flight -= 1
        if call.priority != INTERACTIVE:
            self.batch_in_flight -= 1

    async def _take(self, call: Call, principal: Principal) -> Callable[[Call], None]:
        """Take what the call needs of the key's limits, all or nothing; what to do when it is over. Raises `LimitExceeded`."""
        counters, limits, key = self._counters, principal.limits, principal.key_id
        slots, requests, tokens = limits.concurrency, limits.requests_per_minute, limits.tokens_per_minute
        if slots is not None and not counters.enter(key, slots) and not await enter_later(counters, key, slots):
            raise LimitExceeded(
                f"key {principal.name!r} has {slots} calls in flight, its limit", code="concurrency_limit_exceeded", retry_after=1
            )
        # What a call larger than a whole minute's worth asks for is cut, or it could never run; it pays off the rest afterwards.
        asked = 0 if tokens is None else min(call.input_estimate + (call.max_output or 0), tokens)
        taken = False
        try:
            if requests is not None:
                wait = counters.take(key + "/requests", 1, requests)
                if wait > 0 and (wait := await take_later(counters, key + "/requests", 1, requests, wait)) > 0:
                    raise LimitExceeded(f"key {principal.name!r} may make {requests} requests a minute", retry_after=wait)
                taken = True
            if tokens is not None:
                wait = counters.take(key + "/tokens", asked, tokens)
                if wait > 0 and (wait := await take_later(counters, key + "/tokens", asked, tokens, wait)) > 0:
                    raise LimitExceeded(
                        f"key {principal.name!r} may use {tokens} tokens a minute", code="token_limit_exceeded", retry_after=wait
                    )
        except BaseException:  # cancellation too
            if slots is not None:
                counters.leave(key)
            if taken and requests is not None:
                counters.adjust(key + "/requests", -1, requests)
            raise

        def leave(ended: Call) -> None:
            self._leave(ended)
            if slots is not None:
                counters.leave(key)
            if tokens is not None:
                # A session's tokens were taken as they were used.
                used = ended.usage.total if ended.usage is not None and ended.session is None else 0
                counters.adjust(key + "/tokens", used - asked, tokens)

        return leave
