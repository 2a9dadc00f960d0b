from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from penstock.demo.asks import CHAT, EMBEDDINGS, MESSAGES, RESPONSES, Ask
from penstock.demo.client import FORGED_KEY, Applications, Heard, StreamReader, body_of, events, make_all, whole

CHAT_STREAM = (
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n: a comment\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\r\n\r\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
)
MESSAGES_STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
RESPONSES_STREAM = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"Hello"}\n\n'
    b'event: response.completed\ndata: {"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":2}}}\n\n'
)
STREAMS = {CHAT: CHAT_STREAM, MESSAGES: MESSAGES_STREAM, RESPONSES: RESPONSES_STREAM}
WHOLE = {
    CHAT: {"choices": [{"message": {"content": "Hello"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    MESSAGES: {"content": [{"type": "text", "text": "Hello"}], "usage": {"input_tokens": 3, "output_tokens": 2}},
    RESPONSES: {
        "output": [{"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}],
        "usage": {"input_tokens": 3, "output_tokens": 2},
    },
}


def an_ask(**values: object) -> Ask:
    given_ = {"number": 0, "key": "app", "shape": CHAT, "model": "m", "text": "Hi", **values}
    return Ask(**given_)  # pyright: ignore[reportArgumentType]


async def cut(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("shape", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_streams_are_heard_however_they_are_cut(shape: str, size: int):
    heard = Heard(ask=an_ask(shape=shape, stream=True), status=200)
    reader = StreamReader(heard)
    async for event in events(cut(STREAMS[shape], size)):
        reader.take(event)
    assert (reader.text(), heard.input, heard.output, heard.complete) == ("Hello", 3, 2, True)


@pytest.mark.parametrize("shape", STREAMS)
async def test_a_stream_that_stops_early_is_not_complete(shape: str):
    heard = Heard(ask=an_ask(shape=shape, stream=True), status=200)
    reader = StreamReader(heard)
    ending = STREAMS[shape].rstrip(b"\n").rfind(b"\n\n")
    async for event in events(cut(STREAMS[shape][: ending + 2], 50)):
        reader.take(event)
    assert not heard.complete


@given(st.lists(st.binary(max_size=30).filter(lambda b: not set(b) & set(b"\r\n")), max_size=8), st.integers(1, 40))
def test_events_survive_any_cut(datas: list[bytes], size: int):
    async def gather() -> list[bytes]:
        return [event async for event in events(cut(b"".join(b"data: " + d + b"\n\n" for d in datas), size))]

    assert asyncio.run(gather()) == datas


@pytest.mark.parametrize("shape", WHOLE)
def test_whole_replies(shape: str):
    heard = Heard(ask=an_ask(shape=shape), status=200)
    whole(heard, json.dumps(WHOLE[shape]).encode())
    assert (heard.text, heard.input, heard.output, heard.complete) == ("Hello", 3, 2, True)


def test_embeddings_are_counted():
    heard = Heard(ask=an_ask(shape=EMBEDDINGS), status=200)
    whole(heard, b'{"data":[{"embedding":[0.1,0.2]}],"usage":{"prompt_tokens":4,"total_tokens":4}}')
    assert (heard.vectors, heard.dimensions, heard.input, heard.output) == (1, 2, 4, None)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"error": {"code": "c", "type": "t"}}, "c"),
        ({"type": "error", "error": {"type": "t"}}, "t"),
        ({"error": {"code": None, "type": "t"}}, "t"),
    ],
)
def test_errors_of_both_vendors(said: dict[str, object], code: str):
    heard = Heard(ask=an_ask(), status=404)
    whole(heard, json.dumps(said).encode())
    assert (heard.code, heard.complete) == (code, False)


def test_bodies_in_each_shape():
    assert body_of(an_ask(max_tokens=5, stream=True)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert body_of(an_ask(shape=RESPONSES, max_tokens=5)) == {"model": "m", "input": "Hi", "max_output_tokens": 5}
    assert body_of(an_ask(shape=EMBEDDINGS)) == {"model": "m", "input": ["Hi"]}


class Upstream:
    """A server that answers as Penstock would, and remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.running = self.most = 0
        self.left = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, {name.lower(): value for name, value in request.headers.items()}))
        body = await request.json()
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0.005)
            if not body.get("stream"):
                shape = MESSAGES if request.path == "/v1/messages" else CHAT
                return web.json_response(WHOLE[shape], headers={"x-request-id": f"call_{len(self.asked)}", "x-penstock-cost-micros": "12"})
            response = web.StreamResponse(headers={"x-request-id": "call_s", "content-type": "text/event-stream"})
            await response.prepare(request)
            await response.write(CHAT_STREAM[:150])
            if body["model"] != "endless":
                await response.write(CHAT_STREAM[150:])
                return response
            try:
                while True:
                    await response.write(b": still here\n\n")
                    await asyncio.sleep(0.005)
            except (ConnectionError, asyncio.CancelledError):
                self.left.set()
                raise
        finally:
            self.running -= 1


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, str]]:
    server = Upstream()
    application = web.Application()
    application.router.add_post("/v1/{path:.*}", server.answer)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield server, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_asks_carry_key_trace_and_labels(upstream: tuple[Upstream, str]):
    server, url = upstream
    async with Applications(url, {"app": "psk_x"}) as applications:
        ask = an_ask(labels={"a": "1", "b": "2"})
        heard = await applications.ask(ask)
        await applications.ask(an_ask(shape=MESSAGES, key="forged"))
        await applications.ask(an_ask(key=""))
    assert (heard.call, heard.cost, heard.text, heard.complete) == ("call_1", 12, "Hello", True)
    (path, first), (_, forged), (_, nobody) = server.asked
    assert path == "/v1/chat/completions"
    assert first["authorization"] == "Bearer psk_x"
    assert first["traceparent"] == f"00-{ask.trace_id}-{ask.trace_id[:16]}-01"
    assert first["x-penstock-labels"] == "a=1, b=2"
    assert forged["x-api-key"] == FORGED_KEY
    assert not {"authorization", "x-api-key"} & nobody.keys()


async def test_leaving_a_stream_closes_the_connection(upstream: tuple[Upstream, str]):
    server, url = upstream
    async with Applications(url, {"app": "psk_x"}) as applications:
        heard = await applications.ask(an_ask(model="endless", stream=True, cancel=True))
        await asyncio.wait_for(server.left.wait(), 3)
    assert (heard.text, heard.complete, heard.call) == ("Hel", False, "call_s")


async def test_a_broken_connection_is_heard_too():
    async with Applications("http://127.0.0.1:9", {"app": "psk_x"}) as applications:
        (heard,) = await make_all(applications, [an_ask()], at_once=1)
    assert (heard.status, heard.code, heard.complete) == (0, "no reply: ClientConnectorError", False)


async def test_all_are_made_within_the_door_and_groups_in_order(upstream: tuple[Upstream, str]):
    server, url = upstream
    asks = [an_ask(number=n, group="g" if n >= 20 else "") for n in range(30)]
    seen: list[int] = []
    async with Applications(url, {"app": "psk_x"}) as applications:
        heard = await make_all(applications, asks, at_once=5, told=lambda h: seen.append(h.ask.number))
    assert [h.ask.number for h in heard] == list(range(30))
    assert sorted(seen) == list(range(30))
    assert [n for n in seen if n >= 20] == list(range(20, 30))
    assert 1 < server.most <= 5
