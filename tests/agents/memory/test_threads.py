"""Threads on SQLite and PostgreSQL: gone on with, kept once, confined to their agent and person, let go of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.agents.memory.test_service import DAY, PACKAGES, Clock

from penstock.agents.memory import thread_store
from penstock.agents.memory.settings import MemorySettings
from penstock.agents.memory.threads import Threads
from penstock.kernel.errors import NotFound, RequestError
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, PACKAGES)
    yield opened
    opened.close()


async def test_it_is_gone_on_with(records: Records) -> None:
    clock = Clock()
    threads = Threads(records, MemorySettings(), clock)
    assert await threads.open("org", "t1", "desk", "ada", "  Where\nis it? ") == 0
    assert await threads.history("org", "t1", 0) == []
    for _ in range(2):  # a step may be done again
        await threads.keep("org", "t1", "run_1", [("user", "where?"), ("assistant", "here")])
    clock.now += 60
    until = await threads.open("org", "t1", "desk", "ada", "thanks")
    assert until == 2
    await threads.keep("org", "t1", "run_2", [("user", "thanks"), ("assistant", "gladly\0")])
    assert await threads.history("org", "t1", until) == [("user", "where?"), ("assistant", "here")]
    found = await threads.get("org", "t1")
    assert (found.title, found.person, found.updated_at) == ("Where is it?", "ada", clock.now)
    messages = await threads.messages(found)
    assert [(one.number, one.run, one.text) for one in messages] == [
        *((1, "run_1", "where?"), (2, "run_1", "here"), (3, "run_2", "thanks"), (4, "run_2", "gladly")),
    ]
    assert [one.number for one in await threads.messages(found, before=4, most=2)] == [2, 3]


async def test_nobody_else_goes_on_with_it(records: Records) -> None:
    threads = Threads(records, MemorySettings(), Clock())
    await threads.open("org", "t1", "desk", "ada", "hi")
    for organisation, agent, person in (("org", "desk", "bob"), ("org", "clerk", "ada")):
        with pytest.raises(NotFound):
            await threads.open(organisation, "t1", agent, person, "hi")
        with pytest.raises(NotFound):
            await threads.check(organisation, "t1", agent, person)
    await threads.check("org", "t1", "desk", "ada")
    assert await threads.open("other", "t1", "desk", "bob", "hi") == 0  # another organisation's of the same name
    for id in ("", "a/b", "x" * 201, "a b"):
        with pytest.raises(RequestError):
            await threads.check("org", id, "desk", "ada")
    with pytest.raises(NotFound):
        await threads.get("org", "t1", "bob")
    with pytest.raises(NotFound):
        await threads.delete("org", "t1", "bob")
    assert [one.person for one in await threads.list("org", person="ada")] == ["ada"]
    assert await threads.list("org", agent="clerk") == []


async def test_a_long_one_is_told_from_its_newest_questions_on(records: Records) -> None:
    threads = Threads(records, MemorySettings(history_bytes=1024), Clock())
    await threads.open("org", "t1", "desk", "", "x")
    for number in range(4):
        await threads.keep("org", "t1", f"run_{number}", [("user", f"question {number}"), ("assistant", "a" * 400)])
    told = await threads.history("org", "t1", 8)
    assert [text for role, text in told if role == "user"] == ["question 2", "question 3"]
    assert told[0][0] == "user"


async def test_no_more_of_a_long_one_is_read_than_is_told(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads(records, MemorySettings(history_bytes=1024), Clock())
    assert await threads.open("org", "t1", "desk", "", "what\0 now") == 0
    assert (await threads.get("org", "t1")).title == "what now"
    await threads.keep("org", "t1", "run", [("user", f"question {number}" + " " * 80) for number in range(300)])
    read: list[int] = []
    said = thread_store.said

    def counted(*args: Any, **more: Any) -> Any:
        found = said(*args, **more)
        read.append(len(found))
        return found

    monkeypatch.setattr(thread_store, "said", counted)
    told = await threads.history("org", "t1", 300)
    assert (len(told), told[-1][1].strip(), sum(read)) == (11, "question 299", 100)
    wide = Threads(records, MemorySettings(), Clock())
    assert [text.split()[1] for _, text in await wide.history("org", "t1", 250)] == [str(number) for number in range(250)]


async def test_it_goes(records: Records) -> None:
    clock = Clock()
    threads = Threads(records, MemorySettings(thread_days=2), clock)
    for id, person in (("t1", "ada"), ("t2", "bob"), ("t3", "ada")):
        await threads.open("org", id, "desk", person, "x")
        await threads.keep("org", id, "run", [("user", "x"), ("assistant", "y")])
    await threads.delete("org", "t3")
    await threads.keep("org", "t3", "run_2", [("user", "late")])  # of a run that ends after it was deleted
    with pytest.raises(NotFound):
        await threads.get("org", "t3")
    assert await threads.erase("org", "ada") == 1
    clock.now += 3 * DAY
    assert await threads.expire() == 1
    assert await threads.list(None) == []
    assert await threads.open("org", "t1", "desk", "ada", "x") == 0
