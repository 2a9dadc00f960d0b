from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.span import Payload, Span
from penstock.storage.telemetry.store import TelemetryStore

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


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TelemetryStore]:
    opened = EmbeddedTelemetry(tmp_path / "telemetry", memory_mb=256)
    await opened.start()
    yield opened
    await opened.close()


async def until(condition: object, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)
