"""Whether a call may be sent to a target now, and what becomes of the call when it may be sent nowhere."""

from __future__ import annotations

from msgspec import Struct

from penstock.gateway.circuit import Pass, State
from penstock.gateway.health import Health, Standing
from penstock.kernel.call import Call, Target
from penstock.kernel.errors import CircuitOpen, Overloaded, PenstockError, UpstreamRefused

BATCH = "batch"
CAPACITY, CIRCUIT, RATE_LIMIT = "capacity", "circuit", "rate_limit"


class Hold(Struct, frozen=True):
    """Why a target is passed over: ``reason`` is ``circuit``, ``rate_limit`` or ``capacity``, ``seconds`` for how long at least.

    ``soft`` says that the target may do well all the same, and may be asked when nobody else is left.
    """

    reason: str
    why: str
    seconds: float
    soft: bool = False


class Gate:
    """Asks for one call. ``probe`` says whether the last target that was let in is being probed."""

    __slots__ = ("_batch", "_health", "_held", "_tokens", "probe")

    def __init__(self, health: Health, call: Call, tokens: int) -> None:
        self._health = health
        self._tokens = tokens
        self._batch = call.priority == BATCH
        self._held: list[tuple[Target, Hold]] | None = None
        self.probe = False

    def asks(self, target: Target) -> Hold | None:
        """None when the target may be asked now, else why not."""
        standing = self._health.of(target)
        capacity, quota = standing.provider.capacity, standing.quota
        self.probe = False
        if standing.quiet and capacity.room(batch=self._batch) and not quota.known:
            return None
        held = self._closer(standing)
        if held is not None:
            standing.skipped += 1
            if self._held is None:
                self._held = []
            self._held.append((target, held))
        return held

    def insist(self, target: Target) -> bool:
        """The target is asked as a last resort; whether that makes the call a probe."""
        return self._health.of(target).enter() is Pass.PROBE

    def early(self, target: Target) -> bool:
        """Whether the target may be probed before its time; then the call is the probe, of the circuit that kept it out."""
        standing = self._health.of(target)
        outer, inner = standing.provider.circuit, standing.circuit
        if outer.state is State.CLOSED:
            return inner.early()
        return inner.state is State.CLOSED and outer.early()

    def refusal(self) -> PenstockError | None:
        """What the caller is told when everything was passed over: the reason that ends soonest. None when nothing was."""
        if not self._held:
            return None
        target, held = min(self._held, key=lambda pair: pair[1].seconds)
        where = f"{target.provider}/{target.model}"
        if held.reason == CAPACITY:
            return Overloaded(f"{where}: {held.why}", retry_after=held.seconds)
        if held.reason == RATE_LIMIT:
            return UpstreamRefused(f"{where}: {held.why}; it was not asked", status=429, upstream_status=429, retry_after=held.seconds)
        return CircuitOpen(f"{where}: left alone for now: {held.why}", retry_after=held.seconds)

    def _closer(self, standing: Standing) -> Hold | None:
        capacity = standing.provider.capacity
        if not capacity.room(batch=self._batch):
            capacity.refused += 1
            limit = capacity.limit * (capacity.batch_share if self._batch else 1)
            return Hold(CAPACITY, f"{capacity.in_flight} calls are in flight there, and it takes {max(1, int(limit))} now", 1.0)
        wait = standing.quota.wait(self._tokens)
        if wait > 0:
            return Hold(RATE_LIMIT, f"its rate limit is used up for {wait:.3g} s, as it says itself", wait)
        if standing.quiet:
            return None
        entered = standing.enter()
        if entered is not Pass.REFUSED:
            self.probe = entered is Pass.PROBE
            return None
        circuit = standing.circuit if standing.circuit.state is not State.CLOSED else standing.provider.circuit
        wait = standing.wait()
        if circuit.state is State.RAMPING:
            return Hold(CIRCUIT, f"it has just come back and gets a share of the calls (before: {circuit.why})", 1.0, soft=True)
        if circuit.state is State.PROBING:
            return Hold(CIRCUIT, f"a probe is on its way (before: {circuit.why})", min(1.0, wait), soft=circuit.soft)
        if circuit.limited:
            return Hold(RATE_LIMIT, f"{circuit.why}, paused for {wait:.3g} s", wait)
        return Hold(CIRCUIT, f"{circuit.why}; asked again in {wait:.3g} s", wait, soft=circuit.soft)
