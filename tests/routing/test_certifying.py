"""Certification in the background: one at a time a task, always an end, and what came out serves at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert
from tests.routing.simulated import CHEAP, DEAR, SETTINGS, drawn, material, policy, task

from penstock.kernel.errors import Conflict, JournalInUse, StorageError, Unavailable
from penstock.kernel.journal import RunState
from penstock.kernel.tasks import Floor, Recertify, Task
from penstock.routing import store
from penstock.routing.certifying import GIVEN_UP_SECONDS, Certifying, shown
from penstock.routing.evidence import Material
from penstock.routing.memory import Policies
from penstock.routing.policy import VERSION, WATCH, Policy
from penstock.routing.series import share
from penstock.routing.service import suspend
from penstock.routing.tables import CHANGES, METADATA
from penstock.storage.records import Records, open_records

GOOD = {CHEAP: 0.97, DEAR: 0.99}


class Place:
    """Certifying over a database, with evidence that a test puts in."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.outcomes: list[Any] = []
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.now = 1000.0
        self.policies = Policies(records, 1.0)
        self.certifying = Certifying(records, self, SETTINGS, self.policies.fresh.now, lambda: self.now)  # type: ignore[arg-type]

    async def gather(self, of: Task, names: Sequence[str] | None = None, *, traffic: bool = False, until: float = math.inf) -> Material:
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return material(of, [one for one in self.outcomes if one.at <= until])

    def models(self, of: Task) -> dict[str, tuple[str, str]]:
        return {}

    async def certify(self, of: Task) -> Policy:
        begun = await self.certifying.begin(of, "key_1")
        await self.certifying.wait(of)
        found = await self.stored(begun.id)
        assert found is not None
        return found

    async def stored(self, id: str) -> Policy | None:
        return await self.records.read(lambda c: store.one(c, id))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    opened = open_records("", tmp_path)
    with opened.begin() as connection:
        METADATA.create_all(connection)
        connection.execute(insert(CHANGES).values(id=1, version=0))
    made = Place(opened)
    yield made
    await made.certifying.stop()
    opened.close()


async def test_what_is_certified_serves_at_once_and_takes_the_place_of_the_last(place: Place) -> None:
    of = task()
    place.outcomes = drawn(GOOD, 200)
    first = await place.certify(of)
    live = place.policies.of(of)
    assert live is not None
    assert (first.state, live.policy.id) == ("active", first.id)
    place.outcomes += drawn(GOOD, 200, seed=1, at=2.0)
    second = await place.certify(of)
    assert (second.state, second.number, second.series, second.since) == ("active", 2, 2, 1.0)
    before = await place.stored(first.id)
    assert before is not None
    assert (before.state, before.changed_why) == ("superseded", "policy 2 took its place")


async def test_asking_again_without_new_labels_never_claims_more(place: Place) -> None:
    of = task()
    place.outcomes = drawn({CHEAP: 0.82, DEAR: 0.83}, 120)
    made = [await place.certify(of) for _ in range(4)]
    assert [one.state for one in made] == ["refused"] * 4
    assert [one.attempt for one in made] == [1, 2, 3, 4]
    assert sum(one.alpha for one in made) < 0.05
    assert place.policies.of(of) is not None


async def test_one_at_a_time(place: Place) -> None:
    place.gate.clear()
    begun = await place.certifying.begin(task(), "key_1")
    with pytest.raises(Conflict) as fault:
        await place.certifying.begin(task(), "key_1")
    assert fault.value.code == "being_fitted"
    await place.certifying.begin(task(name="another"), "key_1")
    place.now += GIVEN_UP_SECONDS + 1
    (told,) = shown([begun], place.now)
    assert (told.state, "has ended" in told.why) == ("failed", True)
    assert (await place.certifying.begin(task(), "key_1")).number == 2  # its process must have died
    place.gate.set()


@pytest.mark.parametrize(
    ("fault", "said"), [(Unavailable("nobody keeps evidence"), "nobody keeps evidence"), (RuntimeError("a secret"), "(RuntimeError)")]
)
async def test_a_failure_ends_it_with_words_and_spends_nothing(place: Place, fault: Exception, said: str) -> None:
    place.fault = fault
    failed = await place.certify(task())
    assert failed.state == "failed"
    assert said in failed.why
    assert "secret" not in failed.why
    place.fault, place.outcomes = None, drawn(GOOD, 200)
    after = await place.certify(task())
    assert (after.state, after.series, after.attempt) == ("active", 1, 1)


async def test_a_stop_leaves_nothing_being_fitted(place: Place) -> None:
    place.gate.clear()
    begun = await place.certifying.begin(task(), "key_1")
    await asyncio.sleep(0)
    await place.certifying.stop()
    stopped = await place.stored(begun.id)
    assert stopped is not None
    assert (stopped.state, stopped.why) == ("failed", "the process that fitted it was stopped")


async def test_no_floor_nothing_to_certify(place: Place) -> None:
    with pytest.raises(Conflict) as fault:
        await place.certifying.begin(task(floor=None), "key_1")
    assert fault.value.code == "no_floor"


def test_what_is_done_is_told_as_it_is() -> None:
    assert shown([policy()], 1e12) == [policy()]


async def test_an_attempt_that_was_given_up_claims_nothing_when_it_ends_after_all(place: Place) -> None:
    of = task()
    place.outcomes = drawn(GOOD, 200)
    place.gate.clear()
    late = await place.certifying.begin(of, "key_1")
    running = place.certifying._running[of.organisation, of.name]  # pyright: ignore[reportPrivateUsage]
    place.now += GIVEN_UP_SECONDS + 1
    next_one = await place.certifying.begin(of, "key_1")
    place.gate.set()
    await running
    await place.certifying.wait(of)
    given_up, stands = await place.stored(late.id), await place.stored(next_one.id)
    assert given_up is not None
    assert stands is not None
    assert (given_up.state, stands.state) == ("failed", "active")
    assert "another attempt was begun meanwhile" in given_up.why


async def test_an_attempt_whose_process_died_without_a_journal_is_ended(place: Place) -> None:
    for number, name in enumerate(("sums", "young")):
        made = policy(
            id=f"policy_{name}", task=name, number=1, state="fitting", durable=False, created_at=place.now + number * GIVEN_UP_SECONDS
        )
        await place.records.write(lambda c, made=made: store.add(c, made))
    place.now += GIVEN_UP_SECONDS + 1
    await place.certifying.take_up()
    left, young = await place.stored("policy_sums"), await place.stored("policy_young")
    assert left is not None
    assert young is not None
    assert (left.state, left.why, young.state) == ("failed", "the process that fitted it has ended; ask again", "fitting")
    assert place.certifying.counts == {("failed", False): 1}


async def test_an_end_is_told_though_what_comes_after_it_fails(place: Place) -> None:
    told: list[Policy] = []

    async def refresh() -> None:
        raise StorageError("the disk sleeps")

    place.outcomes = drawn(GOOD, 200)
    place.certifying = Certifying(place.records, place, SETTINGS, refresh, lambda: place.now, ended=told.append)  # type: ignore[arg-type]
    begun = await place.certifying.begin(task(), "key_1")
    with pytest.raises(StorageError):
        await place.certifying.wait(task())
    assert [(one.id, one.state) for one in told] == [(begun.id, "active")]


@pytest.mark.parametrize("by", [WATCH, VERSION, "key_2"])
@pytest.mark.parametrize("automatic", [True, False])
async def test_what_was_suspended_while_another_attempt_ran_stays_suspended(place: Place, by: str, automatic: bool) -> None:
    of = task()
    place.outcomes = drawn(GOOD, 200)
    first = await place.certify(of)
    place.outcomes += drawn(GOOD, 200, seed=1, at=2.0)
    place.gate.clear()
    place.now += 100
    second = await place.certifying.begin(of, "key_1", after=first if automatic else None)
    assert await suspend(place.records, place.policies, first.id, "other prompts", place.now + 1, by)
    place.gate.set()
    await place.certifying.wait(of)
    stands, ended = await place.stored(first.id), await place.stored(second.id)
    assert stands is not None
    assert ended is not None
    assert (stands.state, stands.changed_by) == ("suspended", by)
    assert (ended.state, ended.kind) == ("refused", None)
    assert "policy 1 was suspended meanwhile" in ended.why
    place.now += 100
    third = await place.certify(of)  # the labels are those of before
    assert (third.state, third.labels, third.since) == ("refused", 0, 1101.0)


async def test_what_was_suspended_before_an_attempt_is_lifted_by_newer_labels(place: Place) -> None:
    of = task()
    place.outcomes = drawn(GOOD, 200)
    first = await place.certify(of)
    assert await suspend(place.records, place.policies, first.id, "other prompts", 1001.0, WATCH)
    place.outcomes += drawn(GOOD, 200, seed=1, at=1002.0)
    place.now = 1003.0
    assert (await place.certify(of)).state == "active"


@pytest.mark.parametrize("terms", [{"recertify": None}, {"floor": Floor(level=0.9, kind="absolute")}, {"name": "gone"}])
async def test_what_nobody_asked_for_must_still_be_wanted_when_it_ends(place: Place, terms: dict[str, Any]) -> None:
    of = task(recertify=Recertify(labels=60, hours=1))
    known = {"sums": of}
    found = SimpleNamespace(version=1, find=lambda organisation, name: known.get(name))
    place.certifying = Certifying(
        place.records, place, SETTINGS, place.policies.fresh.now, lambda: place.now, tasks=lambda: found  # type: ignore[arg-type]
    )  # fmt: skip
    place.outcomes = drawn(GOOD, 200)
    first = await place.certify(of)
    place.outcomes += drawn(GOOD, 200, seed=1, at=2.0)
    place.gate.clear()
    second = await place.certifying.begin(of, "routing", after=first)
    changed = task(**{"recertify": of.recertify, **terms})
    known.clear()
    known[changed.name] = changed
    place.gate.set()
    await place.certifying.wait(of)
    stands, ended = await place.stored(first.id), await place.stored(second.id)
    assert stands is not None
    assert ended is not None
    assert (stands.state, ended.state) == ("active", "refused")
    assert "nobody asked for it" in ended.why


class Book:
    """The part of a journal that an attempt needs: runs are kept, and executed when a test says so, as often as it says."""

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}
        self.state = RunState.RUNNING
        self.here = True
        self.tasks: Any = None

    def define(self, name: str, function: Any) -> None:
        self.function = function

    def declare(self, queue: Any) -> None: ...

    async def ready(self) -> None:
        if not self.here:
            raise JournalInUse("another process works on it")

    async def start(self, name: str, input: Any, *, key: str, **more: Any) -> str:
        await self.ready()
        self.inputs[key] = input
        return key

    async def get(self, reach: str | None, run: str) -> Any:
        return SimpleNamespace(state=self.state)

    async def step(self, name: str, function: Any, *args: Any, retry: Any) -> Any:
        return await function(*args)

    async def execute(self) -> list[str]:
        return [await self.function(self, one) for one in self.inputs.values()]


@pytest.fixture
def book(place: Place) -> Book:
    made, of = Book(), task()
    made.tasks = known = SimpleNamespace(version=1, find=lambda organisation, name: of if name == of.name and known.version else None)
    place.certifying = Certifying(
        place.records, place, SETTINGS, place.policies.fresh.now, lambda: place.now, lambda: made, lambda: known  # type: ignore[arg-type]
    )  # fmt: skip
    place.certifying.open()
    return made


async def test_a_run_that_is_done_again_writes_its_result_once(place: Place, book: Book) -> None:
    place.outcomes = drawn(GOOD, 200)
    begun = await place.certifying.begin(task(), "key_1")
    assert (begun.state, begun.durable) == ("fitting", True)
    assert await book.execute() == ["active"]
    first = await place.stored(begun.id)
    place.outcomes = drawn({CHEAP: 0.1, DEAR: 0.1}, 200)  # what a second fit would refuse
    place.now += 10
    assert await book.execute() == ["active"]
    assert await place.stored(begun.id) == first
    assert place.certifying.counts == {("active", False): 1}


async def test_what_an_attempt_may_do_is_settled_when_it_is_begun(place: Place, book: Book) -> None:
    place.outcomes = drawn({CHEAP: 0.1, DEAR: 0.1}, 200)
    begun = await place.certifying.begin(task(), "key_1")
    assert (begun.alpha, begun.series, begun.attempt, begun.spent) == (share(1 - 0.95, 1), 1, 1, 1)
    place.now += 10
    place.outcomes += drawn(GOOD, 2000, seed=1, at=place.now)  # while the process that fitted it was dead
    place.outcomes += drawn(GOOD, 1, seed=2, at=begun.created_at)
    assert await book.execute() == ["refused"]
    ended = await place.stored(begun.id)
    assert ended is not None
    assert (ended.until, ended.fitted_on + ended.labels) == (begun.created_at, 201)
    assert ended.alpha == begun.alpha


async def test_an_attempt_at_a_claim_that_is_none_any_more_tests_nothing(place: Place, book: Book) -> None:
    place.outcomes = drawn(GOOD, 200)
    begun = await place.certifying.begin(task(floor=Floor(level=0.7, kind="absolute")), "key_1")
    assert await book.execute() == ["failed"]
    ended = await place.stored(begun.id)
    assert ended is not None
    assert "declared otherwise after this was begun" in ended.why


async def test_an_attempt_whose_start_got_lost_is_started_and_an_ended_run_ends_it(place: Place, book: Book) -> None:
    place.outcomes = drawn(GOOD, 200)
    begun = await place.certifying.begin(task(), "key_1")
    book.inputs.clear()  # the process died before the run was there
    await place.certifying.take_up()
    assert book.inputs == {begun.id: {"policy": begun.id}}
    book.state = RunState.ABANDONED
    await place.certifying.take_up()
    ended = await place.stored(begun.id)
    assert ended is not None
    assert (ended.state, "ended from outside" in ended.why) == ("failed", True)
    assert await book.execute() == ["failed"]


async def test_a_database_that_does_not_answer_is_asked_again_by_the_run(place: Place, book: Book) -> None:
    begun = await place.certifying.begin(task(), "key_1")
    place.fault = StorageError("the disk sleeps")
    with pytest.raises(StorageError):
        await book.execute()
    stored = await place.stored(begun.id)
    assert stored is not None
    assert stored.state == "fitting"
    place.fault, place.outcomes = None, drawn(GOOD, 200)
    assert await book.execute() == ["active"]


async def test_a_run_that_goes_on_before_tasks_are_read_is_tried_again(place: Place, book: Book) -> None:
    place.outcomes = drawn(GOOD, 200)
    begun = await place.certifying.begin(task(), "key_1")
    book.tasks.version = 0
    with pytest.raises(Unavailable, match="not read yet"):
        await book.execute()
    stored = await place.stored(begun.id)
    assert stored is not None
    assert stored.state == "fitting"
    book.tasks.version = 1
    assert await book.execute() == ["active"]


async def test_one_attempt_that_cannot_be_seen_to_keeps_no_other(place: Place, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await place.certifying.begin(task(), "key_1")
    second = await place.certifying.begin(task(name="another"), "key_1")
    book.inputs.clear()
    start = book.start

    async def fails(name: str, input: Any, *, key: str, **more: Any) -> str:
        if key == first.id:
            raise ValueError("what was kept cannot be read")
        return await start(name, input, key=key, **more)

    monkeypatch.setattr(book, "start", fails)
    with pytest.raises(ValueError, match="cannot be read"):
        await place.certifying.take_up()
    assert list(book.inputs) == [second.id]


async def test_where_another_process_has_the_journal_the_attempt_is_made_here(place: Place, book: Book) -> None:
    place.outcomes, book.here = drawn(GOOD, 200), False
    done = await place.certify(task())
    assert (done.state, done.durable) == ("active", False)
    made = policy(id="policy_9", number=9, state="fitting", durable=True)  # another process'
    await place.records.write(lambda c: store.add(c, made))
    with pytest.raises(JournalInUse):
        await place.certifying.take_up()
