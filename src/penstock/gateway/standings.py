"""How the providers do, told to whoever asks: ``GET /v1/providers``, the console's page, the metrics and the doctor.

Each process learns for itself; one of several workers tells what all of them know: sums, and of every circuit the least closed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from penstock.console import Console
from penstock.gateway.choose import Catalogue
from penstock.gateway.circuit import Circuit, State
from penstock.gateway.health import Health, ProviderStanding, Standing
from penstock.kernel.capability import Finding
from penstock.kernel.errors import Forbidden
from penstock.kernel.ports import Metric, Peers, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Ask, Page, Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_METRIC_TARGETS = 200
"""Targets with samples of their own in /metrics; callers may make up names of models."""
STATES = {State.CLOSED: 0, State.RAMPING: 1, State.PROBING: 2, State.OPEN: 3}


TOPIC = "providers"
HealthWord = Literal["healthy", "degraded", "down"]
_HEALTHS: tuple[HealthWord, ...] = ("healthy", "degraded", "down")


class CircuitView(Struct, frozen=True, kw_only=True):
    """A circuit. ``why`` says what opened it, ``seconds`` when it may be asked again, ``share`` how many of the calls are let in."""

    state: Literal["closed", "open", "probing", "ramping"]
    why: str
    seconds: float
    share: float
    failing: float


class TargetView(Struct, frozen=True, kw_only=True):
    """A model at a provider. ``remaining_*`` are what it last said of its rate limits, less what was sent since; null: it says nothing."""

    model: str
    circuit: CircuitView
    calls: int
    failures: int
    skipped: int
    tokens_in_flight: int
    ms_per_token: float | None
    remaining_requests: int | None
    remaining_tokens: int | None


class ProviderView(Struct, frozen=True, kw_only=True):
    """A provider. ``health`` is ``healthy``, ``degraded`` (part of it is left alone or comes back) or ``down`` (all is left alone)."""

    name: str
    profile: str
    health: HealthWord
    circuit: CircuitView
    in_flight: int
    concurrency_limit: int
    concurrency_cuts: int
    refused_for_capacity: int
    retries: int
    retries_refused: int
    retries_left: float
    targets: list[TargetView]


class ProviderList(Struct, frozen=True, kw_only=True):
    """Every configured or discovered provider."""

    object: Literal["list"] = "list"
    data: list[ProviderView]


class Standings:
    """Reads the health of everything."""

    def __init__(self, catalogue: Catalogue, health: Health, peers: Peers | None = None) -> None:
        self._catalogue = catalogue
        self._health = health
        self._peers = peers
        if peers is not None:
            peers.answer(TOPIC, self._told)

    async def whole(self) -> list[ProviderView]:
        """All providers as all workers see them that answer."""
        own = self.everything()
        if self._peers is None:
            return own
        told = [own]
        for answer in (await self._peers.ask(TOPIC)).values():
            if answer is not None:
                told.append(msgspec.json.decode(answer, type=list[ProviderView]))
        return together(told)

    async def _told(self, _: bytes) -> bytes:
        return msgspec.json.encode(self.everything())

    def everything(self) -> list[ProviderView]:
        """All providers, in the order of the settings."""
        return [self._provider(name, provider.profile.title) for name, provider in self._catalogue.providers.items()]

    def metrics(self) -> Iterable[Metric]:
        """Circuits, limits, retries, and what was passed over."""
        providers = [(name, self._health.provider(name)) for name in self._catalogue.providers]
        targets = list(self._health.targets.values())
        # What is in trouble first, so that made-up names of models never hide it.
        shown = sorted(targets, key=lambda t: (t.quiet, -t.calls))[:MOST_METRIC_TARGETS]

        def by_provider(name: str, help: str, kind: str, read: Callable[[ProviderStanding], float]) -> Metric:
            return Metric(name=name, help=help, kind=kind, samples=tuple(({"provider": n}, float(read(p))) for n, p in providers))

        def by_target(name: str, help: str, kind: str, read: Callable[[Standing], float]) -> Metric:
            samples = tuple(({"provider": t.provider.name, "model": t.model}, float(read(t))) for t in shown)
            return Metric(name=name, help=help, kind=kind, samples=samples)

        yield by_provider("penstock_provider_in_flight", "Calls in flight at a provider.", "gauge", lambda p: p.capacity.in_flight)
        yield by_provider(
            "penstock_provider_concurrency_limit", "Calls that it takes at once now.", "gauge", lambda p: int(p.capacity.limit)
        )
        yield by_provider(
            "penstock_provider_circuit", "0 closed, 1 ramping, 2 probing, 3 open.", "gauge", lambda p: STATES[p.circuit.state]
        )
        yield by_provider("penstock_retries", "Further tries and fallbacks sent to a provider.", "counter", lambda p: p.budget.taken)
        yield by_provider("penstock_retries_refused", "Further tries that the budget refused.", "counter", lambda p: p.budget.refused)
        yield by_target("penstock_target_circuit", "0 closed, 1 ramping, 2 probing, 3 open.", "gauge", lambda t: STATES[t.circuit.state])
        yield by_target("penstock_target_skipped", "Times a target was passed over.", "counter", lambda t: t.skipped)
        yield by_target("penstock_target_failures", "Attempts at a target that failed by its fault.", "counter", lambda t: t.failures)

    def _provider(self, name: str, title: str) -> ProviderView:
        standing: ProviderStanding = self._health.provider(name)
        targets = [self._target(t) for t in self._health.targets.values() if t.provider is standing]
        own = circuit_view(standing.circuit)
        states = [t.circuit.state for t in targets]
        down = own.state in ("open", "probing") or (bool(states) and all(s in ("open", "probing") for s in states))
        well = own.state == "closed" and all(s == "closed" for s in states)
        capacity, budget = standing.capacity, standing.budget
        return ProviderView(
            name=name,
            profile=title,
            health="down" if down else "healthy" if well else "degraded",
            circuit=own,
            in_flight=capacity.in_flight,
            concurrency_limit=int(capacity.limit),
            concurrency_cuts=capacity.cuts,
            refused_for_capacity=capacity.refused,
            retries=budget.taken,
            retries_refused=budget.refused,
            retries_left=round(budget.tokens, 1),
            targets=sorted(targets, key=lambda t: (t.circuit.state == "closed", t.model))[:MOST_METRIC_TARGETS],
        )

    def _target(self, standing: Standing) -> TargetView:
        pace, quota = standing.pace.mean, standing.quota
        return TargetView(
            model=standing.model,
            circuit=circuit_view(standing.circuit),
            calls=standing.calls,
            failures=standing.failures,
            skipped=standing.skipped,
            tokens_in_flight=standing.tokens,
            ms_per_token=round(pace * 1000, 2) if pace else None,
            remaining_requests=int(quota.requests) if math.isfinite(quota.requests) else None,
            remaining_tokens=int(quota.tokens) if math.isfinite(quota.tokens) else None,
        )


def together(told: Sequence[Sequence[ProviderView]]) -> list[ProviderView]:
    """What several processes say of the same providers, as one: the order is the first one's."""
    by_name: dict[str, list[ProviderView]] = {}
    for views in told:
        for view in views:
            by_name.setdefault(view.name, []).append(view)
    return [_one_provider(views) for views in by_name.values()]


def _one_provider(views: Sequence[ProviderView]) -> ProviderView:
    by_model: dict[str, list[TargetView]] = {}
    for view in views:
        for target in view.targets:
            by_model.setdefault(target.model, []).append(target)
    targets = [_one_target(found) for found in by_model.values()]
    return ProviderView(
        name=views[0].name,
        profile=views[0].profile,
        health=_HEALTHS[max(_HEALTHS.index(view.health) for view in views)],
        circuit=_one_circuit([view.circuit for view in views]),
        in_flight=sum(view.in_flight for view in views),
        concurrency_limit=sum(view.concurrency_limit for view in views),
        concurrency_cuts=sum(view.concurrency_cuts for view in views),
        refused_for_capacity=sum(view.refused_for_capacity for view in views),
        retries=sum(view.retries for view in views),
        retries_refused=sum(view.retries_refused for view in views),
        retries_left=round(sum(view.retries_left for view in views), 1),
        targets=sorted(targets, key=lambda t: (t.circuit.state == "closed", t.model))[:MOST_METRIC_TARGETS],
    )


def _one_target(targets: Sequence[TargetView]) -> TargetView:
    paces = [t.ms_per_token for t in targets if t.ms_per_token is not None]
    return TargetView(
        model=targets[0].model,
        circuit=_one_circuit([t.circuit for t in targets]),
        calls=sum(t.calls for t in targets),
        failures=sum(t.failures for t in targets),
        skipped=sum(t.skipped for t in targets),
        tokens_in_flight=sum(t.tokens_in_flight for t in targets),
        ms_per_token=round(sum(paces) / len(paces), 2) if paces else None,
        # The provider counts for all: who heard of less heard of it later.
        remaining_requests=min((t.remaining_requests for t in targets if t.remaining_requests is not None), default=None),
        remaining_tokens=min((t.remaining_tokens for t in targets if t.remaining_tokens is not None), default=None),
    )


def _one_circuit(circuits: Sequence[CircuitView]) -> CircuitView:
    return max(circuits, key=lambda circuit: STATES[State(circuit.state)])


def findings(providers: Sequence[ProviderView]) -> list[Finding]:
    """What the doctor says of circuits that are not closed; nothing when all do well."""
    return [
        Finding(
            name=f"circuit {view.name}{'/' + model if model else ''}",
            status="warn",
            what=f"{circuit.state}: {circuit.why}" + (f"; asked again in {circuit.seconds:.0f} s" if circuit.seconds else ""),
            mend="nothing, if it passes; else look at the provider's own status page and at its limits",
        )
        for view in providers
        for model, circuit in [("", view.circuit), *((t.model, t.circuit) for t in view.targets)]
        if circuit.state != "closed"
    ]


def routes(standings: Standings) -> Sequence[Route]:
    """The route that lists providers."""

    async def listed(ask: Ask) -> ProviderList:
        _admitted(ask.principal)
        return ProviderList(data=await standings.whole())

    return (
        Route(
            method="GET",
            path="/v1/providers",
            handler=listed,
            summary="List the providers and how they do: circuits, limits in force, retries, what was passed over.",
            scope=Scope.ADMIN,
            returns=ProviderList,
        ),
    )


def pages(ports: Ports, standings: Standings) -> Sequence[Page]:
    """The console's page of providers."""

    async def providers(request: Request, principal: Principal) -> Response:
        _admitted(principal)
        found = await standings.whole()
        rows = [(view, target) for view in found for target in view.targets]
        return ports.get(Console).page(request, "gateway/providers.html", title="Providers", providers=found, targets=rows)

    return (Page(path="/console/providers", handler=providers, scope=Scope.ADMIN),)


def _admitted(principal: Principal) -> None:
    # Providers, and the names of models that callers used there, are the installation's, not one organisation's.
    if principal.reach is not None:
        raise Forbidden("only an admin key of the organisation that runs this installation may see its providers")


def circuit_view(circuit: Circuit) -> CircuitView:
    """A circuit as it is shown."""
    wait = circuit.wait()
    share = {State.CLOSED: 1.0, State.RAMPING: min(1.0, circuit.share_now())}.get(circuit.state, 0.0)
    return CircuitView(
        state=circuit.state.value, why=circuit.why, seconds=round(wait, 1), share=round(share, 2), failing=round(circuit.failing, 3)
    )
