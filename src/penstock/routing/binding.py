"""What a certificate was measured on: the models behind the names of a task's candidates, and the registered versions of these.

A name may be an alias, which the settings may point at another model, and another version may come to stand behind a model. What was
certified says nothing of it: no call is routed by such a policy from the moment at which its name leads elsewhere, and once that has
lasted (`penstock.routing.patience`) its claim is suspended, for good, also where the name is turned back. Only the names that a policy
serves by bind it: the others may move.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from penstock.kernel.candidates import Candidates
from penstock.kernel.errors import PenstockError
from penstock.kernel.evidence import Outcome
from penstock.kernel.rounds import each
from penstock.kernel.tasks import Task
from penstock.routing.policy import VERSION, WATCH, Policy

Bound: TypeAlias = Mapping[str, tuple[str, str]]
"""By candidate's name: ``provider/model``, and the id of the registered version, empty where none is registered."""


def bound_to(candidates: Candidates, names: Sequence[str], organisation: str) -> dict[str, tuple[str, str]]:
    """Where these names lead at this moment; those that lead nowhere are left out."""
    found: dict[str, tuple[str, str]] = {}
    for name in names:
        try:
            target = candidates.resolve(name)
        except PenstockError:
            continue
        found[name] = (f"{target.provider}/{target.model}", candidates.traits(target, organisation).version)
    return found


def measured(candidates: Candidates, names: Sequence[str], organisation: str) -> dict[str, tuple[str, str]]:
    """Where these names lead, for what is measured of them; one that leads nowhere stands for the model that is called so itself."""
    found = bound_to(candidates, names, organisation)
    return {name: found.get(name, (name, "")) for name in names}


def of_model(outcome: Outcome, models: Bound) -> bool:
    """Whether an outcome is one of the very model and version that stands behind its candidate's name. Where nobody noted who answered it
    is taken for that of the model that is called like the candidate, and for no other."""
    led = models.get(outcome.candidate)
    return led is not None and (outcome.answered_by or outcome.candidate, outcome.version) == led


def moved(was: Bound, now: Bound) -> str | None:
    """Which candidate is another model than it was, in words; None when none is. A name that leads nowhere now is ruled out anyway, and
    a model that was registered since is the same model."""
    for name, (model, version) in was.items():
        to, other = now.get(name, (model, version))
        if to != model:
            return f"{name} was {model} when it was certified, and is {to} now"
        if version and other and other != version:
            return f"{name} was the registered version {version} when it was certified, and is {other} now"
    return None


def unbound(policy: Policy) -> list[str]:
    """Names that a policy serves by, of which it does not say where they led."""
    return [name for name in policy.served if name not in policy.models]


def seen(policy: Policy, now: Bound) -> dict[str, tuple[str, str]]:
    """What is to be written down of where the policy's names lead: names that it says nothing of, and versions that were registered since;
    nothing of a name that leads elsewhere."""
    found: dict[str, tuple[str, str]] = {}
    for name in dict.fromkeys((*policy.served, *policy.models)):
        led, leads = policy.models.get(name), now.get(name)
        if leads is not None and (led is None or (led[0] == leads[0] and leads[1] and not led[1])):
            found[name] = leads
    return found


class Bindings:
    """Suspends policies whose names lead elsewhere. ``suspend`` takes a policy, why, and who; ``bind`` writes down what is `seen`."""

    def __init__(
        self,
        certified: Callable[[], Iterable[Policy]],
        now: Callable[[Policy], Bound | None],
        suspend: Callable[[Policy, str, str], Awaitable[None]],
        bind: Callable[[Policy, Bound], Awaitable[None]],
    ) -> None:
        self._certified = certified
        self._now = now
        self._suspend = suspend
        self._bind = bind

    async def round(self) -> None:
        """Look at every policy that is active, or that the watch has suspended. Raises `StorageError`, once all were looked at."""
        await each(list(self._certified()), self._look, lambda policy: f"policy {policy.number} of the task {policy.task!r}")

    async def _look(self, policy: Policy) -> None:
        if policy.state == "suspended" and policy.changed_by != WATCH:
            return
        now = self._now(policy)
        why = moved(policy.models, now) if now is not None else None
        if why is not None:
            await self._suspend(policy, why, VERSION)
        elif now is not None and (found := seen(policy, now)):
            await self._bind(policy, found)


def of_task(tasks: Callable[[str, str], Task | None], candidates: Candidates) -> Callable[[Policy], Bound | None]:
    """Where the candidates of a policy lead, None where its task is gone."""

    def now(policy: Policy) -> Bound | None:
        task = tasks(policy.organisation, policy.task)
        return bound_to(candidates, tuple({*policy.served, *policy.models}), task.organisation) if task is not None else None

    return now
