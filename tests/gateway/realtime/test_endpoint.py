"""Realtime sessions with OpenAI's own SDK, unmodified, against a real Penstock process and a provider over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from tests.gateway.realtime.provider import SOUND, Provider, Talk, answering, created, done, providing, session
from tests.system.process import Penstock
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]

SETTINGS = """[gateway]
discover = false
local_embeddings = false
[gateway.realtime]
{realtime}
[gateway.models."task:phone.desk"]
targets = ["oai/gpt-realtime"]
[gateway.providers.oai]
profile = "openai"
base_url = "{url}"
api_key = "sk-provider"
[finops.prices."oai/gpt-realtime"]
input = 4
cached = 0.4
output = 16
audio_input = 32
audio_output = 64
[gateway.providers.own]
profile = "vllm"
[finops.prices."oai/whisper-1"]
audio_minute = 0.006
"""

# 64 cached at 0.4, 8 - 4 audio at 32, the other 59 at 4; 112 audio at 64, 36 at 16: micro-dollars, rounded half up.
COST = 8134


class Rig:
    """A Penstock process with one provider of sessions."""

    def __init__(self, provider: Provider, house: Penstock) -> None:
        self.provider = provider
        self.house = house
        self.key = ""
        self.gone = False
        self._seen: set[str] = set()

    def sdk(self, key: str = "") -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.house.url}/v1", api_key=key or self.key, max_retries=0)

    def raw(self, key: str = "", model: str = "gpt-realtime", **more: Any) -> connect:
        url = f"{self.house.url.replace('http', 'ws')}/v1/realtime?model={model}"
        more.setdefault("additional_headers", {"authorization": f"Bearer {key or self.key}"})
        return connect(url, max_size=None, compression=None, **more)

    async def refused(self, **more: Any) -> tuple[int, dict[str, Any]]:
        """Status and error of a session that is refused before the switch."""
        with pytest.raises(InvalidStatus) as told:
            await self.raw(**more)
        return told.value.response.status_code, json.loads(told.value.response.body or b"")["error"]

    async def new_key(self, **more: Any) -> str:
        made = await self.house.ask("POST", "/v1/keys", {"name": "apps", "scopes": ["call"], **more})
        return str(made["secret"])

    async def call(self) -> dict[str, Any]:
        """The session on the record that nobody has asked for yet, with its payload, once it is there."""
        while True:
            found = (await self.house.ask("GET", "/v1/calls?limit=50"))["data"]
            ids = [call["id"] for call in found if call["operation"] == "realtime" and call["id"] not in self._seen]
            if ids:
                self._seen.add(ids[0])
                call = await self.house.ask("GET", f"/v1/calls/{ids[0]}")
                return {**call, "payload": await self.house.ask("GET", f"/v1/calls/{ids[0]}/payload")}

    async def settled(self) -> None:
        """Wait until no session is open, and take those that are on the record as seen."""
        async with aiohttp.ClientSession(headers={"authorization": f"Bearer {self.house.admin}"}) as http:
            while True:
                async with http.get(f"{self.house.url}/metrics") as answer:
                    if "penstock_realtime_sessions 0.0" in await answer.text():
                        break
        self._seen |= {call["id"] for call in (await self.house.ask("GET", "/v1/calls?limit=50"))["data"]}

    async def rows(self, call: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """The ledger, or what stands there of one session, oldest first."""
        found = reversed((await self.house.ask("GET", "/v1/ledger?limit=100"))["data"])
        return [row for row in found if call is None or row["id"].startswith(call["id"])]


async def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next event of a type."""
    while True:
        event: dict[str, Any] = json.loads(await socket.recv())
        if event["type"] == kind:
            return event


@asynccontextmanager
async def running(folder: Path, realtime: str = "") -> AsyncGenerator[Rig]:
    async with providing() as provider:
        rig = Rig(provider, Penstock(folder, SETTINGS.format(url=provider.url, realtime=realtime)))
        await rig.house.start()
        try:
            rig.key = await rig.new_key()
            yield rig
        finally:
            if not rig.gone:
                assert await rig.house.terminate() == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with running(tmp_path_factory.mktemp("penstock")) as rig:
        yield rig


@pytest_asyncio.fixture(loop_scope="module")
async def rig(shared: Rig) -> Rig:
    """One process for all tests that leave it running; each has a provider that answers as usual, and no session from before."""
    await shared.settled()
    shared.provider.script, shared.provider.declines = answering, None
    shared.provider.talks.clear()
    shared.provider.ended.clear()
    return shared


async def test_conversation(rig: Rig) -> None:
    async with rig.sdk() as sdk, sdk.realtime.connect(model="gpt-realtime") as talk:
        first = await talk.recv()
        assert first.type == "session.created"
        await talk.session.update(session={"type": "realtime", "instructions": "Be brief."})
        assert (await talk.recv()).type == "session.updated"
        await talk.input_audio_buffer.append(audio=SOUND)
        await talk.input_audio_buffer.commit()
        await talk.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello"}]}
        )
        await talk.response.create()
        heard: list[Any] = []
        async for event in talk:
            heard.append(event)
            if event.type == "rate_limits.updated":
                break
        assert [event.type for event in heard][:3] == ["input_audio_buffer.committed", "response.created", "response.output_audio.delta"]
        assert heard[2].delta == SOUND
        assert heard[5].response.usage.output_tokens == 148
        await talk.response.create()
        async for event in talk:
            if event.type == "rate_limits.updated":
                break
    asked = rig.provider.talks[0]
    assert asked.path == "/v1/realtime?model=gpt-realtime"
    assert asked.header("authorization") == "Bearer sk-provider"
    call = await rig.call()
    assert (call["outcome"], call["status"], call["provider_model"]) == ("ok", 101, "gpt-realtime")
    assert call["cost_micros"] == 2 * COST
    assert (call["input_tokens"], call["output_tokens"]) == (254, 296)
    assert call["notes"] == [
        "session ended by the client (1000): 2 responses, 2 turns, 0.2 s heard, 0.4 s spoken, "
        "6 messages from the client, 15 from the provider"
    ]
    kept = json.loads(call["payload"]["reply"])
    assert kept["session"]["responses"] == 2
    assert SOUND not in call["payload"]["reply"]
    assert {"bytes", "sha256_of_base64"} == set(next(e["audio"] for e in kept["events"] if "audio" in e))
    roles = [(turn["role"], turn["parts"][0]["text"]) for turn in call["payload"]["reply_turns"]["turns"]]
    assert ("user", "Say hello") in roles
    assert ("assistant", "Hello there.") in roles
    rows = await rig.rows(call)
    assert [row["id"] for row in rows] == [f"{call['id']}.1", f"{call['id']}.2"]
    assert [row["amount"] for row in rows] == [COST, COST]
    assert rows[0]["usage"] == {"input": 127, "output": 148, "cached": 64, "audio_input": 4, "audio_output": 112}


async def test_transcription_and_tools(rig: Rig) -> None:
    tool = {"id": "item_3", "type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Bern"}'}

    async def script(talk: Talk) -> None:
        await talk.say(session())
        await talk.hear("input_audio_buffer.commit")
        await talk.say(
            {"type": "input_audio_buffer.committed", "event_id": "e", "item_id": "item_1", "previous_item_id": None},
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "event_id": "e",
                "item_id": "item_1",
                "content_index": 0,
                "transcript": "What is the weather?",
                "usage": {"type": "duration", "seconds": 30},
            },
        )
        await talk.hear("response.create")
        answer = done()
        answer["response"]["output"] = [tool]
        await talk.say(created(), answer)
        await talk.connection.wait_closed()

    rig.provider.script = script
    async with rig.sdk() as sdk, sdk.realtime.connect(model="task:phone.desk") as talk:
        await talk.input_audio_buffer.append(audio=SOUND)
        await talk.input_audio_buffer.commit()
        await talk.response.create()
        async for event in talk:
            if event.type == "response.done":
                assert event.response.output is not None
                assert event.response.output[0].name == "weather"  # type: ignore[union-attr]
                break
    call = await rig.call()
    assert (call["task"], call["cost_micros"]) == ("phone.desk", 3000 + COST)
    assert [(row["provider_model"], row["amount"], row["task"]) for row in await rig.rows(call)] == [
        ("whisper-1", 3000, "phone.desk"),
        ("gpt-realtime", COST, "phone.desk"),
    ]
    turns = [(turn["role"], [part["kind"] for part in turn["parts"]]) for turn in call["payload"]["reply_turns"]["turns"]]
    assert ("user", ["text"]) in turns
    assert ("assistant", ["tool_call"]) in turns


async def test_refused_before_the_switch(rig: Rig) -> None:
    assert (await rig.refused(key="psk_wrong"))[0] == 401
    assert await rig.refused(model="gpt-4o") == (
        404,
        {
            "message": "oai serves no realtime in a form that fits openai.realtime",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        },
    )
    assert (await rig.refused(model="nothing-at-all"))[1]["code"] == "model_not_found"
    assert (await rig.refused(model=""))[1]["code"] == "malformed_request"
    status, fault = await rig.refused(subprotocols=[Subprotocol("graphql-ws")])
    assert (status, fault["param"]) == (400, "sec-websocket-protocol")
    narrow = await rig.new_key(models=["gpt-4o"])
    assert (await rig.refused(key=narrow))[1]["code"] == "permission_denied"
    async with aiohttp.ClientSession() as http:
        headers = {"authorization": f"Bearer {rig.key}"}
        async with http.get(f"{rig.house.url}/v1/realtime?model=gpt-realtime", headers=headers) as answer:
            assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
        async with http.post(f"{rig.house.url}/v1/realtime/client_secrets", headers=headers, json={}) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (501, "client_secrets_not_served")
    assert rig.provider.talks == []
    rig.provider.declines = (400, b'{"error": {"message": "no such voice"}}')
    status, fault = await rig.refused()
    assert (status, fault["message"]) == (400, "oai answered 400: no such voice")
    assert (await rig.rows())[-1]["amount"] == 0


async def test_key_as_a_subprotocol(rig: Rig) -> None:
    offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{rig.key}")]
    async with rig.raw(subprotocols=offered, additional_headers={}) as socket:
        assert socket.subprotocol == "realtime"
        assert (await until(socket, "session.created"))["session"]["id"] == "sess_1"
    assert (await rig.call())["outcome"] == "ok"
    assert rig.key not in rig.house.log
    assert rig.provider.talks[0].header("sec-websocket-protocol") is None


async def test_odd_messages(rig: Rig) -> None:
    large = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 2**20})
    heard: list[str | bytes] = []

    async def script(talk: Talk) -> None:
        heard.append(await talk.connection.recv())
        heard.append(await talk.connection.recv())
        await talk.connection.send("half of {")
        await talk.connection.send(b"\0\xff")
        await talk.connection.send(large)
        await talk.connection.wait_closed()

    rig.provider.script = script
    async with rig.raw() as socket:
        for broken in ("{", "[]", '{"type": 1}', "[" * 200 + "]" * 200, '{"type": "a", "x": ' + "[" * 120 + "]" * 120 + "}"):
            await socket.send(broken)
            assert (await until(socket, "error"))["error"]["code"] == "malformed_request"
        await socket.send(large)
        await socket.send(b"\1\2")
        assert [await socket.recv() for _ in range(3)] == ["half of {", b"\0\xff", large]
    assert heard == [large, b"\1\2"]
    assert "6 of them unreadable" in (await rig.call())["notes"][0]


async def test_closing(rig: Rig) -> None:
    async def script(talk: Talk) -> None:
        await talk.hear()
        await talk.connection.close(4001, "enough")

    rig.provider.script = script
    async with rig.raw() as socket:
        await socket.send('{"type": "x"}')
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4001, "enough")
    call = await rig.call()
    assert (call["outcome"], call["error_code"]) == ("failed", "upstream_reset")

    async def broken(talk: Talk) -> None:
        await talk.hear()
        talk.connection.transport.abort()

    rig.provider.script = broken
    async with rig.raw() as socket:
        await socket.send('{"type": "x"}')
        assert (await until(socket, "error"))["error"]["code"] == "upstream_reset"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1011

    rig.provider.script = lambda talk: talk.connection.wait_closed()
    rig.provider.ended.clear()
    async with rig.raw() as socket:
        await socket.close(4002, "bye")
    await rig.provider.ended.wait()
    assert rig.provider.talks[-1].connection.close_code == 4002
    rig.provider.ended.clear()
    socket = await rig.raw()
    socket.transport.abort()
    await rig.provider.ended.wait()


async def test_budget_spent_in_the_middle(rig: Rig) -> None:
    await rig.house.ask(
        "POST",
        "/v1/budgets",
        {"name": "little", "subject_kind": "task", "subject": "phone.desk", "period": "total", "limit": 400_000, "hard": True},
    )

    async def script(talk: Talk) -> None:
        await talk.say(session())
        await talk.hear("response.create")
        used = {"input_tokens": 0, "output_tokens": 5000, "output_token_details": {"audio_tokens": 5000}}
        await talk.say(created(), done(used=used))
        await talk.hear("input_audio_buffer.append")
        await talk.say(created("resp_2"))  # what voice detection does when the client falls silent
        await talk.connection.wait_closed()

    rig.provider.script = script
    async with rig.raw(model="task:phone.desk") as socket:
        await socket.send('{"type": "response.create"}')
        await until(socket, "response.done")
        await socket.send('{"type": "response.create", "event_id": "mine"}')
        fault = (await until(socket, "error"))["error"]
        assert (fault["type"], fault["code"], fault["event_id"]) == ("insufficient_quota", "insufficient_quota", "mine")
        await socket.send('{"type": "input_audio_buffer.append", "audio": ""}')
        assert (await until(socket, "error"))["error"]["code"] == "insufficient_quota"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1008
    call = await rig.call()
    assert (call["outcome"], call["error_code"]) == ("refused", "insufficient_quota")
    assert [row["amount"] for row in await rig.rows(call)] == [320_000, 20_000]
    assert (await rig.rows(call))[1]["usage"]["estimated"]  # of what the provider began without being asked, which it may bill
    listed = (await rig.house.ask("GET", "/v1/budgets"))["data"][0]["standing"]
    assert listed["reserved"] == 0


async def test_slow_reader(rig: Rig) -> None:
    sent = 0
    stuck = asyncio.Event()

    async def script(talk: Talk) -> None:
        nonlocal sent
        piece = json.dumps({"type": "response.output_audio.delta", "delta": "A" * 2**20})
        while sent < 400:
            try:
                async with asyncio.timeout(1):
                    await talk.connection.send(piece)
            except TimeoutError:
                stuck.set()
                return
            sent += 1

    rig.provider.script = script
    async with rig.raw(max_queue=1) as socket:
        await stuck.wait()
        socket.transport.abort()
    # What waits in between: a few messages in Penstock, and the kernel's buffers.
    assert sent < 60


async def test_drain(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:

        async def script(talk: Talk) -> None:
            await talk.say(session(), created())
            await talk.hear("input_audio_buffer.clear")
            await talk.say(done())
            await talk.connection.wait_closed()

        rig.provider.script = script
        async with rig.raw() as busy:
            await until(busy, "response.created")
            rig.provider.script = lambda talk: talk.connection.wait_closed()
            async with rig.raw() as idle:
                rig.house.signal()
                with pytest.raises(ConnectionClosed):
                    await until(idle, "never")
                assert idle.close_code == 1001
            await busy.send('{"type": "input_audio_buffer.clear"}')
            await until(busy, "response.done")
            with pytest.raises(ConnectionClosed):
                await busy.recv()
            assert busy.close_code == 1001
        assert await rig.house.ended() == 0
        rig.gone = True


async def test_killed(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        async with rig.raw() as socket:
            for _ in range(3):
                await socket.send('{"type": "response.create"}')
                await until(socket, "response.done")
            await socket.send('{"type": "input_audio_buffer.clear"}')
            assert await rig.house.kill()
            with pytest.raises(ConnectionClosed):
                await until(socket, "never")
        await rig.house.start()
        rows = await rig.rows()
        assert [row["amount"] for row in rows] == [COST] * 3
        assert [row["id"].rpartition(".")[2] for row in rows] == ["1", "2", "3"]
        assert len({row["id"].rpartition(".")[0] for row in rows}) == 1


async def test_limits_of_a_session(tmp_path: Path) -> None:
    async with running(tmp_path, "session_seconds = 1\nmax_frame_bytes = 2048") as rig:
        async with rig.raw() as socket:
            assert (await until(socket, "error"))["error"]["code"] == "session_expired"
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1001
        async with rig.raw() as socket:
            await socket.send("x" * 3000)
            with pytest.raises(ConnectionClosed):
                await until(socket, "never")
            assert socket.close_code == 1009


async def test_limits_and_revocation_of_a_key(rig: Rig) -> None:
    made = await rig.house.ask(
        "POST", "/v1/keys", {"name": "few", "scopes": ["call"], "limits": {"requests_per_minute": 2, "concurrency": 1}}
    )
    async with rig.raw(key=made["secret"]) as socket:
        assert (await rig.refused(key=made["secret"]))[1]["code"] == "concurrency_limit_exceeded"
        for _ in range(2):  # the first came with the session
            await socket.send('{"type": "response.create"}')
            await until(socket, "response.done")
        await socket.send('{"type": "response.create"}')
        assert (await until(socket, "error"))["error"]["code"] == "rate_limit_exceeded"
        await rig.house.ask("POST", f"/v1/keys/{made['key']['id']}/revoke")
        assert (await until(socket, "error"))["error"]["code"] == "revoked_api_key"
        with pytest.raises(ConnectionClosed):
            await until(socket, "never")
        assert socket.close_code == 1008


async def test_a_session_ends_when_its_data_may_not_go_there_any_more(rig: Rig) -> None:
    talk = {"owner": "support", "candidates": ["oai/gpt-realtime", "own/m"]}
    made = await rig.house.ask("POST", "/v1/tasks", {"name": "talk", **talk})
    async with rig.raw(model="task:talk") as socket:
        await until(socket, "session.created")
        closer = {**talk, "default": "own/m", "data_class": "confidential"}
        await rig.house.ask("PUT", f"/v1/tasks/talk?digest={made['digest']}", closer)
        error = (await until(socket, "error"))["error"]
        assert error["code"] == "place_not_allowed"
    headers = {"authorization": f"Bearer {rig.key}", "x-penstock-task": "talk"}
    assert (await rig.refused(additional_headers=headers))[1]["code"] == "place_not_allowed"
