"""Certified again by itself: once enough fresh labels wait, at most once a period, by one process, and never against a person's word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import insert
from tests.routing.simulated import CHEAP, DEAR, SETTINGS, drawn, task

from penstock.kernel.call import Target
from penstock.kernel.candidates import Traits
from penstock.kernel.errors import JournalInUse
from penstock.kernel.evidence import CertificationEnded, Outcome
from penstock.kernel.tasks import Floor, Judge, Recertify, Task
from penstock.routing import store
from penstock.routing.certify import rejected
from penstock.routing.certifying import GIVEN_UP_SECONDS, Certifying, ended
from penstock.routing.evidence import Gathering
from penstock.routing.memory import Policies
from penstock.routing.policy import VERSION, WATCH, Policy, claim_of
from penstock.routing.recertifying import BY, LOOK_SECONDS, Recertifying
from penstock.routing.series import next_attempt, share
from penstock.routing.service import suspend
from penstock.routing.tables import CHANGES, METADATA
from penstock.storage.records import Records, open_records

GOOD = {CHEAP: 0.97, DEAR: 0.99}
HOURS = 2.0
ASKS = task(recertify=Recertify(labels=60, hours=HOURS))


class Process:
    """What one process has, over a database that several share."""

    def __init__(self, place: Place) -> None:
        self.policies = Policies(place.records, 1.0)
        gathering = Gathering(SETTINGS, lambda: place, lambda: place, lambda: None, lambda: None)  # type: ignore[arg-type,return-value]
        self.told: list[CertificationEnded] = []
        self.certifying = Certifying(
            place.records, gathering, SETTINGS, self.policies.fresh.now, lambda: place.now, ended=lambda one: self.told.append(ended(one))
        )
        self.again = Recertifying(place.records, self.certifying, gathering, lambda: place, lambda: place.now)  # type: ignore[arg-type,return-value]


class Place:
    """Tasks and evidence that a test puts in."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.task: Task = ASKS
        self.known: list[Outcome] = []
        self.now = 1000.0
        self.aliases: dict[str, str] = {}
        self.one = Process(self)

    def resolve(self, name: str) -> Target:
        provider, model = self.aliases.get(name, name).split("/")
        return Target(provider, model, name)

    def traits(self, target: Target, organisation: str = "") -> Traits:
        return Traits(place="vendor")

    def all(self) -> list[Task]:
        return [self.task]

    async def outcomes(self, organisation: str, task: str, *, since: float = 0.0) -> list[Outcome]:
        return [one for one in self.known if one.at >= since]

    def more(self, n: int, rates: dict[str, float] = GOOD) -> None:
        """So many fresh labels, of the models to which the names lead now."""
        self.known += [
            msgspec.structs.replace(one, answered_by=self.aliases.get(one.candidate, "")) for one in drawn(rates, n, at=self.now)
        ]

    async def ask(self) -> Policy:
        """A person certifies."""
        await self.one.certifying.begin(self.task, "key_1")
        return await self.settled()

    async def look(self, *, hours: float = HOURS + 0.1, process: Process | None = None) -> Policy:
        """After so many hours; the last policy, once what was begun has ended."""
        self.now += hours * 3600
        await (process or self.one).again.round()
        return await self.settled(process)

    async def settled(self, process: Process | None = None) -> Policy:
        await (process or self.one).certifying.wait(self.task)
        return (await self.all_of())[0]

    async def all_of(self) -> list[Policy]:
        return await self.records.read(lambda c: store.of_task(c, self.task.organisation, self.task.name, limit=1000))

    async def suspend(self, policy: Policy, by: str) -> None:
        assert await suspend(self.records, self.one.policies, policy.id, "other prompts", self.now, by)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    opened = open_records("", tmp_path)
    with opened.begin() as connection:
        METADATA.create_all(connection)
        connection.execute(insert(CHANGES).values(id=1, version=0))
    made = Place(opened)
    made.more(200)
    yield made
    await made.one.certifying.stop()
    opened.close()


async def test_fresh_labels_certify_again_once_a_period_and_it_says_so(place: Place) -> None:
    first = await place.ask()
    assert (first.state, first.automatic, first.spent) == ("active", False, 1)
    place.now += 60
    place.more(59)
    assert (await place.look()).id == first.id
    place.more(1)
    waiting = place.one.again.waiting["o", "sums"]
    assert (waiting.fresh, waiting.wanted) == (59, 60)
    again = await place.look(hours=0.1)
    assert (again.number, again.state, again.by, again.automatic) == (2, "active", BY, True)
    assert (again.series, again.attempt, again.spent, again.labels) == (2, 1, 2, 60)
    assert again.alpha == share(1 - 0.95, 2)
    assert "asked for by nobody" in again.why
    assert [(one.state, one.automatic) for one in place.one.told] == [("active", False), ("active", True)]
    place.now += 60
    place.more(60)
    assert (await place.look(hours=1.0)).id == again.id  # labels there are, but the period is not over
    assert (await place.look(hours=1.0)).number == 3


async def test_one_that_is_refused_is_tried_again_with_what_is_left(place: Place) -> None:
    await place.ask()
    place.now += 60
    place.more(60, {CHEAP: 0.5, DEAR: 0.6})
    refused = await place.look()
    assert (refused.state, refused.spent) == ("refused", 2)
    assert (await place.look()).id == refused.id  # no label is newer
    place.more(60, {CHEAP: 0.5, DEAR: 0.6})
    again = await place.look()
    assert (again.series, again.attempt, again.spent, again.alpha) == (2, 2, 3, share(1 - 0.95, 3))
    assert [one.state for one in await place.all_of()] == ["refused", "refused", "active"]  # what was certified serves on


async def test_what_the_watch_suspended_is_certified_on_labels_that_are_newer(place: Place) -> None:
    first = await place.ask()
    place.now += 60
    place.more(100)
    place.now += 60
    await place.suspend(first, WATCH)
    assert (await place.look()).state == "suspended"  # a hundred labels, all of the time before
    place.more(60)
    again = await place.look()
    assert (again.state, again.labels, again.since) == ("active", 60, 1120.0)


async def test_what_was_measured_on_another_model_takes_labels_from_after_the_suspension(place: Place) -> None:
    first = await place.ask()
    assert first.models == {CHEAP: (CHEAP, ""), DEAR: (DEAR, "")}
    place.now += 60
    place.more(100)
    place.now += 60
    place.aliases[CHEAP] = "cheap/smaller"
    await place.suspend(first, VERSION)
    place.now += 60
    place.more(160)
    again = await place.look()
    assert (again.state, again.since, again.labels + again.fitted_on) == ("active", 1120.0, 160)
    assert f"300 judged answers of {CHEAP} are of another model or version" in again.why
    assert again.models[CHEAP] == ("cheap/smaller", "")


@pytest.mark.parametrize("before", ["refused", "suspended", "active", "nothing"])
@pytest.mark.parametrize("automatic", [True, False])
async def test_labels_of_the_model_that_was_certify_nothing_of_the_one_that_is(place: Place, before: str, *, automatic: bool) -> None:
    if before != "nothing":
        if before == "refused":
            place.known.clear()
            place.more(200, {CHEAP: 0.5, DEAR: 0.6})
        first = await place.ask()
        assert first.state == ("refused" if before == "refused" else "active")
        if before == "suspended":
            await place.suspend(first, "key_1")
    place.now += 60
    place.more(200)  # all of them of what CHEAP was
    place.now += 60
    place.aliases[CHEAP] = "cheap/smaller"
    number = len(await place.all_of())
    made = await place.look() if automatic and number else await place.ask()
    if made.number > number:  # the dear one is what it was, and may be certified anew
        assert CHEAP not in made.served
        assert made.chosen in (None, DEAR)
    else:
        assert automatic


async def test_prompts_that_were_put_to_the_model_that_was_are_not_fresh(place: Place) -> None:
    first = await place.ask()
    place.now += 60
    place.aliases[CHEAP] = "cheap/smaller"
    await place.suspend(first, VERSION)
    place.now += 60
    again = [msgspec.structs.replace(one, item=f"again-{one.item}", at=place.now) for one in place.known]
    place.known += [msgspec.structs.replace(one, answered_by=place.aliases.get(one.candidate, "")) for one in again]
    refused = await place.ask()
    assert (refused.state, refused.labels, refused.fitted_on) == ("refused", 0, 200)


async def test_what_a_person_suspended_waits_for_a_person(place: Place) -> None:
    first = await place.ask()
    await place.suspend(first, "key_1")
    place.now += 60
    place.more(200)
    assert (await place.look()).id == first.id
    assert (await place.ask()).state == "active"
    place.now += 60
    place.more(60)
    assert (await place.look()).automatic


@pytest.mark.parametrize(
    "declared",
    [{"recertify": None}, {"mode": "default"}, {"floor": None}, {"name": "never certified"}],
)
async def test_nobody_certifies_what_does_not_ask_for_it(place: Place, declared: dict[str, Any]) -> None:
    await place.ask()
    place.now += 60
    place.more(100)
    place.task = task(**{"recertify": Recertify(labels=60, hours=HOURS), **declared})
    place.now += 100 * 3600
    await place.one.again.round()
    await place.one.certifying.wait(place.task)
    place.task = ASKS
    assert len(await place.all_of()) == 1


async def test_prompts_that_are_judged_again_are_not_fresh(place: Place) -> None:
    first = await place.ask()
    place.now += 60
    place.known += [
        Outcome(**{**{name: getattr(one, name) for name in Outcome.__struct_fields__}, "item": f"again-{one.item}", "at": place.now})
        for one in place.known
    ]
    assert (await place.look()).id == first.id
    assert place.one.again.waiting["o", "sums"].fresh == 0


async def test_of_several_processes_one_does_it(place: Place) -> None:
    await place.ask()
    place.now += 60
    place.more(60)
    place.now += HOURS * 3600
    others = [Process(place) for _ in range(3)]
    await asyncio.gather(*(one.again.round() for one in others))
    for one in others:
        await one.certifying.wait(place.task)
    assert [one.number for one in await place.all_of()] == [2, 1]
    assert sum(len(one.told) for one in others) == 1


async def test_who_has_no_say_over_the_journal_does_not_look(place: Place) -> None:
    class InUse:
        async def ready(self) -> None:
            raise JournalInUse("another process works on it")

    place.one.certifying._journal = lambda: InUse()  # type: ignore[assignment,return-value]
    with pytest.raises(JournalInUse):
        await place.one.again.round()
    await place.one.again.round()  # not again at once
    place.now += LOOK_SECONDS
    with pytest.raises(JournalInUse):
        await place.one.again.round()


async def test_an_attempt_that_runs_is_waited_for(place: Place) -> None:
    first = await place.ask()
    running = Policy(
        id="policy_2", organisation="o", task="sums", number=2, state="fitting", created_at=place.now, by=BY, automatic=True, durable=True
    )
    await place.records.write(lambda c: store.add(c, running))
    place.now += 60
    place.more(60)
    await place.look(hours=100)
    assert [one.id for one in await place.all_of()] == ["policy_2", first.id]


async def test_an_attempt_that_was_left_behind_blocks_no_other(place: Place) -> None:
    await place.ask()
    left = Policy(id="policy_2", organisation="o", task="sums", number=2, state="fitting", created_at=place.now, by=BY, automatic=True)
    await place.records.write(lambda c: store.add(c, left))
    place.now += 60
    place.more(60)
    place.now += GIVEN_UP_SECONDS
    await place.one.certifying.take_up()
    assert (await place.look()).number == 3


async def test_a_task_that_cannot_be_looked_at_keeps_no_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.ask()
    place.now += 60
    place.more(60)
    monkeypatch.setattr(Place, "all", lambda self: [task(name="broken", recertify=Recertify(labels=1, hours=HOURS)), ASKS])
    read, looked = place.records.read, list[object]()

    async def fails(work: Any) -> Any:
        if not looked:
            looked.append(work)
            raise ValueError("a row cannot be read")
        return await read(work)

    monkeypatch.setattr(place.records, "read", fails)
    place.now += HOURS * 3600
    with pytest.raises(ValueError, match="cannot be read"):
        await place.one.again.round()
    assert (await place.settled()).automatic


def test_a_chain_that_goes_on_for_ever_claims_something_false_as_rarely_as_it_says() -> None:
    """Sixteen attempts of their own accord at a floor that is missed by a hair, each on fresh labels, certified or not: the whole chain
    claims it with probability alpha at most, where series with an alpha each would in more than a third of all cases."""
    rng, floor = np.random.default_rng(5), Floor(level=0.8, kind="absolute", confidence=0.9)
    of = Task(
        organisation="o", name="t", owner="x", default="a", candidates=("a",), floor=floor, judge=Judge(kind="exact"), mode="route"
    )  # fmt: skip
    claim, chains, false, apart = claim_of(of), 400, 0, 0
    for _ in range(chains):
        before: list[Policy] = []
        claimed = claimed_apart = False
        for number in range(1, 17):
            attempt = next_attempt(before, claim, of.candidates, floor.confidence, automatic=number > 1)
            scores = (rng.random((400, 1)) < 0.8 - 1e-9).astype(np.float64)
            holds = bool(rejected(scores, floor, None, attempt.alpha)[0])
            claimed |= holds
            claimed_apart |= bool(rejected(scores, floor, None, share(0.1, 1))[0])
            made = Policy(
                id=str(number), organisation="o", task="t", number=number, state="active" if holds else "refused", created_at=0.0, by="x",
                claim=claim, series=attempt.series, attempt=attempt.number, spent=attempt.spent, alpha=attempt.alpha, until=float(number),
            )  # fmt: skip
            before.insert(0, made)
        false += claimed
        apart += claimed_apart
        assert sum(one.alpha for one in before) <= 0.1
    assert false <= 58  # a tenth of 400 is 40; more than 58 come by chance once in 500
    assert apart > 130
