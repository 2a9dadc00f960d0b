"""A house with tasks: a provider on this machine that serves ``a``, ``b`` and ``c``, and a vendor that serves ``big``."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, Answer, House, open_house
from tests.registry.people import REPLY

from penstock.tasks.declaration import Declaration

INTENT = """
[tasks."support.intent"]
owner = "support"
candidates = ["up/a", "up/b", "far/big"]
judge = { kind = "exact" }
floor = { level = 0.95, reference = "far/big" }
"""


def declared(**more: Any) -> Declaration:
    """A declaration without faults, but for what is given."""
    fields: dict[str, Any] = {"owner": "support", "candidates": ("up/a", "up/b"), **more}
    return Declaration(**fields)


class Rig:
    """The house, and the models that its providers were asked for. Models among ``down`` fail."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.served: list[str] = []
        self.down: set[str] = set()

    async def call(self, model: str, *, task: str | None = None, key: str | None = None) -> Answer:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        return await self.house.ask("POST", "/v1/chat/completions", body, key=key, **({"x_penstock_task": task} if task else {}))

    async def declare(self, name: str, *, key: str | None = None, **more: Any) -> Answer:
        body = {"name": name, "owner": "support", "candidates": ["up/a", "up/b"], **more}
        return await self.house.ask("POST", "/v1/tasks", body, key=key)


@asynccontextmanager
async def rig(
    folder: Path,
    settings: str = INTENT,
    *,
    database: str = "",
    admin: str = "",
    places: Mapping[str, tuple[str, str]] | None = None,
    more_of: Mapping[str, str] | None = None,
) -> AsyncGenerator[Rig]:
    """The house with these settings beside its providers; more of them by name, with the place and region that they are said to have."""
    made: Rig | None = None

    async def provider(peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            model = json.loads(body)["model"]
            assert made is not None
            made.served.append(model)
            if model in made.down:
                await peer.json(b'{"error": {"message": "broken"}}', "500 Internal Server Error")
            else:
                await peer.json(REPLY)

    async with serving(provider) as upstream:
        providers = (
            f"{SETTINGS}retries = 0\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["a", "b", "c"]\n'
            f'[gateway.providers.far]\nprofile = "openai"\napi_key = "k"\nbase_url = "{upstream.url}"\nmodels = ["big"]\n'
        )
        for name, (place, region) in (places or {}).items():
            if name not in ("up", "far"):
                providers += f'[gateway.providers.{name}]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nplace = "{place}"\n'
                providers += f'region = "{region}"\n' if region else ""
                providers += f"{(more_of or {}).get(name, '')}\n"
        async with open_house(folder, providers + settings, database=database) as house:
            house.admin = admin or house.admin
            made = Rig(house)
            yield made
