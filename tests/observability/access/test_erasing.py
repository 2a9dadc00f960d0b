"""Everything of one person goes, from the record and from the store of spans, and nothing of anybody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import select
from tests.observability.calls import OPERATOR, OTHER, READER, ended

from penstock.kernel.call import Attempt, Call, Verdict
from penstock.kernel.principal import Principal
from penstock.observability.access import erasing
from penstock.observability.access.erasing import Erasing
from penstock.observability.own.outbox import Outbox
from penstock.observability.payloads import PayloadKeeper
from penstock.observability.recorder import Recorder
from penstock.observability.redaction import Redactor
from penstock.observability.service import CallFilter, Questions
from penstock.observability.settings import ObservabilitySettings
from penstock.observability.tables import call_payloads, calls
from penstock.observability.traces.annotations import Annotations, NewAnnotation
from penstock.storage.records import Records
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.questions import Filter


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedTelemetry]:
    opened = EmbeddedTelemetry(tmp_path / "telemetry", memory_mb=256)
    await opened.start()
    yield opened
    await opened.close()


def said(by: str, text: str, who: Principal = READER, model: str = "m") -> Call:
    call = ended(ask=f"{text} asks", told=f"{text} is told", who=who, model=model, labels={"note": text})
    call.fields = {"user": msgspec.Raw(json.dumps(by).encode())}
    return call


class Desk:
    def __init__(self, records: Records, store: EmbeddedTelemetry | None) -> None:
        settings, redactor = ObservabilitySettings(), Redactor()
        self.outbox = Outbox(lambda: store, settings, redactor)
        keeper = PayloadKeeper("redacted", settings.payload_max_bytes, redactor)
        self.recorder = Recorder(records, settings, redactor, keeper, self.outbox)
        self.questions = Questions(records, self.recorder.flush)
        self.erasing = Erasing(records, lambda: store, self.flush)

    async def flush(self) -> None:
        await self.recorder.flush()
        await self.outbox.flush()

    def take(self, *made: Call) -> None:
        for call in made:
            self.recorder.take(call, len(call.body) + sum(map(len, call.reply_text)))


async def test_a_person_goes_and_the_others_stay(records: Records, store: EmbeddedTelemetry) -> None:
    desk = Desk(records, store)
    ann, ben = [said("ann", f"cobalt{n}") for n in range(3)], [said("ben", "umber")]
    elsewhere = said("ann", "ochre", OTHER)
    desk.take(*ann, *ben, elsewhere)
    gone = await desk.erasing.erase("org_a", "ann")  # they are not even stored yet
    assert (gone.spans, gone.span_payloads, gone.calls, gone.call_payloads, gone.spans_erased) == (3, 3, 3, 3, True)
    assert {one.person for one in (await store.search(Filter())).spans} == {"ann", "ben"}
    assert [one.organisation for one in (await store.search(Filter(equal={"person": ("ann",)}))).spans] == ["org_b"]
    for call in ann:
        assert (await desk.questions.payload(OPERATOR, call.id)).request is None
    for call in (*ben, elsewhere):
        assert (await desk.questions.payload(OPERATOR, call.id)).request is not None
    rows, packs = await records.read(lambda c: (c.execute(select(calls)).all(), list(c.execute(select(call_payloads.c.data)).scalars())))
    assert "cobalt" not in str(rows)
    assert b"cobalt" not in b"".join(packs)
    assert b"umber" in b"".join(packs)
    # What bills are made of stays.
    page = await desk.questions.calls(OPERATOR, CallFilter(), None, 10)
    assert sorted(one.cost_micros or 0 for one in page.data) == [1500] * 5
    assert sorted(one.person or "" for one in page.data) == ["", "", "", "ann", "ben"]
    again = await desk.erasing.erase("org_a", "ann")
    assert (again.spans, again.calls, again.call_payloads) == (0, 0, 0)


async def test_what_providers_and_guards_said_of_it_goes_too(records: Records) -> None:
    desk = Desk(records, None)
    call = said("ann", "cobalt")
    call.attempts = [
        Attempt(provider="up", model="m", started_ms=1.0, status=400, error="refused", message="cobalt asks is no question"),
        Attempt(provider="other", model="m", started_ms=2.0),
    ]
    call.verdicts = [Verdict(guard="pii", verdict="flag", reason="'cobalt' is a name")]
    desk.take(call)
    await desk.erasing.erase("org_a", "ann")
    rows = await records.read(lambda c: c.execute(select(calls)).all())
    assert "cobalt" not in str(rows)
    (found,) = (await desk.questions.calls(OPERATOR, CallFilter(), None, 10)).data
    shown = await desk.questions.call(OPERATOR, found.id)
    assert [(one.provider, one.status, one.message) for one in shown.attempts] == [("up", 400, None), ("other", None, None)]
    assert [(one.guard, one.verdict, one.reason) for one in shown.verdicts] == [("pii", "flag", None)]


async def test_many_calls_go_piece_by_piece_and_a_pack_of_one_person_goes_whole(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "PIECE", 4)
    desk = Desk(records, None)
    desk.take(*(said("ann", f"cobalt{n}") for n in range(9)))
    gone = await desk.erasing.erase("org_a", "ann")
    assert (gone.calls, gone.call_payloads, gone.spans, gone.spans_erased) == (9, 9, 0, False)
    assert await records.read(lambda c: c.execute(select(call_payloads.c.id)).all()) == []


async def test_what_a_person_said_of_traces_goes_too(records: Records) -> None:
    annotations = Annotations(records, str)
    trace = "a" * 32
    for person, organisation in (("ann", "org_a"), ("ben", "org_a"), ("ann", "org_b")):
        by = msgspec.structs.replace(READER, person=person, organisation=organisation)
        await annotations.add(by, organisation, trace, NewAnnotation(comment=f"{person} of {organisation}"))
    gone = await Desk(records, None).erasing.erase("org_a", "ann")
    assert gone.annotations == 1
    assert {one.comment for one in await annotations.of(OPERATOR, trace)} == {"ben of org_a", "ann of org_b"}
