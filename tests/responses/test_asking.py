"""A provider's stream is heard as it comes: wherever it is cut, whatever ends its lines, and also where it is not as it should be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from msgspec import Raw

from penstock.kernel.ports import Holders, ModelAnswer, ModelAsk, ModelClient, ModelStreams
from penstock.responses.asking import Asking
from penstock.responses.job import Asked, Job
from penstock.responses.telling import Board, Cut, Telling
from penstock.storage.records import Records


class Pieces:
    """Streams what it was given, and finds nothing that came before."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def hear(self, ask: ModelAsk, heard: Callable[[bytes], Awaitable[None]]) -> ModelAnswer:
        for piece in self.pieces:
            await heard(piece)
        return ModelAnswer(call="call_1", status=200, body=b"")

    async def before(self, reach: str | None, previous: str | None, conversation: str | None, model: str) -> list[Raw]:
        return []


def job() -> Job:
    asked = Asked(fields={"input": Raw(b'"hi"'), "model": Raw(b'"m"')}, own=Raw(b"[]"))
    text = dict.fromkeys(("id", "organisation", "key_id", "model"), "x")
    none = dict.fromkeys(("person", "previous", "conversation", "run", "agent_run", "thread"))
    times = dict.fromkeys(("created_at", "updated_at", "expires_at"), 0.0)
    values: dict[str, Any] = {**text, **none, **times, "seen": 0, "asked": msgspec.json.encode(asked)}
    return Job(status="queued", background=True, stream=True, **values)


async def heard(pieces: list[bytes]) -> Any:
    told = Pieces(pieces)
    holders = cast("Holders", SimpleNamespace(holder_of=str))
    asking = Asking(lambda: cast("ModelClient", told), lambda: cast("ModelStreams", told), lambda: holders, told)
    one = job()
    return await asking.ask(one, Cut([]), Telling(cast("Records", None), Board(), one, 0))


ODD = (
    {"type": "response.output_text.delta", "output_index": None, "item": 5},
    {"type": "response.output_item.added", "output_index": 0, "item": {"id": "msg_1"}},
    {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [7, {"id": "msg_1"}]}},
)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 10_000])
async def test_a_stream_is_heard_wherever_it_is_cut(end: bytes, size: int) -> None:
    stream = b"".join(b"event: x" + end + b"data: " + msgspec.json.encode(one) + end + end for one in ODD)
    found = await heard([stream[start : start + size] for start in range(0, len(stream), size)])
    assert isinstance(found, dict)
    assert found["output"] == [7, {"id": "msg_1"}]


async def test_an_output_that_is_no_list_breaks_nothing() -> None:
    found = await heard([b'data: {"type":"response.completed","response":{"output":3}}\n\n'])
    assert isinstance(found, dict)
