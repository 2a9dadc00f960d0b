"""Long-term memory on SQLite and PostgreSQL: whose it is, how it is found again, when it goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from penstock.agents.memory.own import OwnMemory
from penstock.agents.memory.service import Memories
from penstock.agents.memory.settings import MemorySettings
from penstock.agents.recollection import Owner
from penstock.app import capabilities, migration_packages
from penstock.kernel.errors import Conflict, NotFound, RequestError, Unavailable
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

PACKAGES = tuple(one for one in migration_packages(capabilities()) if "agents" in one)
ADA, BOB, TEAM, DESK = Owner("person", "ada"), Owner("person", "bob"), Owner("team", "sales"), Owner("agent", "desk")
DAY = 86_400.0


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Meanings:
    """An embedder that knows two meanings; a text of neither has none."""

    id = "meanings/1"

    def __init__(self) -> None:
        self.fails = False

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        if self.fails:
            raise Unavailable("no")
        np = pytest.importorskip("numpy")
        animal, colour = ("cat", "feline", "dog"), ("red", "crimson")
        rows = [[any(w in t for w in animal), any(w in t for w in colour), 0.01] for t in texts]
        found = [np.array(row, dtype=np.float32) for row in rows]
        return [(row / np.linalg.norm(row)).tobytes() for row in found]

    def at_hand(self, text: str) -> bytes | None:
        return None


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, PACKAGES)
    yield opened
    opened.close()


async def test_it_is_found_by_words_among_what_may_be_seen(records: Records) -> None:
    memories = Memories(records, MemorySettings(), clock=Clock())
    likes = await memories.remember("org", ADA, "Ada likes rivers, above all the Elbe", labels=["taste"], agent="desk", run="run_1")
    await memories.remember("org", BOB, "Bob likes rivers too")
    shared = await memories.remember("org", TEAM, "The team meets by the river on Mondays")
    await memories.remember("other", ADA, "Another Ada likes rivers")
    own = await memories.remember("org", DESK, "Refunds above 100 need two people: über uns")
    seen = (ADA, TEAM, DESK)
    assert {one.id for one in await memories.recall("org", seen, "river")} == {likes.id, shared.id}
    assert [one.id for one in await memories.recall("org", seen, "what does she like about the ELBE?", most=1)] == [likes.id]
    assert [one.id for one in await memories.recall("org", seen, "river", label="taste")] == [likes.id]
    assert [one.id for one in await memories.recall("org", (DESK,), "Über")] == [own.id]
    assert [one.text for one in await memories.recall("org", None, "Bob's rivers", most=1)] == ["Bob likes rivers too"]
    for query in ("", "?!", '"', "' OR 1=1 --", "NEAR(", "*", "a" * 5000, "river' & !"):
        await memories.recall("org", seen, query)
    assert await memories.recall("org", (), "rivers") == []
    assert await memories.recall("org", (BOB,), "Elbe") == []
    with pytest.raises(NotFound):
        await memories.get("org", (BOB, TEAM), likes.id)
    with pytest.raises(NotFound):
        await memories.forget("other", None, likes.id)
    await memories.forget("org", seen, likes.id)
    assert {one.id for one in await memories.recall("org", seen, "rivers Elbe")} == {shared.id}
    assert [one.id for one in await memories.list("org", (TEAM, DESK))] == [own.id, shared.id]


async def test_it_is_kept_once_within_bounds_and_for_a_time(records: Records) -> None:
    clock = Clock()
    memories = Memories(records, MemorySettings(most_records=2, most_characters=100, keep_days=10), clock=clock)
    first = await memories.remember("org", ADA, "one thing", key="run/call/1")
    assert await memories.remember("org", ADA, "one thing", key="run/call/1") == first
    await memories.remember("org", ADA, "for a day", days=1)
    with pytest.raises(Conflict) as full:
        await memories.remember("org", ADA, "a third")
    assert full.value.code == "memory_full"
    await memories.remember("org", BOB, "bob has room")
    for text, labels, days in (
        ("  ", [], None),
        ("x" * 101, [], None),
        ("x", [""], None),
        ("x", ["y"] * 17, None),
        ("x", [], 0.0),
        ("x\0", [], 1),
    ):
        with pytest.raises(RequestError):
            await memories.remember("org", BOB, text, labels=labels, days=days)
    clock.now += 2 * DAY
    assert [one.text for one in await memories.list("org", (ADA,))] == ["one thing"]
    assert await memories.expire() == 1
    clock.now += 7 * DAY
    (used,) = await memories.recall("org", (ADA,), "thing")
    assert (used.used_at, used.expires_at) == (clock.now, clock.now + 10 * DAY)
    clock.now += 9 * DAY
    assert await memories.expire() == 1  # Bob's, which nobody used
    assert await memories.get("org", (ADA,), first.id) == used


async def test_a_person_who_is_erased_is_remembered_by_nobody(records: Records) -> None:
    memories = Memories(records, MemorySettings(), clock=Clock())
    await memories.remember("org", ADA, "her own", person="ada")
    await memories.remember("org", DESK, "what the agent learned from her", person="ada", agent="desk", run="r")
    await memories.remember("org", DESK, "what it learned from him", person="bob", agent="desk", run="r")
    await memories.remember("other", ADA, "of another house")
    assert await memories.erase("org", "ada") == 2
    assert [one.text for one in await memories.list("org", None)] == ["what it learned from him"]
    assert await memories.recall("org", None, "learned her own") != []
    assert len(await memories.list("other", None)) == 1


async def test_it_is_found_by_what_it_means(records: Records) -> None:
    meanings = Meanings()
    memories = Memories(records, MemorySettings(), lambda: meanings, clock=Clock())
    pet = await memories.remember("org", ADA, "She has a cat")
    await memories.remember("org", ADA, "Her car is red")
    assert [one.id for one in await memories.recall("org", (ADA,), "feline friends")] == [pet.id]
    meanings.fails = True
    plain = await memories.remember("org", ADA, "She has a dog")
    assert [one.id for one in await memories.recall("org", (ADA,), "dog")] == [plain.id]


async def test_a_run_uses_what_its_person_its_team_and_its_agent_know(records: Records) -> None:
    memories = Memories(records, MemorySettings(), clock=Clock())
    own = OwnMemory(memories, organisation="org", person="ada", team=lambda: "sales", agent="desk", run="run_1")
    for scope in ("person", "team", "agent"):
        made = await own.remember(f"something of the {scope}", scope)  # type: ignore[arg-type]
        assert (made.agent, made.run, made.person) == ("desk", "run_1", "ada")
    secret = await memories.remember("org", BOB, "something of Bob")
    assert len(await own.recall("something")) == 3
    assert [one.owner for one in await own.recall("something", "team")] == ["sales"]
    with pytest.raises(NotFound):
        await own.forget(secret.id)
    nobodys = OwnMemory(memories, organisation="org", person="", team=lambda: None, agent="other", run="run_2")
    assert await nobodys.recall("something") == []
    with pytest.raises(RequestError, match="no person"):
        await nobodys.remember("x", "person")
