"""Outcomes as a table: a row for each prompt that every candidate was judged on, thinned until all rows are equally likely to be there.

Rows in which a candidate is missing are left out: whether it was asked may have depended on the prompt. Of live calls, those that were
judged with a higher probability are thinned to the lowest one by a coin of their own, so that what is left is a plain sample
of the traffic (rejection sampling). Evaluations are taken whole. A prompt that occurs twice is kept once, the first time. Rows
come in an order that depends on the prompts alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.kernel.evidence import Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """``scores`` [n, candidates] of ``prompts``; ``answers`` by candidate; ``at`` the moment at which the prompt was judged first, by
    whatever candidate: one that is evaluated again, or by one more candidate, is not a fresh one.

    ``costs`` (micro-dollars), ``latencies`` (ms, all of them), ``inputs`` and ``outputs`` (tokens) a call, by candidate, None where
    nobody noted them.
    """

    candidates: tuple[str, ...]
    prompts: list[str]
    answers: dict[str, list[str]]
    scores: NDArray[Any]
    at: NDArray[Any]
    chance: NDArray[Any]
    groups: list[Mapping[str, str]]
    costs: dict[str, float | None]
    latencies: dict[str, list[float]]
    inputs: dict[str, float | None]
    outputs: dict[str, float | None]
    digest: str

    def __len__(self) -> int:
        return len(self.prompts)

    def part(self, rows: NDArray[Any]) -> Labels:
        """These rows (a mask) alone."""
        at = [i for i, taken in enumerate(rows) if taken]
        return msgspec.structs.replace(
            self,
            prompts=[self.prompts[i] for i in at],
            answers={name: [answers[i] for i in at] for name, answers in self.answers.items()},
            scores=self.scores[rows],
            at=self.at[rows],
            chance=self.chance[rows],
            groups=[self.groups[i] for i in at],
        )


def draw(text: str, what: str) -> float:
    """A number between 0 and 1 that follows from a prompt and a purpose, and from nothing else."""
    return int.from_bytes(blake2b(f"{what}\0{text}".encode("utf-8", "replace"), digest_size=8).digest()) / 2**64


def covered(outcomes: Sequence[Outcome], candidates: Sequence[str], must: Sequence[str], least: int) -> tuple[list[str], dict[str, str]]:
    """Candidates that were judged together on at least ``least`` prompts, and why the others are left out; those that ``must`` stay."""
    judged: dict[str, set[str]] = {name: set() for name in candidates}
    for outcome in outcomes:
        if outcome.candidate in judged:
            judged[outcome.candidate].add(outcome.item)
    kept, left_out = list(candidates), dict[str, str]()
    while len(kept) > 1 and len(_together([judged[name] for name in kept])) < least:
        others = [name for name in kept if name not in must]
        if not others:
            break
        fewest = min(others, key=lambda name: len(judged[name]))
        kept.remove(fewest)
        left_out[fewest] = f"judged on {len(judged[fewest])} prompts, too few of them together with the others"
    return kept, left_out


def table(outcomes: Sequence[Outcome], candidates: Sequence[str], most: int, judged: Sequence[Outcome] = ()) -> Labels:
    """The labels of ``candidates``, at most so many, the newest. ``judged`` are more outcomes, by which a prompt is not fresh, as one of
    them is not that was put to another model."""
    import numpy as np  # lazy: of the extra `local`

    items: dict[str, dict[str, Outcome]] = {}
    first: dict[str, float] = {}
    for outcome in judged or outcomes:
        first[outcome.prompt] = min(outcome.at, first.get(outcome.prompt, outcome.at))
    for outcome in outcomes:
        if outcome.candidate in candidates:
            held = items.setdefault(outcome.item, {})
            old = held.get(outcome.candidate)
            if old is None or old.judge != "human" or outcome.judge == "human":  # people are right against any judge
                held[outcome.candidate] = outcome
    whole = [[held[name] for name in candidates] for held in items.values() if len(held) == len(candidates)]
    whole.sort(key=lambda row: max(o.at for o in row))
    lowest = min((_chance(row) for row in whole if _live(row)), default=1.0)
    seen: set[str] = set()
    kept: list[list[Outcome]] = []
    for row in whole:
        prompt = row[0].prompt
        if prompt in seen or (_live(row) and draw(row[0].item, "thin") >= lowest / _chance(row)):
            continue
        seen.add(prompt)
        kept.append(row)
    kept = kept[-most:]
    kept.sort(key=lambda row: draw(row[0].prompt, "order"))
    # What a call costs and how long it takes is measured on whatever there is, judged together or not.
    own = {name: [o for o in outcomes if o.candidate == name] for name in candidates}
    digest = blake2b(msgspec.json.encode([[(o.item, o.candidate, o.score, o.judge) for o in row] for row in kept]), digest_size=16)
    return Labels(
        candidates=tuple(candidates),
        prompts=[row[0].prompt for row in kept],
        answers={name: [row[k].reply for row in kept] for k, name in enumerate(candidates)},
        scores=np.array([[o.score for o in row] for row in kept], dtype=np.float64).reshape(len(kept), len(candidates)),
        at=np.array([first[row[0].prompt] for row in kept], dtype=np.float64),
        chance=np.array([_chance(row) for row in kept], dtype=np.float64),
        groups=[row[0].groups for row in kept],
        costs={name: _mean([o.cost for o in own[name]]) for name in candidates},
        latencies={name: [o.latency_ms for o in own[name] if o.latency_ms is not None] for name in candidates},
        inputs={name: _mean([o.input_tokens or None for o in own[name]]) for name in candidates},
        outputs={name: _mean([o.output_tokens or None for o in own[name]]) for name in candidates},
        digest=digest.hexdigest(),
    )


def _together(judged: Sequence[set[str]]) -> set[str]:
    found = judged[0]
    for one in judged[1:]:
        found = found & one
    return found


def _live(row: Sequence[Outcome]) -> bool:
    return any(one.source != "evaluation" for one in row)


def _chance(row: Sequence[Outcome]) -> float:
    return max(1e-9, min(one.propensity for one in row))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
