from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import msgspec
import pytest

from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.inbox import Inbox
from penstock.storage.telemetry.span import Payload, Span
from penstock.storage.telemetry.store import TelemetryStore, open_telemetry

NOW = int(time.time()) * 10**9
HOUR = 3600 * 10**9
DAY = 24 * HOUR

_numbers = count(1)


def a_span(**said: object) -> Span:
    """A call of a known organisation, which took a second; whatever is said differently."""
    number = next(_numbers)
    fields: dict[str, object] = {
        "trace_id": f"{number:032x}", "span_id": f"{number:016x}", "start_ns": NOW - HOUR, "end_ns": NOW - HOUR + 10**9,
        "kind": "call", "name": "chat", "organisation": "org_a", "model": "gpt", "task": "answer", "person": "ann",
        "input_tokens": 10, "output_tokens": 5, "cost_micros": 7, "currency": "USD", **said,
    }  # fmt: skip
    if "start_ns" in said and "end_ns" not in said:
        fields["end_ns"] = int(said["start_ns"]) + 10**9  # type: ignore[call-overload]
    return Span(**fields)  # type: ignore[arg-type]


def said(text: str, reply: str = "") -> Payload:
    return Payload(input=text, output=reply)


CHDB = os.environ.get("PENSTOCK_CHDB_PYTHON") or (sys.executable if find_spec("chdb") else "")
"""A Python that has chDB, which is half a gigabyte: without one, nothing here asks ClickHouse's engine."""


@pytest.fixture(scope="session")
def clickhouse() -> Iterator[str]:
    if not CHDB:
        pytest.skip("no chDB: install it, or name a Python that has it in PENSTOCK_CHDB_PYTHON")
    script = str(Path(__file__).with_name("chdb_server.py"))
    with subprocess.Popen([CHDB, script], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"clickhouse://user@127.0.0.1:{server.stdout.readline().strip()}"
        server.kill()


@pytest.fixture(params=["embedded", "clickhouse"])
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[TelemetryStore]:
    if request.param == "embedded":
        opened: TelemetryStore = EmbeddedTelemetry(tmp_path / "telemetry", memory_mb=256)
    else:
        opened = open_telemetry(f"{request.getfixturevalue('clickhouse')}/t{next(_numbers)}", tmp_path)
    await opened.start()
    yield opened
    await opened.close()


async def until(condition: object, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


def put(inbox: Inbox, spans: list[Span], batch: str) -> None:
    """As `EmbeddedTelemetry.append` does, for tests of what holds the engine."""
    inbox.put(batch, msgspec.json.Encoder().encode_lines(spans))
