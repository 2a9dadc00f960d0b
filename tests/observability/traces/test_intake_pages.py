"""What came in, what was wrong with it, and how to send."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.house import SETTINGS, open_house
from tests.observability.otlp.exports import a_span, request
from tests.observability.traces.rig import trace_house

pytestmark = pytest.mark.timeout(60)


async def test_senders_see_what_was_refused_and_repaired_of_theirs(tmp_path: Path) -> None:
    async with trace_house(tmp_path) as rig:
        empty = await rig.page("/console/intake")
        assert "How to send" in empty
        assert rig.house.url in empty
        spans = [a_span(id=1, start=rig.began, end=rig.began - 5), a_span(id=2, start=rig.began, end=rig.began + 5, trace="0" * 32)]
        body = request(*spans, resource={"service.name": "far away"}).SerializeToString()
        answer = await rig.house.ask("POST", "/v1/traces", body, content_type="application/x-protobuf")
        assert answer.status == 200
        assert (await rig.house.ask("POST", "/v1/traces", b"nonsense", content_type="application/x-protobuf")).status == 400
        await rig.keep("nothing")
        text = await rig.page("/console/intake")
        for said in ("invalid_id", "end_before_start", "malformed_request", "its bytes are no export", "far away", "The store ("):
            assert said in text, said
        theirs = await rig.page("/console/intake", key=rig.outsider)
        for hidden in ("invalid_id", "far away", "The store ("):
            assert hidden not in theirs, hidden


async def test_without_a_store_it_is_said(tmp_path: Path) -> None:
    async with open_house(tmp_path, SETTINGS + '[storage]\ntelemetry = "off"\n') as house:
        answer = await house.ask("GET", "/console/intake", accept="text/html")
        assert answer.status == 200
        assert "Spans are not kept here" in answer.text
        for path in ("threads", "live/spans", "traces/diff"):
            page = await house.ask("GET", f"/console/{path}", accept="text/html")
            assert "Spans are not kept here" in page.text, path
