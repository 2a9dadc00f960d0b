"""The demo's main act: a task is measured, a cheaper way is certified, and questions that nobody has seen are answered by it.

The right answer to a sum is the number at the end of a recorded answer that was marked as right. Questions that neither model answered
rightly have none and are left out, which a floor relative to the strong model does not feel: on them both score 0.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any, cast

import msgspec

from penstock.demo.asks import CHAT, TUTOR, Ask
from penstock.demo.client import Applications
from penstock.demo.organisation import Api, until
from penstock.demo.samples import GPT4, MIXTRAL, Sample
from penstock.demo.verify import Check
from penstock.kernel.tasks import TASK_PREFIX

TASK = TUTOR.removeprefix(TASK_PREFIX)
HELD_OUT = 60
"""Questions that have no part in the evidence, asked afterwards."""
FIRST = 50_000
"""The number of the first of them, beyond those of the recorded traffic."""
_NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?")
_OPEN = frozenset({"queued", "running"})


class Sum(msgspec.Struct, frozen=True):
    """A question with its right answer, and whether each model's recorded answer ends with it."""

    question: str
    target: str
    right: dict[str, bool]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. ``measured`` is the evaluation's mean score by candidate; ``policy`` what was certified; ``answers`` the reasons of
    the calls that were made by it; ``right`` how many of those ended with the right number. Amounts are micro-dollars."""

    url: str
    sums: list[Sum]
    left_out: int
    measured: dict[str, float]
    policy: Mapping[str, Any]
    whys: list[Mapping[str, Any]]
    right: int
    spent: int
    ledger: int
    otherwise: int


def possible() -> bool:
    """Whether what it takes is installed: durable runs, and arithmetic on arrays."""
    return all(importlib.util.find_spec(name) is not None for name in ("dbos", "numpy"))


def sums(samples: Mapping[str, Sequence[Sample]]) -> tuple[list[Sum], int]:
    """The questions that both models were asked and one answered rightly, and how many were left out."""
    strong, weak = ({one.question: one for one in samples[name]} for name in (GPT4, MIXTRAL))
    found: list[Sum] = []
    for question in strong:
        answers = {name: by[question].answer for name, by in ((GPT4, strong), (MIXTRAL, weak)) if question in by}
        right = next((by[question] for by in (strong, weak) if question in by and by[question].meta.get("correct")), None)
        target = last_number(right.answer) if right is not None else None
        if target is not None and len(answers) == 2:
            found.append(Sum(question, target, {name: last_number(answer) == target for name, answer in answers.items()}))
    return found, len(strong) - len(found)


def last_number(text: str) -> str | None:
    """The number with which an answer ends, without its commas and what is not worth writing."""
    numbers = _NUMBER.findall(text)
    return f"{float(numbers[-1].replace(',', '')):.12g}" if numbers else None


async def prove(api: Api, applications: Applications, url: str, samples: Mapping[str, Sequence[Sample]]) -> Proof:
    """Measure the task's candidates, certify, and ask what was held out as one of the applications does."""
    known, left_out = sums(samples)
    shown, hidden = known[:-HELD_OUT], known[-HELD_OUT:]
    items = [{"id": str(at), "input": one.question, "target": one.target} for at, one in enumerate(shown)]
    await api.post("/v1/datasets", {"name": "sums", "items": items})
    made = await api.post("/v1/evaluations", {"dataset": "sums", "task": TASK})
    done = await until(lambda: api.get(f"/v1/evaluations/{made['id']}"), lambda found: found["status"] not in _OPEN)
    fitted = await api.post(f"/v1/tasks/{TASK}/policies", {})
    policy = await until(lambda: api.get(f"/v1/tasks/{TASK}/policies/{fitted['id']}"), lambda found: found["state"] != "fitting")
    asks = [Ask(number=FIRST + at, key="learning-app", shape=CHAT, model=TUTOR, text=one.question) for at, one in enumerate(hidden)]
    # One after the other, as a reader would: under a rush the router gives up on estimates that take too long, and says so.
    heard = [await applications.ask(ask) for ask in asks]
    ids = {one.call for one in heard}
    calls = await until(lambda: _calls(api, ids), lambda found: found.keys() >= ids)
    rows = await until(lambda: _rows(api, ids), lambda found: {row["id"].partition(".")[0] for row in found} >= ids)
    whys = [await api.get(f"/v1/calls/{id}/why") for id in sorted(ids)]
    strong = f"openai/{GPT4}"
    return Proof(
        url=url,
        sums=shown,
        left_out=left_out,
        measured={one["candidate"]: one["mean"] for one in cast("list[dict[str, Any]]", done["results"]["candidates"])},
        policy=policy,
        whys=whys,
        right=sum(last_number(one.text) == hidden[at].target for at, one in enumerate(heard)),
        spent=sum(call["cost_micros"] or 0 for call in calls.values()),
        ledger=sum(row["amount"] for row in rows),
        otherwise=sum(one["would_have_cost"] or 0 for why in whys for one in why["candidates"] if one["candidate"] == strong),
    )


def checks(proof: Proof) -> list[Check]:
    """Whether the numbers are those of the recordings, and the money that of the ledger."""
    judged = {f"openai/{GPT4}": GPT4, f"together/{MIXTRAL}": MIXTRAL}
    off = [
        name
        for name, model in judged.items()
        if abs(proof.measured.get(name, -1.0) - sum(one.right[model] for one in proof.sums) / len(proof.sums)) > 1e-9
    ]
    certified = proof.policy["state"] == "active"
    chosen = [why for why in proof.whys if why["why"] and any(one["served"] for one in why["candidates"])]
    small = _small(proof)
    return [
        Check("an evaluation finds the scores of the recordings", f"{len(judged) - len(off)} of {len(judged)} candidates", not off),
        Check("a cheaper way to the floor is certified", f"{proof.policy['kind']}: {proof.policy['why']}"[:160], certified and small > 0),
        Check("every call of the task says why", f"{len(chosen)} of {len(proof.whys)}", len(chosen) == len(proof.whys) > 0),
        Check(
            "a call's cost is that of all models it asked",
            f"{proof.spent} and {proof.ledger} micro-dollars",
            proof.spent == proof.ledger > 0,
        ),
    ]


def told(proof: Proof) -> list[str]:
    """It in a few lines."""
    policy, asked = proof.policy, len(proof.whys)
    lines = [
        f"Proof for the task {TASK}, on {len(proof.sums)} recorded sums:",
        *(f"  {name} is right on {mean:.1%}" for name, mean in proof.measured.items()),
        f"  policy {policy['number']} is {policy['state']}: {policy['why']}",
    ]
    if policy["cost"] is not None and policy["quality"] is not None:
        lines.append(
            f"  a {policy['kind']}, right on {policy['quality']:.1%} of {policy['labels']} labels, ${policy['cost'] / 1e6:.6f} a call"
        )
    share = proof.spent / proof.otherwise if proof.otherwise else 1.0
    lines += [
        f"  then {asked} sums that it had not seen: right on {proof.right / asked:.1%}, {_small(proof)} of them by the small model, for"
        f" {share:.0%} of what the large one alone would have cost",
        f"  cost against quality: {proof.url}/console/tasks/{TASK}/frontier",
    ]
    return lines


def _small(proof: Proof) -> int:
    return sum(one["served"] for why in proof.whys for one in why["candidates"] if one["candidate"] == f"together/{MIXTRAL}")


async def _calls(api: Api, ids: Set[str]) -> dict[str, Any]:
    return {call["id"]: call for call in await api.pages("/v1/calls", limit=200) if call["id"] in ids}


async def _rows(api: Api, ids: Set[str]) -> list[Any]:
    # Of a call that asked two models each has a row, named after the call with a number behind it.
    return [row for row in await api.pages("/v1/ledger", limit=1000) if row["id"].partition(".")[0] in ids]
