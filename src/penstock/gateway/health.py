"""How every target and provider does: what the sender asks before an attempt and tells after it.

A provider's own circuit is for what hits all of its models (no connection, our key refused); its capacity and its retry budget are shared
by them. A target, a model at a provider, has a circuit, a quota and a pace of its own. All of it is memory of this process.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from penstock.gateway.budget_of_retries import RetryBudget
from penstock.gateway.capacity import Capacity, Pace
from penstock.gateway.circuit import Circuit, Pass, State
from penstock.gateway.quota import Quota
from penstock.gateway.settings import ProviderSettings, ResilienceSettings
from penstock.kernel.call import Target
from penstock.kernel.errors import DeadlineExceeded, PenstockError, UpstreamRefused, UpstreamUnreachable

REMEMBERED = 2_000
"""Targets that are kept at most; callers may make up names of models."""
LONGEST_PAUSE = 3600.0
STRAIN = frozenset({429, 503, 529})
OUR_FAULT = frozenset({401, 402, 403, 407})
"""Statuses that say that our access is not accepted there, for every model."""
SERVER_FAULT = frozenset({408, 500, 502, 503, 504, 529})

EJECT_FAILURES = 5
EJECT_SHARE = 0.1
"""A target that fails this share of its calls, and twice as often as another that could serve them, is set aside."""

LOAD_HALF_LIFE = 5.0
"""Seconds after which half of the tokens that a target was sent no longer count as its load."""


class ProviderStanding:
    """What all models of one provider share."""

    __slots__ = ("budget", "capacity", "circuit", "name", "try_seconds")

    def __init__(self, name: str, circuit: Circuit, capacity: Capacity, budget: RetryBudget, try_seconds: float) -> None:
        self.name = name
        self.circuit = circuit
        self.capacity = capacity
        self.budget = budget
        self.try_seconds = try_seconds


class Standing:
    """One target: how it did lately, and what is in flight there."""

    __slots__ = (
        "_clock",
        "_load",
        "_load_at",
        "calls",
        "circuit",
        "failures",
        "hearsay",
        "joined",
        "model",
        "pace",
        "provider",
        "quota",
        "skipped",
        "tokens",
    )

    def __init__(self, provider: ProviderStanding, model: str, circuit: Circuit, quota: Quota, clock: Callable[[], float]) -> None:
        self.provider = provider
        self.model = model
        self.circuit = circuit
        self.quota = quota
        self.pace = Pace()
        self.tokens = 0
        self.calls = 0
        self.failures = 0
        self.skipped = 0
        self.hearsay: Told | None = None
        self._clock = clock
        self._load = 0.0
        self._load_at = clock()
        self.joined = 0

    @property
    def quiet(self) -> bool:
        """Whether nothing stands in the way of a call, as far as the circuits go."""
        return self.circuit.state is State.CLOSED and self.provider.circuit.state is State.CLOSED

    @property
    def changes(self) -> int:
        """A number that grows whenever one of its circuits changes."""
        return self.circuit.changed + self.provider.circuit.changed

    @property
    def settled(self) -> bool:
        """Whether it shares the load as one that was there all the time."""
        return self.joined == self.changes and self.quiet

    def join(self, now: float, load: float) -> None:
        """Count as much load as the others have that were there meanwhile."""
        self._load = max(0.0, load - self.tokens)
        self._load_at = now
        self.joined = self.changes

    def load(self, now: float) -> float:
        """Tokens in flight, and those sent lately, which count ever less: what balancing compares."""
        passed = now - self._load_at
        if passed > 0:
            self._load *= 0.5 ** (passed / LOAD_HALF_LIFE)
            self._load_at = now
        return self.tokens + self._load

    def begin(self, tokens: int) -> None:
        """An attempt goes out. One of `succeeded`, `failed` and `abandoned` must follow with the same ``tokens``."""
        self.calls += 1
        self.tokens += tokens
        self._load += tokens
        self.provider.capacity.in_flight += 1
        if self.quota.known:
            self.quota.sent(tokens)

    def opened(self, *, probe: bool = False) -> None:
        """A session was opened, which is as good as an answer; how long it lasts says nothing. It is in flight until it ends."""
        self.circuit.succeeded(probe=probe)
        self.provider.circuit.succeeded(probe=probe)

    def succeeded(self, tokens: int, seconds: float, output: int, *, probe: bool = False) -> None:
        """The attempt was answered with ``output`` tokens after ``seconds``."""
        provider = self.provider
        capacity = provider.capacity
        self.pace.add(seconds, output)
        capacity.good(self.pace)
        capacity.in_flight -= 1
        self.tokens -= tokens
        self.circuit.succeeded(probe=probe)
        provider.circuit.succeeded(probe=probe)

    def failed(
        self, tokens: int, fault: PenstockError, began: float, patience: float, others: Iterable[Standing], *, probe: bool = False
    ) -> None:
        """The attempt that ``began`` then failed; the house would have waited ``patience`` seconds, a caller may have waited less.

        ``others`` are targets that could have served the call instead.
        """
        provider, capacity = self.provider, self.provider.capacity
        status = fault.upstream_status if isinstance(fault, UpstreamRefused) else None
        late = isinstance(fault, DeadlineExceeded)
        # A caller that gave the target less time than a try may take has not found out that it is broken.
        hasty = late and self._clock() - began < 0.9 * patience
        if status in STRAIN or (late and not hasty):
            capacity.strained(began)
        capacity.in_flight -= 1
        self.tokens -= tokens
        if status == 429:
            self.failures += 1
            wait = fault.retry_after
            self.circuit.pause(min(wait, LONGEST_PAUSE) if wait is not None else None, "rate limited (429)")
            if wait is not None and self.hearsay is not None:
                self.hearsay.paused(self, min(wait, LONGEST_PAUSE))
            provider.circuit.abandoned(probe=probe)
        elif isinstance(fault, UpstreamUnreachable) or status in OUR_FAULT:
            self.failures += 1
            provider.circuit.failed(fault.code if status is None else f"{fault.code} ({status})", began, probe=probe)
            self.circuit.abandoned(probe=probe)
        elif status in SERVER_FAULT or (status is None and not hasty):
            self.failures += 1
            self.circuit.failed(fault.code if status is None else f"{fault.code} ({status})", began, probe=probe)
            provider.circuit.succeeded(probe=probe)
            self._compare(others)
        elif status is not None:  # it answered: what it says against the request says nothing against it
            self.circuit.succeeded(probe=probe)
            provider.circuit.succeeded(probe=probe)
        else:
            self.circuit.abandoned(probe=probe)
            provider.circuit.abandoned(probe=probe)

    def abandoned(self, tokens: int, *, probe: bool = False) -> None:
        """The attempt ended for a reason that is not the target's: its client left, another answer was sooner."""
        self.provider.capacity.in_flight -= 1
        self.tokens -= tokens
        self.circuit.abandoned(probe=probe)
        self.provider.circuit.abandoned(probe=probe)

    def enter(self) -> Pass:
        """Ask both circuits; a probe of either is a probe."""
        outer = self.provider.circuit.enter()
        if outer is Pass.REFUSED:
            return outer
        inner = self.circuit.enter()
        if inner is Pass.REFUSED:
            self.provider.circuit.abandoned(probe=outer is Pass.PROBE)
            return inner
        return Pass.PROBE if Pass.PROBE in (outer, inner) else Pass.FREE

    def wait(self) -> float:
        """Seconds until a circuit may let the next call in."""
        return max(self.circuit.wait(), self.provider.circuit.wait())

    def _compare(self, others: Iterable[Standing]) -> None:
        circuit = self.circuit
        if circuit.state is State.CLOSED and circuit.failures >= EJECT_FAILURES and circuit.failing >= EJECT_SHARE:
            better = [o for o in others if o is not self and o.quiet and 2 * o.circuit.failing < circuit.failing]
            if better:
                circuit.eject(f"fails {circuit.failing:.0%} of its calls, others do not")


class Told(Protocol):
    """Who tells the other workers, where there are any."""

    def left(self, standing: Standing) -> None:
        """Its quota has changed."""
        ...

    def paused(self, standing: Standing, seconds: float) -> None:
        """It wants to be left alone for so long."""
        ...


class Health:
    """Every target's and provider's standing."""

    def __init__(
        self,
        settings: ResilienceSettings,
        providers: Mapping[str, ProviderSettings],
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._rules = settings.rules()
        self._configured = providers
        self._clock = clock
        self._chance = chance
        self.targets: dict[tuple[str, str], Standing] = {}
        self.providers: dict[str, ProviderStanding] = {}
        self.hearsay: Told | None = None

    def of(self, target: Target) -> Standing:
        """The standing of a target."""
        found = self.targets.get((target.provider, target.model))
        return found if found is not None else self._meet(target)

    def trouble(self, target: Target) -> str | None:
        """See `Wellbeing.trouble`. Whoever was not met yet is well."""
        found = self.targets.get((target.provider, target.model))
        if found is None or found.quiet or found.wait() <= 0:
            return None
        return f"{target.provider}/{target.model} is left alone for {found.wait():.0f} s"

    def all_well(self, targets: Iterable[Target]) -> bool:
        """See `Wellbeing.all_well`."""
        known, closed = self.targets, State.CLOSED
        for target in targets:
            found = known.get((target.provider, target.model))
            # As `quiet`, without a call for each.
            if found is not None and (found.circuit.state is not closed or found.provider.circuit.state is not closed):
                return False
        return True

    def provider(self, name: str) -> ProviderStanding:
        """The standing of a provider."""
        found = self.providers.get(name)
        if found is None:
            given = self._configured.get(name) or ProviderSettings()
            settings = self._settings
            found = self.providers[name] = ProviderStanding(
                name,
                Circuit(self._rules, self._clock, self._chance),
                Capacity(
                    given.max_connections,
                    least=settings.least_concurrency if given.adaptive != "off" else given.max_connections,
                    batch_share=settings.batch_share,
                    by_pace=given.adaptive == "pace",
                    clock=self._clock,
                ),
                RetryBudget(settings.retry_ratio, settings.retry_reserve),
                given.try_seconds,
            )
        return found

    def _meet(self, target: Target) -> Standing:
        if len(self.targets) >= REMEMBERED:
            for key in [k for k, s in self.targets.items() if s.quiet and s.tokens == 0][: REMEMBERED // 2]:
                del self.targets[key]
        clock = self._clock
        circuit = Circuit(self._rules, clock, self._chance)
        standing = Standing(self.provider(target.provider), target.model, circuit, Quota(clock), clock)
        hearsay = standing.hearsay = self.hearsay
        if hearsay is not None:
            standing.quota.tell = lambda: hearsay.left(standing)
        self.targets[(target.provider, target.model)] = standing
        return standing
