"""Providers that would be waited for: the wait ends because the client leaves, or at the date that the provider named."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from email.utils import formatdate
from pathlib import Path

import aiohttp
import pytest
from tests.gateway.upstream import Conversation, serving
from tests.system.process import Penstock
from tests.system.test_faults import OPEN_STREAM, REPLY, SLACK, WORD, Rig, piece

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

LEAVE_SECONDS = 1.0
LATER_SECONDS = 40


class Patient(Rig):
    """A provider that pauses in mid-stream, and one whose Retry-After is a date."""

    async def misbehave(self, peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            model = json.loads(body)["model"]
            self.asked[model] = self.asked.get(model, 0) + 1
            if model == "pause":
                await peer.send(OPEN_STREAM + piece(WORD))
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    await peer.reader.readexactly(1)
                self.left.set()
            elif model == "date-soon" and self.asked[model] > 1:
                await peer.json(REPLY)
            else:
                date = formatdate(time.time() + (2 if model == "date-soon" else LATER_SECONDS), usegmt=True)
                await peer.json(b"{}", "429 Too Many Requests", f"retry-after: {date}\r\n".encode())


async def test_waits_end_when_the_client_leaves_and_at_the_date_that_the_provider_named(tmp_path: Path) -> None:
    rig = Patient()
    async with serving(rig.misbehave) as rig.bad:
        rig.house = Penstock(
            tmp_path,
            "[observability]\nflush_seconds = 0.1\n[gateway]\ndiscover = false\nlocal_embeddings = false\nretries = 1\n"
            f'retry_wait_seconds = 3\n[gateway.providers.bad]\nprofile = "openai-compatible"\nbase_url = "{rig.bad.url}"\n'
            'models = ["pause", "date-soon", "date-later"]\n[finops.prices."bad/*"]\ninput = 1\noutput = 2\n',
        )
        await rig.house.start()
        rig.key = rig.house.admin

        body = {"model": "pause", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        async with aiohttp.ClientSession(headers={"authorization": f"Bearer {rig.key}"}) as session:
            answer = await session.post(f"{rig.house.url}/v1/chat/completions", json=body)
            assert await answer.content.readany() == WORD
            answer.close()
        began = time.monotonic()
        await asyncio.wait_for(rig.left.wait(), 10)
        assert time.monotonic() - began < LEAVE_SECONDS
        seen = await rig.record(answer.headers["x-request-id"])
        assert seen["outcome"] == "cancelled"
        (row,) = await rig.charged(seen["id"])
        assert (row["status"], row["usage"]["estimated"]) == ("cancelled", True)

        began = time.monotonic()
        status, _, answer = await rig.call("date-soon")
        assert status == 200
        assert 0.9 < time.monotonic() - began < 2 + SLACK
        seen = await rig.record(answer.headers["x-request-id"])
        assert [a.get("error") for a in seen["attempts"]] == ["upstream_refused", None]

        status, _, answer = await rig.call("date-later")
        assert status == 429
        assert LATER_SECONDS - 5 <= int(answer.headers["retry-after"]) <= LATER_SECONDS
        assert len((await rig.record(answer.headers["x-request-id"]))["attempts"]) == 1
        assert await rig.house.terminate() == 0
