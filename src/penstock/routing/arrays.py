"""The arrays of a policy on their way to the database and back: an .npz, guarded by a digest, never a pickle."""

from __future__ import annotations

import io
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.routing.policy import Policy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from penstock.routing.estimate import Estimator

_WATCHED = ("known", "scores", "points")


class Damaged(Exception):
    """The arrays are not those that were certified, or cannot be read here; the message says which."""


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy needs besides its figures: ``estimators`` by kind of policy (``router``, ``cascade``), and what its monitors hold calls
    against: embeddings ``known`` [m, d], how far prompts of the evidence were from these, ``scores`` [n], and other embeddings of the
    evidence, ``points`` [k, d]."""

    estimators: Mapping[str, Estimator]
    known: NDArray[Any]
    scores: NDArray[Any]
    points: NDArray[Any]

    def estimator(self, kind: str | None) -> Estimator:
        """The estimator of a kind of policy. Raises KeyError where it has none."""
        return self.estimators[kind or ""]


def pack(fit: Fit) -> tuple[bytes, str]:
    """The bytes, and their digest."""
    import numpy as np  # lazy: of the extra `local`

    into = io.BytesIO()
    # Cosines to three digits are enough for a distance and a direction.
    named: dict[str, NDArray[Any]] = {
        "known": fit.known.astype(np.float16),
        "points": fit.points.astype(np.float16),
        "scores": fit.scores,
    }
    for kind, estimator in fit.estimators.items():
        named |= {f"{kind}/{name}": array for name, array in estimator.arrays.items()}
    np.savez_compressed(into, allow_pickle=False, **named)
    packed = into.getvalue()
    return packed, sha256(packed).hexdigest()


def unpack(policy: Policy, packed: bytes | None) -> Fit:
    """The fit of a policy. Raises `Damaged`."""
    try:
        import numpy as np  # lazy: of the extra `local`

        from penstock.routing.estimate import Estimator
    except ImportError as missing:
        raise Damaged(f"{missing.name} is not installed; pip install 'penstock[local]'") from missing
    if packed is None:
        raise Damaged("its arrays are gone; those of policies that serve no more are kept for routing.keep_fits_days")
    if sha256(packed).hexdigest() != policy.digest:
        raise Damaged("its arrays are not those that were certified")
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as found:
            arrays: dict[str, dict[str, Any]] = {}
            for name in found.files:
                kind, slash, rest = name.partition("/")
                if slash:
                    arrays.setdefault(kind, {})[rest] = found[name]
            known, scores, points = (np.asarray(found[name], dtype=np.float64) for name in _WATCHED)
        fit = Fit(estimators={kind: Estimator(named) for kind, named in arrays.items()}, known=known, scores=scores, points=points)
    except (
        Exception
    ) as fault:  # readers of zip, zlib and npy raise a dozen kinds, and one task's arrays must not keep all policies from being read
        raise Damaged(f"its arrays cannot be read: {type(fault).__name__}") from fault
    if policy.kind in ("router", "cascade"):
        wanted = len(policy.candidates) if policy.kind == "router" else 2
        estimator = fit.estimators.get(policy.kind)
        if estimator is None or estimator.candidates != wanted:
            raise Damaged(f"its arrays hold no estimate for a {policy.kind} of {wanted} candidates")
    return fit
