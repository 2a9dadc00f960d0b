"""From rows to a model: the same steps for the one that is shipped, for each fold of a cross-validation and for each set left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.groundedness import boost
from benchmarks.groundedness.data import Floats, Row, Vectors, commonness, figures
from penstock.quality.grounded import features, meaning
from penstock.quality.grounded.model import Head

HEADS = ("lexical", "full", "sentence")
GLANCED = [features.NAMES.index(name) for name in features.GLANCED]


class Seen(NamedTuple):
    """A set's rows as figures: those of words, then those of meaning."""

    x: Floats
    lacks: Floats
    """The share of content words that the context lacks, unweighted: a peer."""
    y: Floats
    groups: NDArray[np.intp]


def see(rows: Sequence[Row], weights: Mapping[str, float], rare: float, vectors: Vectors) -> Seen:
    by_words, lacks, pairs = figures(rows, dict(weights), rare)
    numbers = {group: index for index, group in enumerate(dict.fromkeys(row.group for row in rows))}
    return Seen(
        np.hstack([by_words, vectors.cosines(pairs)]),
        lacks,
        np.array([float(row.ungrounded) for row in rows]),
        np.array([numbers[row.group] for row in rows]),
    )


def see_all(sets: Mapping[str, Sequence[Row]], vectors: Vectors) -> tuple[dict[str, Seen], tuple[list[str], list[float], float]]:
    """Every set as figures, with the commonness of words in these very sets; and that commonness."""
    stems, tells, rare = commonness(row for rows in sets.values() for row in rows)
    weights = dict(zip(stems, tells, strict=True))
    return {name: see(rows, weights, rare, vectors) for name, rows in sets.items()}, (stems, tells, rare)


def fit(seen: Mapping[str, Seen], seed: int = 0) -> dict[str, Head]:
    """A head for words and one for both. Each set counts the same, and each class the same within its set."""
    x, y = np.vstack([one.x for one in seen.values()]), np.concatenate([one.y for one in seen.values()])
    weights = np.concatenate([np.where(one.y > 0, 0.5 / one.y.sum(), 0.5 / (1 - one.y).sum()) for one in seen.values()])
    n = len(features.NAMES)
    return {
        "lexical": boost.fit(x[:, :n], y, weights, features.NAMES, seed=seed),
        "sentence": boost.fit(x[:, GLANCED], y, weights, features.GLANCED, rounds=200, seed=seed),
        "full": boost.fit(x, y, weights, (*features.NAMES, *meaning.NAMES), seed=seed),
    }


def score(heads: Mapping[str, Head], x: Floats) -> dict[str, Floats]:
    return {name: boost.scores(head, x[:, GLANCED] if name == "sentence" else x[:, : len(head.names)]) for name, head in heads.items()}


def cross_validate(seen: Mapping[str, Seen], folds: int = 5, seed: int = 0) -> dict[str, dict[str, Floats]]:
    """Scores of every row by heads that have not seen its group: one model for all sets, as the one that is shipped."""
    rng = np.random.default_rng(seed)
    fold_of = {name: rng.permutation(np.arange(one.groups.max() + 1) % folds)[one.groups] for name, one in seen.items()}
    found = {name: {head: np.zeros(len(one.y)) for head in HEADS} for name, one in seen.items()}
    for fold in range(folds):
        kept = {name: _rows(one, fold_of[name] != fold) for name, one in seen.items()}
        heads = fit(kept, seed=fold)
        for name, one in seen.items():
            out = fold_of[name] == fold
            for head, values in score(heads, one.x[out]).items():
                found[name][head][out] = values
    return found


def _rows(seen: Seen, keep: NDArray[np.bool_]) -> Seen:
    return Seen(seen.x[keep], seen.lacks[keep], seen.y[keep], seen.groups[keep])
