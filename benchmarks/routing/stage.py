"""What choosing costs a call: CPU time of the station alone, for a task with 20 candidates, beside a bare look-up in a dictionary.

The rooms around it are the real ones of an open house (candidates, approvals, prices, budgets, circuits, the reading of prompts and of
replies); the embedding is given, since it is a model's work and measured apart (`benchmarks.embeddings`). Of a cascade it is what the
station does before, between and after the calls, the look at the small model's answer included; the models' replies are given, and the
row on the ledger between two of them is the ledger's (`benchmarks.gateway`).
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.app import App, capabilities, load_settings, open_store
from penstock.kernel.approvals import Approvals
from penstock.kernel.call import Call, Reply, Trace
from penstock.kernel.candidates import Candidates
from penstock.kernel.circumstances import Purse, Wellbeing
from penstock.kernel.principal import Principal
from penstock.kernel.recall import Prices, Replies
from penstock.kernel.tasks import Floor, Task
from penstock.routing.answers import answer_features
from penstock.routing.arrays import Fit
from penstock.routing.cascading import Cascading
from penstock.routing.constraints import Constraints, Ports
from penstock.routing.estimate import fit
from penstock.routing.features import prompt_features
from penstock.routing.memory import Live, Policies
from penstock.routing.plan import Planner
from penstock.routing.policy import Policy, claim_of
from penstock.routing.stage import Route

CANDIDATES = 20
CALLS = 300
ROUNDS = 12
PROMPT = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did Natalia sell "
    "altogether in April and May? Think step by step, and give the number of clips at the end of your answer, on a line of its own."
)


ANSWER = (
    "In April, Natalia sold 48 clips to her friends.\nIn May she sold half as many, which is 48 / 2 = 24 clips.\nAltogether, she sold "
    "48 + 24 = 72 clips in April and May.\n\nThe answer is: 72"
)
REPLY = msgspec.json.encode(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "model0",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 70, "completion_tokens": 62, "total_tokens": 132},
    }
)


class _Unpaid:
    """Leaves the ledger out."""

    async def close(self, call: Call) -> None:
        return


class _Tasks:
    def __init__(self, task: Task) -> None:
        self._task = task
        self.version = 1

    def find(self, organisation: str, name: str) -> Task | None:
        return self._task

    def all(self, organisation: str | None = None) -> Sequence[Task]:
        return [self._task]


class _Given:
    """An embedder that has the vector already."""

    id = "given"

    def __init__(self) -> None:
        vector = np.random.default_rng(0).normal(size=384).astype(np.float32)
        self._vector = (vector / np.linalg.norm(vector)).tobytes()

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [self._vector]

    def at_hand(self, text: str) -> bytes | None:
        return self._vector


def measure() -> dict[str, Any]:
    """CPU microseconds a call: medians, those of the quietest round, and 99th percentiles."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> dict[str, Any]:
    names = [f"vendor{k}/model{k}" for k in range(CANDIDATES)]
    config = folder / "penstock.toml"
    settings = f'[server]\nport = 0\ndata_dir = "{folder}/data"\n[gateway]\ndiscover = false\nlocal_embeddings = false\n'
    for k, name in enumerate(names):
        settings += (
            f'[gateway.providers.vendor{k}]\nprofile = "openai-compatible"\nbase_url = "http://127.0.0.1:9/v1"\nmodels = ["model{k}"]\n'
        )
        settings += f'[finops.prices."{name}"]\ninput = {k + 1}\noutput = {3 * k + 3}\n'
    config.write_text(settings, "utf-8")
    rooms = capabilities()
    tree = load_settings(rooms, config)
    app = App(rooms, tree, open_store(tree))
    await app.start()
    try:
        task = Task(
            organisation="org",
            name="sums",
            owner="o",
            default=names[-1],
            candidates=tuple(names),
            floor=Floor(level=0.9),
            data_class="public",
        )
        ports = app.ports
        rooms_asked = Ports(
            candidates=ports.get(Candidates),
            approvals=ports.get(Approvals),
            wellbeing=ports.get(Wellbeing),
            purse=ports.get(Purse),
            prices=ports.get(Prices),
        )
        # One for each: what is known of a task is kept for as long as it stays the same.
        planners = {mode: Planner(Constraints(rooms_asked)) for mode in ("route", "cascade")}
        found: dict[str, Any] = {"candidates": CANDIDATES, "calls": CALLS * ROUNDS}
        stages: dict[str, Route] = {}
        replies = ports.get(Replies)
        for mode, live in (
            ("default", None),
            ("single", _live(task, "single")),
            ("router", _live(task, "router")),
            ("cascade_accepted", _cascade(task, threshold=2.0)),
            ("cascade_escalated", _cascade(task, threshold=-2.0)),
        ):
            asked = msgspec.structs.replace(task, mode="cascade") if mode.startswith("cascade") else task
            policies = Policies.__new__(Policies)
            policies._live = {(task.organisation, task.name): live} if live is not None else {}  # pyright: ignore[reportPrivateUsage] - what a look would have read
            stage = Route(policies, 150.0)
            stage.open(
                _Tasks(asked), planners[asked.mode], replies=replies, embedder=_Given(), cascading=Cascading(replies, _Unpaid(), 65_536)
            )
            stages[mode] = stage
        spent: dict[str, list[list[float]]] = {mode: [] for mode in stages}
        for _ in range(ROUNDS):  # in turn, so that what else the machine does falls on all alike
            for mode, stage in stages.items():
                spent[mode].append(await _times(stage))
        found |= {mode: _figures(rounds) for mode, rounds in spent.items()}
        found["without_a_task_us"] = _without(stages["router"])
        table = {name: k for k, name in enumerate(names)}
        began = time.perf_counter_ns()
        for _ in range(100_000):
            table["vendor7/model7"]
        found["dictionary_us"] = (time.perf_counter_ns() - began) / 1e8
        return found
    finally:
        await app.stop()


def _live(task: Task, kind: Any) -> Live:
    return _policy(task, kind, task.candidates, np.array([prompt_features(f"{PROMPT} {k}") for k in range(300)]))


def _cascade(task: Task, threshold: float) -> Live:
    """Of the first candidate and the last; no gain is above 1, nor below -1."""
    seen = [[*prompt_features(f"{PROMPT} {k}"), *answer_features(PROMPT, f"{ANSWER}{k}")] for k in range(300)]
    pair = task.candidates[0], task.candidates[-1]
    return _policy(task, "cascade", pair, np.array(seen), chosen=pair[0], next=pair[1], threshold=threshold)


def _policy(task: Task, kind: Any, candidates: Sequence[str], features: NDArray[Any], **more: Any) -> Live:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 384))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    estimator = fit(features, vectors, rng.random((300, len(candidates))).round()).estimator
    known: dict[str, Any] = {
        "id": "p", "organisation": task.organisation, "task": task.name, "number": 1, "state": "active", "created_at": 0.0, "by": "k",
        "claim": claim_of(task), "floor": task.floor, "kind": kind, "candidates": task.candidates, "chosen": task.candidates[0],
        "worth": 50.0, "costs": tuple(float(k) for k in range(CANDIDATES)), "singles": task.candidates, "embedder": "given", "digest": "x",
    }  # fmt: skip
    fitted = Fit(estimators={kind: estimator}, known=vectors, scores=np.zeros(1), points=vectors)
    return Live(Policy(**known | more), fitted)


async def _times(stage: Route) -> list[float]:
    body = msgspec.json.encode({"model": "task:sums", "messages": [{"role": "user", "content": PROMPT}], "temperature": 0})
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    who = Principal(key_id="key", name="k", organisation="org")

    async def done(call: Call) -> Reply:
        call.target = call.targets[0]
        return Reply(body=REPLY)

    spent: list[float] = []
    modes: set[tuple[str, bool | None]] = set()
    for _ in range(CALLS):
        call = Call(operation="chat", shape="openai.chat", credential=None, deadline=time.monotonic() + 60, trace=Trace.begin(), body=body)
        call.fields, call.model, call.task, call.principal, call.input_estimate = fields, "task:sums", "sums", who, len(body) // 4
        began = time.thread_time_ns()
        if stage.concerns(call):
            await stage(call, done)
        spent.append((time.thread_time_ns() - began) / 1e3)
        assert call.choice is not None
        modes.add((call.choice.mode, call.choice.escalated))
    assert len(modes) == 1, modes
    return spent


def _figures(rounds: list[list[float]]) -> dict[str, float]:
    """``p50_us`` is the median round's, ``least_us`` that of the round least disturbed."""
    medians, together = [statistics.median(one) for one in rounds], sorted(itertools.chain(*rounds))
    p99 = together[int(0.99 * len(together))]
    return {"p50_us": round(statistics.median(medians), 1), "least_us": round(min(medians), 1), "p99_us": round(p99, 1)}


def _without(stage: Route) -> float:
    """Microseconds that a call without a task spends on being found not to be the station's."""
    call = Call(operation="chat", shape="openai.chat", credential=None, deadline=time.monotonic() + 60, trace=Trace.begin(), body=b"{}")
    call.model = "vendor7/model7"
    began = time.thread_time_ns()
    for _ in range(100_000):
        stage.concerns(call)
    return round((time.thread_time_ns() - began) / 1e8, 3)
