"""A house with a cheap and a dear provider that give the recorded answers to GSM8K, a task over both, and evidence from the same record."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, Answer, House, open_house

from penstock.gateway.local_embedder import LocalEmbedder
from penstock.kernel.capability import House as Inside
from penstock.kernel.capability import Offer
from penstock.kernel.evidence import Evidence, Outcome, Sample
from penstock.kernel.recall import Embedder
from penstock.kernel.tasks import Floor, Judge, Task, Tasks

SMALL, LARGE = "cheap/small", "dear/large"
PRICES = {SMALL: (0.2, 0.2), LARGE: (10.0, 30.0)}
"""Dollars a million tokens, of input and of output."""
TOKENS = (60, 120)
_BESIDE = ""


class Recorded(msgspec.Struct, frozen=True):
    """A question, both answers, and whether they are right."""

    prompt: str
    small: str
    large: str
    small_right: bool
    large_right: bool


@cache
def recorded() -> list[Recorded]:
    """The sample."""
    data = gzip.decompress((Path(__file__).parent / "samples" / "gsm8k.jsonl.gz").read_bytes())
    return [msgspec.json.decode(line, type=Recorded) for line in data.splitlines()]


@cache
def vectors() -> dict[str, bytes]:
    """What the local model makes of the sample's questions, near enough (`test_rig`): it takes ten seconds of a core over all of them."""
    import numpy as np

    data = gzip.decompress((Path(__file__).parent / "samples" / "gsm8k.minilm.i8.gz").read_bytes())
    found = np.frombuffer(data, dtype=np.int8).reshape(len(recorded()), -1).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return {row.prompt: vector.tobytes() for row, vector in zip(recorded(), found, strict=True)}


def spared(embedder: LocalEmbedder) -> None:
    """Spare a house's model the questions of the sample; everything else it works out."""
    work_out = embedder._embed

    def embed(texts: list[str]) -> list[bytes]:
        known = vectors()
        others = [text for text in texts if text not in known]
        found = iter(work_out(others) if others else ())
        return [known[text] if text in known else next(found) for text in texts]

    embedder._embed = embed


def costs() -> dict[str, int]:
    """What one call costs at each, in micro-dollars."""
    return {name: round(TOKENS[0] * prices[0] + TOKENS[1] * prices[1]) for name, prices in PRICES.items()}


def outcomes(rows: Sequence[Recorded], *, at: float = 1000.0, **more: Any) -> list[Outcome]:
    """Both answers to each question, judged."""
    found: list[Outcome] = []
    for number, row in enumerate(rows):
        for name, reply, right in ((SMALL, row.small, row.small_right), (LARGE, row.large, row.large_right)):
            known: dict[str, Any] = {
                "item": f"gsm8k-{number}-{at:g}", "candidate": name, "score": float(right), "judge": "numeric", "source": "evaluation",
                "prompt": row.prompt, "reply": reply, "at": at, "cost": costs()[name], "latency_ms": 900.0,
                "input_tokens": TOKENS[0], "output_tokens": TOKENS[1], "groups": {"language": "en"},
            }  # fmt: skip
            found.append(Outcome(**{**known, **more}))
    return found


class Declared:
    """`Tasks` and `Evidence`, as plain as they can be: what a test puts in is what there is."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.known: list[Outcome] = []
        self.samples: list[Sample] = []
        self.takes = True
        self.version = 0

    def declare(self, task: Task) -> Task:
        self.tasks[task.name] = task
        self.version += 1
        return task

    def find(self, organisation: str, name: str) -> Task | None:
        return self.tasks.get(name)

    def all(self, organisation: str | None = None) -> Sequence[Task]:
        return list(self.tasks.values())

    async def outcomes(self, organisation: str, task: str, *, since: float = 0.0) -> Sequence[Outcome]:
        return [one for one in self.known if one.at >= since]

    def submit(self, sample: Sample) -> bool:
        self.samples.append(sample)
        return self.takes


class Room:
    """The capability that brings them."""

    name: ClassVar[str] = "declared"
    settings: ClassVar[type[msgspec.Struct] | None] = None
    migrations: ClassVar[str | None] = None
    commands: ClassVar[str | None] = None
    templates: ClassVar[str | None] = None

    def __init__(self, declared: Declared) -> None:
        self._declared = declared

    def open(self, house: Inside) -> Offer:
        return Offer(ports={Tasks: self._declared, Evidence: self._declared})


class Rig:
    """``served`` are the models that were asked, in order. ``fails`` may make a provider fail for a model."""

    def __init__(self, house: House, declared: Declared, served: list[str]) -> None:
        self.house = house
        self.declared = declared
        self.served = served
        self.fails: Callable[[str], str | None] = lambda model: None

    def task(self, name: str = "sums", **terms: Any) -> Task:
        """Declare a task over both."""
        given: dict[str, Any] = {
            "organisation": self.organisation, "name": name, "owner": "maths", "default": LARGE, "candidates": (SMALL, LARGE),
            "judge": Judge(kind="numeric"), "floor": Floor(level=0.85), "mode": "route", "data_class": "public",
        }  # fmt: skip
        return self.declared.declare(Task(**{**given, **terms}))

    organisation = ""
    models = Path()

    async def certify(self, name: str = "sums") -> Any:
        """Certify and wait for what comes of it."""
        begun = await self.house.ask("POST", f"/v1/tasks/{name}/policies", {})
        assert begun.status == 202, begun.text
        (life,) = self.house.app.offers["routing"].services
        await life._certifying.wait(self.declared.tasks[name])  # type: ignore[attr-defined]
        return (await self.house.ask("GET", f"/v1/tasks/{name}/policies/{begun.json['id']}")).json

    async def call(self, prompt: str, name: str = "sums", *, stream: bool = False, **more: Any) -> Answer:
        """Ask for the task; the answer has the id of its call in ``x-request-id``."""
        body = {"model": f"task:{name}", "messages": [{"role": "user", "content": prompt}], **more}
        return await self.house.ask("POST", "/v1/chat/completions", {**body, "stream": True} if stream else body)

    async def why(self, answer: Answer) -> Any:
        """Why, by the record."""
        found = await self.house.ask("GET", f"/v1/calls/{answer.headers['x-request-id']}/why")
        assert found.status == 200, found.text
        return found.json

    async def ledger(self, answer: Answer) -> list[tuple[str, int]]:
        """Model and cost of each row of the call, in the order of writing."""
        (life,) = self.house.app.offers["finops"].services
        await life._flush()  # type: ignore[attr-defined]
        rows = (await self.house.ask("GET", "/v1/ledger?limit=1000")).json["data"]
        own = [row for row in rows if row["id"].split(".")[0] == answer.headers["x-request-id"]]
        return [(row["provider_model"], row["amount"]) for row in sorted(own, key=lambda row: row["provider_model"] != "small")]


def reply_of(model: str, text: str, *, stream: bool) -> bytes:
    usage = {"prompt_tokens": TOKENS[0], "completion_tokens": TOKENS[1], "total_tokens": sum(TOKENS)}
    if not stream:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return json.dumps(
            {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}
        ).encode()
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model}
    events = [{**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": part}}]} for part in (text[:20], text[20:])]
    events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({**head, "choices": [], "usage": usage})
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"


@asynccontextmanager
async def rig(folder: Path, more: str = "", *, database: str = "", admin: str = "") -> AsyncIterator[Rig]:
    """Open it; ``more`` are settings of routing, then others; ``admin`` is the key of an earlier start in the same folder."""
    served: list[str] = []
    answers = {row.prompt: row for row in recorded()}
    made: Rig | None = None

    async def provider(peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            asked = json.loads(body)
            model, said = asked["model"], asked["messages"][-1]["content"]
            served.append(model)
            failure = made.fails(model) if made is not None else None
            if failure == "cut":
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
                event = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"One "}}]}\n\n'
                await peer.send(b"%x\r\n%s\r\n" % (len(event), event))
                peer.abort()
                return
            if failure is not None:
                await peer.json(b'{"error": {"message": "no"}}', failure)
                continue
            row = answers.get(said if isinstance(said, str) else "")
            text = (row.small if model == "small" else row.large) if row is not None else f"{model} says hello"
            reply = reply_of(model, text, stream=bool(asked.get("stream")))
            if asked.get("stream"):
                head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(reply)
                await peer.send(head + reply)
            else:
                await peer.json(reply)

    async with serving(provider) as upstream:
        # However busy the machine is: what a test is about is what is made of an embedding, not how long it takes.
        settings = SETTINGS + "[routing]\nembed_ms = 60_000\n" + more
        for name in (SMALL, LARGE):
            vendor, model = name.split("/")
            settings += f'[gateway.providers.{vendor}]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["{model}"]\n'
        for name, (given, taken) in PRICES.items():
            settings += f'[finops.prices."{name}"]\ninput = {given}\noutput = {taken}\n'
        declared = Declared()
        async with open_house(folder, settings, database=database, more=[Room(declared)], without=("tasks", "quality")) as house:
            house.admin = house.admin or admin
            embedder = house.app.ports.find(Embedder)
            assert isinstance(embedder, LocalEmbedder)
            spared(embedder)
            made = Rig(house, declared, served)
            made.models = folder / "data" / "models"
            made.organisation = await house.home()
            yield made
