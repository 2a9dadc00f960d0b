"""One attempt to certify: fit on some labels, test on others, and write down what came out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.routing.arrays import pack, unpack
from penstock.routing.estimate import Estimator
from penstock.routing.evidence import Material
from penstock.routing.fitting import Settled, settled_on, watched
from penstock.routing.labels import draw
from penstock.routing.policy import Policy, claim_of
from penstock.routing.proving import Proof, prove
from penstock.routing.series import Attempt
from penstock.routing.settings import RoutingSettings


def tried(
    policy: Policy, material: Material, attempt: Attempt, packed: bytes | None, settings: RoutingSettings
) -> tuple[Policy, bytes | None]:
    task, labels = material.task, material.labels
    vectors, again = material.vectors, attempt.again
    fits, proves = parts(material, attempt, settings.fit_share)
    if again is not None and again.frozen is not None:
        estimators: Mapping[str, Estimator] = unpack(again, packed).estimators if again.digest else {}
        settled = Settled(frozen=again.frozen, estimators=estimators, labels=again.fitted_on)
        if estimators and again.embedder != material.embedder:
            vectors = None  # another embedding model: what was fitted by prompt says nothing now
    else:
        settled = settled_on(material, fits, cascades=task.mode == "cascade", least=settings.least_labels)
    proof = prove(
        task,
        material.floor,
        material.reference,
        settled.frozen,
        settled.estimators,
        labels.part(proves),
        vectors[proves] if vectors is not None else None,
        attempt.alpha,
    )
    fit = watched(vectors, fits, settled.estimators) if vectors is not None and len(labels) else None
    packed, digest = pack(fit) if fit is not None else (None, "")
    return _filled(policy, material, attempt, settled, proof, fits, proves, digest), packed


def parts(material: Material, attempt: Attempt, fit_share: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which labels fit, and which certify; none does both, and none certifies that has certified another claim."""
    labels, again = material.labels, attempt.again
    drawn = np.array([draw(prompt, "split") for prompt in labels.prompts], dtype=np.float64)
    if again is not None:
        # What came after the fit had no part in it.
        return (labels.at <= again.fitted_until) & ((drawn < fit_share) | (labels.at <= attempt.since)), (labels.at > attempt.since) & (
            (labels.at > again.fitted_until) | (drawn >= fit_share)
        )
    if (
        attempt.since == 0 or not (labels.at <= attempt.since).any()
    ):  # nothing is older: at first, or where another model came behind a name
        return drawn < fit_share, drawn >= fit_share
    return labels.at <= attempt.since, labels.at > attempt.since


def _filled(
    policy: Policy,
    material: Material,
    attempt: Attempt,
    settled: Settled,
    proof: Proof,
    fits: NDArray[Any],
    proves: NDArray[Any],
    digest: str,
) -> Policy:
    task, frozen, labels = material.task, settled.frozen, material.labels
    newest = float(labels.at.max()) if len(labels) else attempt.since
    filled = msgspec.structs.replace(
        policy,
        state="refused" if proof.kind is None else "active",
        claim=claim_of(task),
        floor=material.floor,
        candidates=frozen.candidates,
        costs=frozen.costs,
        frozen=frozen,
        singles=proof.singles,
        standings=proof.standings,
        considered=proof.considered,
        slices=proof.slices,
        labels=int(proves.sum()),
        fitted_on=settled.labels,
        labels_wanted=proof.labels_wanted,
        series=attempt.series,
        attempt=attempt.number,
        spent=attempt.spent,
        alpha=attempt.alpha,
        since=attempt.since,
        until=newest,
        fitted_until=attempt.again.fitted_until if attempt.again is not None else newest,
        evidence=labels.digest,
        embedder=material.embedder,
        models=material.models,
        digest=digest,
        why=_why(policy, proof, material, attempt),
    )
    if proof.kind is None:
        return filled  # bound to every candidate that was tested: another attempt may test the same fit again
    column = proof.column
    chosen: dict[str, Any] = {"kind": proof.kind, "cost": proof.cost, "quality": proof.quality, "bound": proof.bound}
    if proof.kind == "single":
        chosen["chosen"] = frozen.singles[column]
    elif proof.kind == "router":
        chosen["worth"] = frozen.worths[column]
    elif frozen.pair is not None:
        chosen |= {"chosen": frozen.pair[0], "next": frozen.pair[1], "threshold": frozen.thresholds[column]}
    made = msgspec.structs.replace(filled, **chosen)
    bound = {*made.served, material.reference} if material.floor.kind == "relative" else {*made.served}
    return msgspec.structs.replace(made, models={name: led for name, led in material.models.items() if name in bound})


def _why(policy: Policy, proof: Proof, material: Material, attempt: Attempt) -> str:
    said = [proof.why]
    if policy.automatic:
        said.append("asked for by nobody but the task's declaration")
    if attempt.number > 1 or attempt.series > 1:
        said.append(f"attempt {attempt.number} of series {attempt.series}, at alpha {attempt.alpha:.4f}")
    if proof.kind is None and attempt.since and not (material.labels.at > attempt.since).any():
        said.append("no label is newer than those that have certified before: judge fresh prompts")
    if material.unembedded:
        said.append(material.unembedded)
    for name, count in sorted(material.others.items()):
        said.append(f"{count:,} judged answers of {name} are of another model or version than it leads to now, and do not count")
    said += [f"{name} has no part in it: {why}" for name, why in sorted(material.left_out.items())]
    return "; ".join(said)
