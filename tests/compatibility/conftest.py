from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from tests.compatibility.provider import Model
from tests.gateway.upstream import serving
from tests.system.process import Penstock

SETTINGS = """[gateway]
discover = false
local_embeddings = false
[gateway.providers.chat]
profile = "openai-compatible"
base_url = "{chat}"
models = ["m"]
[gateway.providers.claude]
profile = "anthropic"
base_url = "{claude}"
api_key = "x"
models = ["c"]
[gateway.providers.cohere]
base_url = "{cohere}"
api_key = "x"
models = ["rerank-v4.0-pro"]
[finops.prices."cohere/rerank-v4.0-pro"]
search = 0.0025
[gateway.providers.gemini]
base_url = "{gemini}"
api_key = "x"
[gateway.models.g]
targets = ["gemini/gemini-3-flash"]
"""


class Rig:
    """A real Penstock process, a key, and the models behind it: ``m`` speaks OpenAI's shape, ``c`` Anthropic's, ``g`` Gemini's."""

    def __init__(self) -> None:
        self.url = ""
        self.key = ""
        self.admin = ""
        self.model = Model()


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One for the whole session, on an event loop of its own, since most clients here are synchronous."""
    rig, ready, over = Rig(), threading.Event(), threading.Event()
    faults: list[BaseException] = []

    async def run() -> None:
        async with serving(rig.model.serve) as upstream:
            root = upstream.url.removesuffix("/v1")
            settings = SETTINGS.format(chat=upstream.url, claude=f"{root}/v1", gemini=f"{root}/v1beta", cohere=root)
            house = Penstock(tmp_path_factory.mktemp("rig"), settings)
            await house.start()
            rig.url, rig.admin = house.url, house.admin
            rig.key = (await house.ask("POST", "/v1/keys", {"name": "apps", "scopes": ["call"]}))["secret"]
            ready.set()
            await asyncio.to_thread(over.wait)
            assert await house.terminate() == 0

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as fault:  # told to the test session below
            faults.append(fault)
            ready.set()

    worker = threading.Thread(target=thread)
    worker.start()
    ready.wait()
    if not faults:
        yield rig
    over.set()
    worker.join()
    if faults:
        raise faults[0]
