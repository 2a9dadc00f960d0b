"""What ``responses.store`` means, at the station itself."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import pytest
from tests.responses.test_pending import PACKAGE, open_pending

from penstock.kernel.call import Call, Reply, Trace
from penstock.kernel.principal import Principal
from penstock.responses.context import Context
from penstock.responses.conversation import Conversations
from penstock.responses.handing import HandOver
from penstock.responses.service import ResponseService
from penstock.responses.settings import ResponsesSettings
from penstock.responses.stage import Remember
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records

Store = Literal["unless_refused", "when_asked", "off"]


def call(**fields: Any) -> Call:
    made = Call(operation="chat", shape="openai.responses", credential=None, deadline=time.monotonic() + 9, trace=Trace.begin())
    made.principal = Principal(key_id="k", name="k", organisation="a")
    made.model = "m"
    made.fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in {"model": "m", "input": "x", **fields}.items()}
    return made


@pytest.mark.parametrize(
    ("store", "asked", "kept"),
    [
        ("unless_refused", {}, True),
        ("unless_refused", {"store": None}, True),
        ("unless_refused", {"store": False}, False),
        ("when_asked", {}, False),
        ("when_asked", {"store": True}, True),
        ("off", {"store": True}, False),
        ("off", {"previous_response_id": "resp_ps" + "0" * 32, "background": True}, False),
    ],
)
async def test_what_is_kept(tmp_path: Path, store: Store, asked: dict[str, Any], kept: bool) -> None:
    records = open_records("", tmp_path)
    migrate(records, PACKAGE)
    try:
        async with open_pending(records, tmp_path / "spool") as pending:
            service = ResponseService(records, pending, ResponsesSettings(store=store))
            conversations = Conversations(records, service.settings)
            stage = Remember(service, Context(service, conversations), conversations, cast("HandOver", None))
            seen: list[dict[str, Any]] = []

            async def proceed(one: Call) -> Reply:
                seen.append({name: json.loads(bytes(raw)) for name, raw in one.fields.items()})
                return Reply(body=b'{"id": "resp_theirs", "output": []}')

            one = call(**asked)
            reply = await (stage(one, proceed) if stage.concerns(one) else proceed(one))
            told = json.loads(reply.body or b"")
            if kept:
                assert (told["store"], seen[0]["store"]) == (True, False)
                assert pending.find(told["id"]) is not None
            else:
                assert told == {"id": "resp_theirs", "output": []}
                assert seen == [{"model": "m", "input": "x", **asked}]
                assert pending.waiting == 0
    finally:
        records.close()
