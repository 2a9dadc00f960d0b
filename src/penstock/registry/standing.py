"""What is approved for what, in memory: the answer to every serving path's question.

In this order, for the version of the organisation that has the name, or else the one of the organisation that runs the installation:

1. what the organisation that runs the installation has revoked is refused to all;
2. a revoked version is refused;
3. weights (everything but a vendor's endpoint) must be approved for the call, under every policy;
4. a call for a task needs an approval that covers the task, as soon as the model is registered;
5. a plain call needs an approval where the policy is ``approved``;
6. what nobody registered is refused unless the policy is ``open``.

A trial, whose answer no user gets, needs no approval (3 to 5) for what is registered and on its way to one: a vendor's version in any
live state, weights from their signature on.
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock.kernel.approvals import Refusal
from penstock.kernel.candidates import Kind, ModelFacts
from penstock.registry.model import Version

_Answer = dict[tuple[str, str, str, str | None, str | None, bool], Refusal | None]
_REMEMBERED = 10_000
KINDS: tuple[Kind, ...] = ("text", "image", "audio", "video", "file")
"""Words among a version's modalities that say what it takes."""
SIGNED = frozenset({"signed", "evaluated", "approved"})
"""States of weights whose signature was verified; any change of their facts leads out of them."""
EVERYONE = ""
"""Whose the versions are, besides their organisation's, that count for all."""


class Standing:
    """`Approvals`. Everything is unknown, and refused, until the first `apply`."""

    def __init__(self, policy: str) -> None:
        self._policy = policy
        self._by_name: dict[tuple[str, str], Version] = {}
        self._answers: _Answer = {}
        self._known = False
        self.refused = 0
        self.version = 0
        self._facts: dict[str, ModelFacts] = {}

    @property
    def idle(self) -> bool:
        """See `Approvals.idle`."""
        return self._known and not self._by_name and self._policy == "open"

    def apply(self, versions: Iterable[Version]) -> None:
        """Take in all versions there are, oldest first."""
        found: dict[tuple[str, str], Version] = {}
        for version in versions:
            for target in version.facts.targets:
                for whose in (version.organisation, EVERYONE) if version.home else (version.organisation,):
                    held = found.get((whose, target))
                    # A name has one live version at most; a dead one gives way to any, the last dead one stands when there is no other.
                    if held is None or held.state == "revoked":
                        found[whose, target] = version
        self._by_name, self._known = found, True
        self._facts, self.version = {}, self.version + 1
        self._answers = {}

    def facts(self, provider: str, model: str, organisation: str) -> ModelFacts | None:
        """See `Registered.facts`."""
        version = self.version_of(provider, model, organisation)
        if version is None:
            return None
        found = self._facts.get(version.id)
        if found is None:
            kinds: frozenset[Kind] = frozenset(kind for kind in KINDS if kind in version.facts.modalities)
            found = self._facts[version.id] = ModelFacts(context=version.facts.context or None, inputs=kinds or None, version=version.id)
        return found

    def version_of(self, provider: str, model: str, organisation: str) -> Version | None:
        """The version that has the name, the organisation's own first."""
        name = f"{provider}/{model}"
        return self._by_name.get((organisation, name)) or self._by_name.get((EVERYONE, name))

    def refusal(
        self,
        provider: str,
        model: str,
        *,
        organisation: str,
        task: str | None = None,
        data_class: str | None = None,
        trial: bool = False,
    ) -> Refusal | None:
        """See `Approvals.refusal`."""
        asked = (provider, model, organisation, task, data_class, trial)
        answers = self._answers
        try:
            found = answers[asked]
        except KeyError:
            found = self._judge(f"{provider}/{model}", organisation, task, data_class, trial)
            if len(answers) >= _REMEMBERED:  # callers choose names and tasks
                answers.clear()
            answers[asked] = found
        if found is not None:
            self.refused += 1
        return found

    def _judge(self, name: str, organisation: str, task: str | None, data_class: str | None, trial: bool) -> Refusal | None:
        if not self._known:
            return Refusal("model_not_approved", f"{name}: what is approved is not known yet")
        everyone = self._by_name.get((EVERYONE, name))
        version = self._by_name.get((organisation, name)) or everyone
        if any(one is not None and one.state == "revoked" for one in (everyone, version)):
            return Refusal("model_revoked", f"{name} is revoked; GET /v1/registry/models tells which models are approved")
        if version is None:
            if self._policy == "open":
                return None
            return Refusal("model_not_registered", f"{name} is not in the registry, and registry.default is {self._policy!r}")
        weights = version.facts.origin != "vendor"
        if trial and _on_its_way(version):
            return None
        if not weights and task is None and data_class is None and self._policy != "approved":
            return None
        if version.state == "approved" and any(
            one.coverage == "all"
            or (one.coverage == "task" and one.name == task)
            or (one.coverage == "data_class" and data_class is not None and one.name == data_class)
            for one in version.approvals
        ):
            return None
        work = (
            f"the task {task!r}"
            if task is not None
            else f"data of class {data_class!r}"
            if data_class is not None
            else "calls without a task"
        )
        return Refusal("model_not_approved", f"{name} is {version.state} and not approved for {work}; an approval needs a second person")


def _on_its_way(version: Version) -> bool:
    """Whether a live version may be tried before it is approved: weights only once their signature was verified."""
    return version.facts.origin == "vendor" or (version.state in SIGNED and bool(version.signature))
