"""A house with a provider of several models that answer as they are told, and what a test of quality does again and again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.batches.house import reply, until
from tests.gateway.upstream import Conversation, serving
from tests.house import House, open_house

from penstock.kernel.tasks import Task, Tasks

ENDED = {"done", "stopped", "failed"}
Say = Callable[[str, list[dict[str, Any]]], str | tuple[str, bytes]]


class Provider:
    """Answers chat completions with what ``say(model, messages)`` gives: a text, or a status line and a body. ``seen`` counts calls."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.in_flight = self.most = 0
        self.held = asyncio.Event()
        self.held.set()
        self.say: Say = lambda model, messages: messages[-1]["content"]

    async def __call__(self, peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            asked = json.loads(body)
            self.seen[asked["model"]] += 1
            self.bodies.append(asked)
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            try:
                await self.held.wait()
                told = self.say(asked["model"], asked["messages"])
                if isinstance(told, str):
                    await peer.json(reply(told))
                else:
                    await peer.json(told[1], told[0], b"")
            finally:
                self.in_flight -= 1


def settings(url: str, more: str = "") -> str:
    """A house with the provider ``up`` and its models: ``m`` costs 13 micro-dollars a call, ``s`` 1, the judge ``j`` 13."""
    return (
        "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
        f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{url}"\nmodels = ["m", "s", "j", "u"]\n'
        '[finops.prices."up/m"]\ninput = 1.0\noutput = 2.0\n[finops.prices."up/s"]\ninput = 0.1\noutput = 0.1\n'
        '[finops.prices."up/j"]\ninput = 1.0\noutput = 2.0\n[journal]\npoll_seconds = 0.02\n'
        f"{more}"
    )


class Known:
    """A small `Tasks`."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], Task] = {}
        self.version = 0

    def put(self, task: Task) -> None:
        self.held[task.organisation, task.name] = task
        self.version += 1

    def find(self, organisation: str, name: str) -> Task | None:
        return self.held.get((organisation, name))

    def all(self, organisation: str | None = None) -> list[Task]:
        return [task for (whose, _), task in sorted(self.held.items()) if organisation in (None, whose)]


def give(house: House, tasks: Known) -> None:
    """Put these tasks in place of whatever the house knows of tasks."""
    house.app.ports._held[Tasks] = tasks


@asynccontextmanager
async def quality_house(folder: Path, more: str = "") -> AsyncGenerator[tuple[House, Provider]]:
    """A house and its provider."""
    provider = Provider()
    async with serving(provider) as up, open_house(folder, settings(up.url, more)) as house:
        yield house, provider


def item(id: str, input: str = "", target: Any = None, **more: Any) -> dict[str, Any]:
    """One item of a dataset; the right answer is the question, unless said otherwise."""
    return {"id": id, "input": input or id, "target": target if target is not None else (input or id), **more}


async def dataset(house: House, items: list[dict[str, Any]], name: str = "set", **more: Any) -> dict[str, Any]:
    """A dataset of these items."""
    return await house.made("/v1/datasets", {"name": name, "items": items}, **more)


async def evaluation(house: House, *, key: str | None = None, **wanted: Any) -> dict[str, Any]:
    """An evaluation once it has ended."""
    made = await house.made("/v1/evaluations", wanted, key=key)
    return await ended(house, made["id"], key=key)


async def ended(house: House, id: str, *, key: str | None = None) -> dict[str, Any]:
    """The evaluation once it has ended."""

    async def look() -> dict[str, Any] | None:
        answer = await house.ask("GET", f"/v1/evaluations/{id}", key=key)
        assert answer.status == 200, answer.text
        return answer.json if answer.json["status"] in ENDED else None

    return await until(look)


async def answers(house: House, id: str, query: str = "") -> list[dict[str, Any]]:
    """Its answers."""
    answer = await house.ask("GET", f"/v1/evaluations/{id}/answers?limit=200{query}")
    assert answer.status == 200, answer.text
    return answer.json["data"]


def of(told: dict[str, Any], candidate: str) -> dict[str, Any]:
    """The result of one candidate."""
    return next(one for one in told["results"]["candidates"] if one["candidate"] == candidate)


__all__ = ["Known", "Provider", "answers", "dataset", "ended", "evaluation", "give", "item", "of", "quality_house", "settings", "until"]
