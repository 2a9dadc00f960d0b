"""The fault drill: providers and clients that misbehave in every way that happens, against a real process.

Each fault ends in the right error or in the fallback, within its deadline, on the record, and on the ledger only when a provider was
reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.gateway.upstream import Conversation, Upstream, serving
from tests.system.process import Penstock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90), pytest.mark.asyncio(loop_scope="module")]

TRY_SECONDS = 0.5
CALL_SECONDS = 4.0
SLACK = 2.0
"""Seconds that a busy machine may add."""

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
REPLY = json.dumps(
    {
        "id": "x",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "good"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()
OPEN_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":' + json.dumps(USAGE).encode() + b"}\n\ndata: [DONE]\n\n"


def piece(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def forever() -> None:
    await asyncio.Event().wait()


class Rig:
    """Penstock, a provider that misbehaves as the model's name says, and a good one."""

    def __init__(self) -> None:
        self.house: Penstock
        self.bad: Upstream
        self.key = ""
        self.asked: dict[str, int] = {}
        self.sent = 0
        self.left = asyncio.Event()

    async def misbehave(self, peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            model = json.loads(body)["model"]
            self.asked[model] = self.asked.get(model, 0) + 1
            await self._fault(peer, model)

    async def _fault(self, peer: Conversation, model: str) -> None:
        match model:
            case "hang-head":
                await forever()
            case "hang-body":
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n" + REPLY[:40])
                await forever()
            case "hang-stream":
                await peer.send(OPEN_STREAM + piece(WORD))
                await forever()
            case "reset-head":
                peer.abort()
            case "reset-body":
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n" + REPLY[:40])
                peer.abort()
            case "reset-stream":
                await peer.send(OPEN_STREAM + piece(WORD) + piece(WORD))
                peer.abort()
            case "half-chunk":
                await peer.send(OPEN_STREAM + piece(WORD) + piece(WORD)[:20])
                peer.writer.close()
            case "short-body":
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n" + REPLY[:40])
                peer.writer.close()
            case "no-end":
                await peer.send(OPEN_STREAM + piece(WORD) + b"0\r\n\r\n")
            case "bad-sse":
                await peer.send(OPEN_STREAM + piece(b'data: {not json, error: "finish_reason":\n\n') + b"0\r\n\r\n")
            case "bad-json":
                await peer.json(b'{"choices": [')
            case "not-http":
                await peer.send(b"SMTP ready\r\n\r\n")
            case "429-soon":
                first = self.asked[model] % 2 == 1
                await (peer.json(b"{}", "429 Too Many Requests", b"retry-after: 0.1\r\n") if first else peer.json(REPLY))
            case "429-later":
                await peer.json(b'{"error":{"message":"slow down"}}', "429 Too Many Requests", b"retry-after: 60\r\n")
            case "storm":
                await peer.json(b'{"error":{"message":"we are on fire"}}', "500 Internal Server Error")
            case "huge-head":
                await peer.send(b"HTTP/1.1 200 OK\r\nx-large: " + b"a" * 200_000 + b"\r\ncontent-length: 2\r\n\r\n{}")
            case "endless-body":
                await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                while True:
                    await peer.send(piece(b" " * 65_536))
            case "endless-stream":
                await peer.send(OPEN_STREAM)
                large = piece(WORD.replace(b"word ", b"w" * 16_000))
                with contextlib.suppress(ConnectionError):
                    while True:
                        await peer.send(large)
                        self.sent += len(large)
                self.left.set()
            case "slow-stream":
                await peer.send(OPEN_STREAM + piece(WORD))
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    await peer.reader.readexactly(1)
                self.left.set()
            case "slow":
                await asyncio.sleep(0.3)
                await peer.json(REPLY)
            case _:
                await peer.json(b"{}", "404 Not Found")

    async def call(self, model: str, *, stream: bool = False, **headers: str) -> tuple[int, bytes, aiohttp.ClientResponse]:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "stream": stream}
        given = {"authorization": f"Bearer {self.key}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        async with aiohttp.ClientSession() as session:
            answer = await session.post(f"{self.house.url}/v1/chat/completions", json=body, headers=given)
            return answer.status, await answer.read(), answer

    async def record(self, id: str) -> dict[str, Any]:
        """The call's record, once the recorder has written it."""
        headers = {"authorization": f"Bearer {self.house.admin}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                async with session.get(f"{self.house.url}/v1/calls/{id}") as answer:
                    if answer.status == 200:
                        return await answer.json()
                await asyncio.sleep(0.05)

    async def charged(self, id: str) -> list[dict[str, Any]]:
        """The call's ledger rows (their ids are the calls')."""
        page = await self.house.ask("GET", "/v1/ledger?limit=1000")
        return [row for row in page["data"] if row["id"] == id]


MODELS = (  # noqa: SIM905 - a list literal takes twenty lines
    "hang-head hang-body hang-stream reset-head reset-body reset-stream half-chunk short-body no-end bad-sse bad-json not-http 429-soon "
    "429-later storm huge-head endless-body endless-stream slow-stream slow"
).split()


async def good(peer: Conversation) -> None:
    while True:
        _, body = await peer.request()
        if json.loads(body).get("stream"):
            await peer.send(OPEN_STREAM + piece(WORD) + piece(LAST) + b"0\r\n\r\n")
        else:
            await peer.json(REPLY)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    rig = Rig()
    async with serving(rig.misbehave) as rig.bad, serving(good) as fine:
        rig.house = Penstock(tmp_path_factory.mktemp("faults"), settings(rig.bad, fine))
        await rig.house.start()
        rig.key = (await rig.house.ask("POST", "/v1/keys", {"name": "drill", "scopes": ["call"]}))["secret"]
        yield rig
        assert await rig.house.terminate() == 0


def settings(bad: Upstream, fine: Upstream) -> str:
    names = json.dumps(MODELS)
    common = f'profile = "openai-compatible"\ntry_seconds = {TRY_SECONDS}\nconnect_seconds = 0.5\n'
    chains = "".join(f'[gateway.models."safe-{m}"]\ntargets = ["bad/{m}", "fine/m"]\n' for m in MODELS)
    return (
        f"head_seconds = 1\n[observability]\nflush_seconds = 0.1\n[gateway]\ndiscover = false\nlocal_embeddings = false\n"
        f"call_seconds = {CALL_SECONDS}\nbody_seconds = 1\nretries = 1\nretry_wait_seconds = 1\nmax_reply_bytes = 1000000\n"
        f'[gateway.providers.bad]\n{common}base_url = "{bad.url}"\nmodels = {names}\n'
        f'[gateway.providers.fine]\n{common}base_url = "{fine.url}"\nmodels = ["m"]\n'
        f'[gateway.providers.gone]\n{common}base_url = "http://127.0.0.1:1/v1"\nmodels = ["gone"]\n'
        f'[gateway.providers.nowhere]\n{common}base_url = "http://nowhere.invalid/v1"\nmodels = ["nowhere"]\n'
        f'[gateway.providers.tls]\n{common}base_url = "https://127.0.0.1:{bad.port}/v1"\nmodels = ["tls"]\n'
        '[gateway.models.safe-gone]\ntargets = ["gone/gone", "fine/m"]\n'
        '[gateway.models.safe-nowhere]\ntargets = ["nowhere/nowhere", "fine/m"]\n'
        '[gateway.models.safe-tls]\ntargets = ["tls/tls", "fine/m"]\n'
        '[finops.prices."fine/m"]\ninput = 1\noutput = 2\n[finops.prices."bad/*"]\ninput = 1\noutput = 2\n' + chains
    )


REFUSED = [
    ("hang-head", False, 504, "deadline_exceeded", 1),
    ("hang-body", False, 504, "deadline_exceeded", 1),
    ("hang-head", True, 504, "deadline_exceeded", 1),
    ("reset-head", False, 502, "upstream_reset", 1),
    ("reset-head", True, 502, "upstream_reset", 1),
    ("reset-body", False, 502, "upstream_reset", 1),
    ("short-body", False, 502, "upstream_reset", 1),
    ("bad-sse", True, 502, "upstream_malformed", 1),
    ("bad-json", False, 502, "upstream_malformed", 1),
    ("not-http", False, 502, "upstream_malformed", 1),
    ("huge-head", False, 502, "upstream_malformed", 1),
    ("endless-body", False, 502, "upstream_malformed", 1),
    ("429-later", False, 429, "upstream_refused", 1),
    ("storm", False, 502, "upstream_refused", 2),
    ("storm", True, 502, "upstream_refused", 2),
    ("gone", False, 502, "upstream_unreachable", 2),
    ("nowhere", False, 502, "upstream_unreachable", 2),
    ("tls", False, 502, "upstream_unreachable", 2),
]


@pytest.mark.parametrize(("model", "stream", "status", "code", "attempts"), REFUSED)
async def test_a_provider_that_fails_ends_in_the_right_error_in_time_on_the_record(
    rig: Rig, model: str, stream: bool, status: int, code: str, attempts: int
) -> None:
    began = time.monotonic()
    got, body, answer = await rig.call(model, stream=stream)
    took = time.monotonic() - began
    assert (got, json.loads(body)["error"]["code"]) == (status, code)
    assert took < CALL_SECONDS + SLACK
    if model == "429-later":
        assert 50 <= int(answer.headers["retry-after"]) <= 60
    seen = await rig.record(answer.headers["x-request-id"])
    assert (seen["status"], seen["outcome"], seen["error_code"]) == (status, "failed", code)
    assert len(seen["attempts"]) == attempts
    assert {a["error"] for a in seen["attempts"]} == {code}
    rows = await rig.charged(seen["id"])
    if code == "upstream_unreachable":
        assert rows == []  # nothing was sent, so nothing can be owed
    elif code == "upstream_refused":
        assert [(row["status"], row["amount"], row["prices"]) for row in rows] == [("failed", 0, None)]
    else:
        # The provider may have worked on it, and may bill at least what it was sent.
        assert [(row["status"], row["usage"]["estimated"]) for row in rows] == [("failed", True)]
        assert rows[0]["amount"] > 0


@pytest.mark.parametrize("model", sorted({m for m, *_ in REFUSED}))
@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_fault_with_a_fallback_is_served_by_the_next_target(rig: Rig, model: str, stream: bool) -> None:
    if stream and model in {"hang-body", "reset-body", "short-body", "endless-body", "bad-json"}:
        pytest.skip("these providers answer in one piece")
    if not stream and model == "bad-sse":
        pytest.skip("this provider streams")
    status, body, answer = await rig.call(f"safe-{model}", stream=stream)
    assert status == 200, body
    assert answer.headers["x-penstock-provider"] == "fine"
    assert body.endswith(b"data: [DONE]\n\n") if stream and b": x-penstock" not in body else body
    seen = await rig.record(answer.headers["x-request-id"])
    assert (seen["outcome"], seen["provider"]) == ("ok", "fine")
    assert len(seen["attempts"]) >= 2
    assert seen["attempts"][-1].get("error") is None
    assert [(row["status"], row["provider"], row["amount"]) for row in await rig.charged(seen["id"])] == [("ok", "fine", 20)]


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("hang-stream", "deadline_exceeded"),
        ("reset-stream", "upstream_reset"),
        ("half-chunk", "upstream_reset"),
        ("no-end", "upstream_reset"),
    ],
)
async def test_a_stream_that_breaks_says_so_inside_the_stream(rig: Rig, model: str, code: str) -> None:
    status, body, answer = await rig.call(model, stream=True)
    assert status == 200
    assert WORD.strip() in body
    assert b"[DONE]" not in body
    events = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: ")]
    assert events[-1]["error"]["code"] == code
    seen = await rig.record(answer.headers["x-request-id"])
    assert (seen["outcome"], seen["error_code"], seen["usage_estimated"]) == ("failed", code, True)
    (row,) = await rig.charged(seen["id"])
    assert (row["status"], row["usage"]["estimated"]) == ("failed", True)
    assert row["amount"] > 0


async def test_429_with_a_short_retry_after_is_tried_again_after_it(rig: Rig) -> None:
    began = time.monotonic()
    status, _, answer = await rig.call("429-soon")
    assert status == 200
    assert time.monotonic() - began >= 0.1
    seen = await rig.record(answer.headers["x-request-id"])
    assert [a.get("error") for a in seen["attempts"]] == ["upstream_refused", None]


async def test_a_deadline_of_the_callers_own_is_kept(rig: Rig) -> None:
    began = time.monotonic()
    status, body, _ = await rig.call("hang-head", x_penstock_timeout="0.2")
    assert (status, json.loads(body)["error"]["code"]) == (504, "deadline_exceeded")
    assert time.monotonic() - began < 0.2 + SLACK / 2


async def test_the_providers_work_ends_when_the_client_leaves_a_stream(rig: Rig) -> None:
    rig.left.clear()
    body = {"model": "slow-stream", "messages": [], "stream": True}
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {rig.key}"}) as session:
        answer = await session.post(f"{rig.house.url}/v1/chat/completions", json=body)
        assert await answer.content.readany() == WORD
        answer.close()
    # The provider pauses in mid-stream; it must not take its next word to find out.
    await asyncio.wait_for(rig.left.wait(), TRY_SECONDS + SLACK)
    seen = await rig.record(answer.headers["x-request-id"])
    assert seen["outcome"] in {"cancelled", "failed"}
    (row,) = await rig.charged(seen["id"])
    assert row["usage"]["estimated"]


async def test_the_providers_work_ends_when_the_client_leaves_before_the_reply(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(rig.house.url.rsplit(":", 1)[1]))
    body = json.dumps({"model": "hang-head", "messages": []}).encode()
    before = rig.asked.get("hang-head", 0)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: %d\r\n\r\n%s"
        % (rig.key.encode(), len(body), body)
    )
    while rig.asked.get("hang-head", 0) == before:
        await asyncio.sleep(0.01)
    writer.close()
    page: dict[str, Any] = {"data": []}
    while not page["data"]:
        page = await rig.house.ask("GET", "/v1/calls?outcome=cancelled&model=hang-head")
    assert page["data"][0]["status"] == 499
    del reader


async def test_a_reader_that_stalls_slows_the_provider_instead_of_filling_memory(rig: Rig) -> None:
    rig.sent = 0
    rig.left.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(rig.house.url.rsplit(":", 1)[1]), limit=4096)
    body = json.dumps({"model": "endless-stream", "messages": [], "stream": True}).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: %d\r\n\r\n%s"
        % (rig.key.encode(), len(body), body)
    )
    await reader.readuntil(b"\r\n\r\n")
    # Not reading any more: what the provider gets rid of must come to a stand, at the size of all buffers on the way.
    last, still = -1, 0
    while still < 5:
        await asyncio.sleep(0.1)
        still, last = (still + 1, last) if rig.sent == last else (0, rig.sent)
        assert rig.sent < 20_000_000
    writer.transport.abort()
    await asyncio.wait_for(rig.left.wait(), CALL_SECONDS + SLACK)


async def test_a_client_that_sends_its_body_slowly_is_told_so(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(rig.house.url.rsplit(":", 1)[1]))
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: 1000\r\n\r\n{" % rig.key.encode()
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 1 + SLACK)
    assert b" 408 " in head
    body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
    assert json.loads(body)["error"]["code"] == "body_timeout"
    writer.close()


async def test_a_client_that_sends_its_head_slowly_is_dropped(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(rig.house.url.rsplit(":", 1)[1]))
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
    assert b"200" not in await asyncio.wait_for(reader.read(), 1 + SLACK)
    writer.close()


async def test_a_stop_under_load_lets_running_calls_finish_and_refuses_new_ones(tmp_path: Path) -> None:
    rig = Rig()
    async with serving(rig.misbehave) as rig.bad, serving(good) as fine:
        rig.house = Penstock(tmp_path, settings(rig.bad, fine))
        await rig.house.start()
        rig.key = rig.house.admin
        running = [asyncio.create_task(rig.call("slow")) for _ in range(20)]
        while rig.asked.get("slow", 0) < 20:
            await asyncio.sleep(0.005)
        rig.house.signal()
        while True:
            try:
                status, body, _ = await rig.call("slow")
            except aiohttp.ClientError:
                break  # it has stopped to listen already
            if status == 503:
                assert json.loads(body)["error"]["code"] == "draining"
                break
        assert [status for status, _, _ in await asyncio.gather(*running)] == [200] * 20
        assert await rig.house.ended() == 0
