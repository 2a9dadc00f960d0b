"""What if the floor were another, or the candidates: what would be certified, and what would the recorded traffic have got by it?"""

from __future__ import annotations

import numpy as np

from penstock.routing.arrays import Damaged, unpack
from penstock.routing.evidence import Material
from penstock.routing.labels import draw
from penstock.routing.policy import Policy
from penstock.routing.replay import Recorded, as_served, picks, replay, traffic
from penstock.routing.series import Attempt
from penstock.routing.settings import RoutingSettings
from penstock.routing.trial import tried
from penstock.routing.views import Estimate, WhatIf


def what_if(material: Material, shell: Policy, given: Policy | None, packed: bytes | None, settings: RoutingSettings) -> WhatIf:
    """``given`` is a stored policy to be judged as it is; without one, that which the evidence of ``material`` supports is."""
    task = material.task
    if given is not None:
        policy, arrays = given, packed
    else:
        alpha = 1 - material.floor.confidence
        policy, arrays = tried(shell, material, Attempt(series=1, number=1, alpha=alpha, since=0.0), None, settings)
    recorded = traffic(material.outcomes)
    known = dict(zip(material.labels.candidates, material.costs, strict=True))
    calls = [call for call in recorded if call.served in known and _unseen(call, given, settings.fit_share)]
    now = as_served(calls, known)
    if policy.kind is None:
        return WhatIf(
            task=task.name, supported=False, policy=policy, considered=list(policy.considered), now=now, then=None, why=policy.why
        )
    then = _replayed(policy, arrays, material, calls, known)
    return WhatIf(
        task=task.name,
        supported=True,
        policy=policy,
        considered=list(policy.considered),
        now=now,
        then=then,
        why=_compared(now, then),
    )


def _unseen(call: Recorded, given: Policy | None, fit_share: float) -> bool:
    """Whether the policy's fit cannot have seen the call; whoever is judged on what they learned from looks good."""
    if given is not None and given.series > 1:
        return call.answers[call.served].at > given.since
    return draw(call.prompt, "split") >= fit_share or (given is not None and call.answers[call.served].at > given.fitted_until)


def _replayed(policy: Policy, arrays: bytes | None, material: Material, calls: list[Recorded], costs: dict[str, float]) -> Estimate:
    fit, by_prompt = None, policy.kind in ("router", "cascade")
    if policy.digest and by_prompt:
        try:
            fit = unpack(policy, arrays)
        except Damaged as fault:
            return _nothing(len(calls), f"the policy cannot be replayed: {fault}")
    if policy.embedder != material.embedder and policy.kind != "single":
        return _nothing(len(calls), "the policy cannot be replayed: it was fitted with another embedding model than is here")
    vectors = np.stack([material.of_prompt[call.prompt] for call in calls]) if calls and material.of_prompt else None
    if by_prompt and (fit is None or vectors is None):
        return _nothing(len(calls), material.unembedded or "there is no judged traffic to replay")
    estimator = fit.estimators.get(policy.kind or "") if fit is not None else None
    chosen = picks(policy, estimator, calls, vectors)
    missing = {pick for pick in chosen if pick is not None and pick not in costs}
    if missing:
        return _nothing(len(calls), f"nobody judged or priced {', '.join(sorted(missing))}")
    return replay(policy, chosen, calls, _guesses(material, calls), costs)


def _guesses(material: Material, calls: list[Recorded]) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """The mean score of each candidate: what stands in where nothing was judged. It is put right by what was."""
    labels = material.labels
    return {name: np.full(len(calls), float(labels.scores[:, k].mean())) for k, name in enumerate(labels.candidates)}


def _nothing(calls: int, why: str) -> Estimate:
    return Estimate(
        calls=calls, matched=0, effective=0.0, quality=None, low=None, high=None, cost=None, weighed=None, enough=False, why=why
    )


def _compared(now: Estimate, then: Estimate) -> str:
    if not then.enough or then.quality is None or then.cost is None:
        return then.why
    said = f"the recorded traffic would have got {then.quality:.1%} ({then.low:.1%} to {then.high:.1%}) at {then.cost / 1e6:.6f} USD a call"
    if now.quality is not None and now.cost is not None:
        said += f"; it got {now.quality:.1%} ({now.low:.1%} to {now.high:.1%}) at {now.cost / 1e6:.6f} USD"
    return said
