"""What is said of traces: kept, found, taken back by whoever said it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from penstock.kernel.errors import Forbidden, NotFound, RequestError
from penstock.kernel.principal import Principal, Scope
from penstock.observability.traces.annotations import Annotations, NewAnnotation
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records

ANN = Principal(key_id="key_1", name="Ann", organisation="org", person="ann", scopes=frozenset({Scope.READ}))
BEA = msgspec.structs.replace(ANN, key_id="key_2", name="Bea", person="bea")
ADMIN = msgspec.structs.replace(BEA, key_id="key_3", scopes=frozenset({Scope.ADMIN}))
OTHER = msgspec.structs.replace(ADMIN, organisation="other")
TRACE, NEXT = "a" * 32, "b" * 32


@pytest_asyncio.fixture
async def annotations(tmp_path: Path) -> AsyncIterator[Annotations]:
    records = open_records("", tmp_path)
    migrate(records, ("penstock.observability.migrations",))
    yield Annotations(records, lambda text: text.replace("secret", "[removed]"))
    records.close()


async def test_several_may_say_something_of_a_trace_and_its_spans(annotations: Annotations) -> None:
    first = await annotations.add(ANN, "org", TRACE, NewAnnotation(label=" wrong ", score=0.2, comment="the secret is out"))
    second = await annotations.add(BEA, "org", TRACE, NewAnnotation(span="1" * 16, score=1.0))
    assert await annotations.of(ANN, TRACE) == [first, second]
    assert (first.label, first.comment, first.author, first.span) == ("wrong", "the [removed] is out", "Ann", "")
    assert first.at > 1_700_000_000
    assert await annotations.of(ANN, NEXT) == []


async def test_traces_are_found_by_what_was_said(annotations: Annotations) -> None:
    await annotations.add(ANN, "org", TRACE, NewAnnotation(label="wrong"))
    await annotations.add(ANN, "org", NEXT, NewAnnotation(label="good"))
    await annotations.add(OTHER, "other", "c" * 32, NewAnnotation(label="good"))
    assert await annotations.traces("org", "", 10) == [NEXT, TRACE]
    assert await annotations.traces("org", "good", 10) == [NEXT]
    assert await annotations.traces(None, "good", 10) == ["c" * 32, NEXT]
    assert await annotations.traces("org", "", 1) == [NEXT]
    assert await annotations.labels("org") == ["good", "wrong"]


async def test_it_is_taken_back_by_whoever_said_it_or_an_administrator(annotations: Annotations) -> None:
    said = await annotations.add(ANN, "org", TRACE, NewAnnotation(comment="hm"))
    with pytest.raises(Forbidden):
        await annotations.remove(BEA, TRACE, said.id)
    with pytest.raises(NotFound):
        await annotations.remove(OTHER, TRACE, said.id)
    with pytest.raises(NotFound):
        await annotations.remove(ANN, NEXT, said.id)
    await annotations.remove(msgspec.structs.replace(ANN, key_id="key_9"), TRACE, said.id)
    again = await annotations.add(ANN, "org", TRACE, NewAnnotation(comment="hm"))
    await annotations.remove(ADMIN, TRACE, again.id)
    assert await annotations.of(ANN, TRACE) == []


async def test_nobody_sees_what_is_said_of_anothers_trace(annotations: Annotations) -> None:
    await annotations.add(ANN, "org", TRACE, NewAnnotation(label="wrong"))
    assert await annotations.of(OTHER, TRACE) == []
    assert await annotations.labels("other") == []


async def test_nothing_is_no_annotation_and_there_may_not_be_too_many(annotations: Annotations, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError):
        await annotations.add(ANN, "org", TRACE, NewAnnotation(label="  "))
    monkeypatch.setattr("penstock.observability.traces.annotations.MOST", 1)
    await annotations.add(ANN, "org", TRACE, NewAnnotation(score=0.0))
    with pytest.raises(RequestError):
        await annotations.add(ANN, "org", TRACE, NewAnnotation(score=0.0))
