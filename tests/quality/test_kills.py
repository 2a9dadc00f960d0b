"""An evaluation whose process is really killed, more than once: every answer is paid once but what was in flight."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from tests.gateway.upstream import serving
from tests.quality.house import Provider, item, settings, until
from tests.system.process import Penstock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

IN_FLIGHT = 4


async def test_an_evaluation_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    provider = Provider()
    async with serving(provider) as up, aiohttp.ClientSession() as session:
        penstock = Penstock(tmp_path, settings(up.url, f"[quality]\nmax_in_flight = {IN_FLIGHT}\n"))
        await penstock.start()

        async def ask(method: str, path: str, body: object = None) -> dict:
            head = {"authorization": f"Bearer {penstock.admin}"}
            async with session.request(method, penstock.url + path, json=body, headers=head) as answer:
                assert answer.status < 300, await answer.text()
                return await answer.json()

        try:
            items = [item(f"q{n}") for n in range(40)] + [item(f"She says {n}.") for n in range(10)]
            await ask("POST", "/v1/datasets", {"name": "set", "items": items})
            wanted = {"dataset": "set", "candidates": ["up/m", "up/s"], "judge": {"kind": "exact"}, "bias": {"attributes": ["gender"]}}
            id = (await ask("POST", "/v1/evaluations", wanted))["id"]
            for at in (30, 70):
                await until(lambda at=at: provider.seen.total() >= at)
                provider.held.clear()  # so that something is in flight for certain
                await until(lambda: provider.in_flight)
                await penstock.kill()
                provider.held.set()
                await penstock.start()

            async def over() -> dict | None:
                told = await ask("GET", f"/v1/evaluations/{id}")
                return told if told["status"] == "done" else None

            told = await until(over, 40)
        finally:
            await penstock.kill()
    assert (told["done"], told["failed"]) == (120, 0)
    assert [(one["judged"], one["mean"]) for one in told["results"]["candidates"]] == [(50, 1.0), (50, 1.0)]
    assert [(one["pairs"], one["difference"]) for one in told["results"]["bias"]] == [(10, 0.0), (10, 0.0)]
    assert 120 <= provider.seen.total() <= 120 + 2 * IN_FLIGHT


TASK = """
[tasks.live]
owner = "ada"
candidates = ["up/m"]
default = "up/m"
sample = 1.0
judge = { kind = "rubric", model = "up/j", rubric = "It is right." }
"""


async def test_samples_that_were_written_are_judged_after_a_kill(tmp_path: Path) -> None:
    provider = Provider()
    provider.say = lambda model, messages: '{"grade": 5}' if model == "j" else "an answer"
    async with serving(provider) as up, aiohttp.ClientSession() as session:
        penstock = Penstock(tmp_path, settings(up.url, TASK))
        await penstock.start()

        async def ask(method: str, path: str, body: object = None) -> dict:
            head = {"authorization": f"Bearer {penstock.admin}"}
            async with session.request(method, penstock.url + path, json=body, headers=head) as answer:
                assert answer.status < 300, await answer.text()
                return await answer.json()

        try:
            said = {"messages": [{"role": "user", "content": "Good?"}], "model": "task:live"}
            for _ in range(5):
                await ask("POST", "/v1/chat/completions", said)
            assert len((await ask("GET", "/v1/samples"))["data"]) == 5  # written
            provider.held.clear()
            await ask("GET", "/v1/samples")
            await penstock.kill()
            provider.held.set()
            await penstock.start()

            async def over() -> list | None:
                found = (await ask("GET", "/v1/samples?state=judged"))["data"]
                return found if len(found) == 5 else None

            found = await until(over, 40)
        finally:
            await penstock.kill()
    assert {(one["score"], one["judge"], one["candidate"]) for one in found} == {(1.0, "rubric:up/j", "up/m")}
    assert provider.seen["j"] <= 10
