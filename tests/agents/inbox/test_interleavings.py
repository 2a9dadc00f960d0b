"""Whatever people do in whatever order, and wherever the process dies: nothing is done that is not approved then and there.

The property is checked by the tool itself at the moment when it would change the world, against a model of who has agreed to what that
shares no code with what is tested.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.agents.inbox.people import ada, ben, cem, person
from tests.agents.inbox.replay import Blocked, Execution, Killed, Memory
from tests.agents.scripted import Scripted, calls, says

from penstock.agents import Agent, ToolContext, tool
from penstock.agents.effects import Effects
from penstock.agents.inbox.model import Request
from penstock.agents.inbox.policy import Policy, Rule
from penstock.agents.inbox.service import Inbox
from penstock.agents.inbox.settings import InboxSettings
from penstock.agents.inbox_wiring import begin
from penstock.agents.loop import Ended, Loop, Start
from penstock.agents.model import Said
from penstock.agents.performing import Performing
from penstock.kernel.errors import Conflict, Forbidden
from penstock.kernel.principal import Principal, Scope
from penstock.storage.migrations import migrate
from penstock.storage.records import DATABASE_FILE, open_records

EXPIRES, VALID, CALLS = 100.0, 40.0, 5
dan = person("dan", admin=False)
"""Nobody who may agree by himself; others may let him stand in."""
ada_again = person("ada", key="another_key")
VOTERS = {"ada": ada, "ada again": ada_again, "ben": ben, "cem": cem, "dan": dan}


MOST = int(os.environ.get("PENSTOCK_INTERLEAVINGS", "10"))
"""Raised by hand, for a night of it."""
QUICK = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Nothing here cuts the power."""


@cache
def migrated() -> Path:
    """A database with the tables, to begin with."""
    folder = Path(tempfile.mkdtemp(dir=QUICK))
    atexit.register(shutil.rmtree, folder)
    records = open_records("", folder)
    migrate(records, ("penstock.agents.migrations",))
    records.close()
    return folder / DATABASE_FILE


class Known(msgspec.Struct):
    """What the model of the world knows of one proposed call."""

    arguments: dict[str, Any]
    opened: float
    yes: dict[str, str] = {}
    dead: str = ""
    needed: int = 0
    approved: float | None = None


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(dir=QUICK)
        shutil.copy(migrated(), self.folder.name)
        self.records = open_records("", Path(self.folder.name))
        self.now = time.time() + 10.0
        self.memory = Memory()
        terms: dict[str, Any] = {"people": 1, "expires_seconds": EXPIRES, "valid_seconds": VALID}
        self.terms: dict[str, Any] = terms
        memory: Any = self.memory
        self.inbox = Inbox(
            self.records,
            InboxSettings(),
            lambda: memory,
            standing=self.standing,
            begin=begin,
            environ={},
            home=lambda: "org",
            name=lambda id: f"<{id}>",
            clock=lambda connection: self.now,
        )
        self.performing = Performing(Effects(self.records), gate=self.inbox.gate, consent=self.inbox.consent)
        self.people = 1
        self.known: dict[str, Known] = {}
        self.lent: dict[str, float] = {}
        self.lost: set[str] = set()
        self.gone: set[str] = set()
        self.world: list[str] = []
        self.wrong: list[str] = []
        self.ended: Ended | None = None
        self.execution: Execution | None = None
        machine = self

        @tool(effect="irreversible")
        async def pay(to: str, cents: int, context: ToolContext) -> str:
            """Pay."""
            assert machine.execution is not None
            machine.execution.moment()  # it has begun, and nothing has happened yet
            try:
                machine.happens(context.key, {"to": to, "cents": cents})
            except AssertionError as fault:  # whatever a tool raises is how its call ended, so it is told apart
                machine.wrong.append(str(fault))
            machine.execution.moment()  # it has happened, and nobody knows
            return "paid"

        self.agent = Agent("payer", model="scripted", tools=[pay])
        turns = [calls(("pay", {"to": f"shop {n}", "cents": n})) for n in range(1, CALLS + 1)]
        self.model = Scripted(payer=[*turns, says("done")])

    @initialize()
    def policy(self) -> None:
        self.put(1)
        self.execute(10_000)

    def principal(self, voter: str) -> Principal:
        """Who they are by now: what they lost is the scope that lets them agree."""
        one = VOTERS[voter]
        return msgspec.structs.replace(one, scopes=frozenset({Scope.CALL, Scope.READ})) if one.person in self.lost else one

    def standing(self, key: str) -> Principal | None:
        found = next((voter for voter, one in VOTERS.items() if one.key_id == key), None)
        return None if found is None or found in self.gone else self.principal(found)

    def agreed(self, known: Known) -> set[str]:
        """In whose name it is agreed to now: whoever stands in does so for the giver, as long as that one may."""
        mean = {voter: behalf for voter, behalf in known.yes.items() if voter not in self.gone and behalf not in self.gone}
        return {behalf for behalf in mean.values() if behalf not in self.lost}

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def put(self, people: int) -> None:
        terms: dict[str, Any] = {**self.terms, "people": people}
        made = Policy(rules=(Rule(name="pay", tools=("pay",), **terms),))
        after = self.do(self.inbox.policy(ada)).version
        self.do(self.inbox.put(cem, made, "", after))
        self.people = people

    def happens(self, key: str, arguments: dict[str, Any]) -> None:
        """The world changes: only what is approved now may."""
        assert key not in self.world, f"{key} happened twice"
        self.world.append(key)
        if self.people == 0:
            return
        known = self.known.get(key)
        assert known is not None, f"{key} was never proposed"
        assert known.arguments == arguments, f"{key} was altered: {arguments}"
        assert not known.dead, f"{key} is {known.dead}"
        assert known.approved is not None, f"{key} is not approved"
        assert self.now < known.approved + VALID, f"{key} was approved too long ago"
        assert len(self.agreed(known)) >= self.people, f"{key} needs {self.people} and has {known.yes} without {self.lost | self.gone}"
        assert "ada" not in known.yes, f"{key} is approved by who began it"

    @rule(lives=st.integers(1, 12))
    def execute(self, lives: int) -> None:
        """A process takes the run up, and may die."""
        if self.ended is not None:
            return
        self.execution = Execution(self.memory, lambda: self.now, lives)
        start = Start(input="pay", key=ada.key_id, person="ada")
        run: Any = self.execution
        with contextlib.suppress(Killed, Blocked):
            self.ended = self.do(Loop(self.agent, run, start, self.model, self.performing).go())
        for one in self.do(self.inbox.requests.list(ada)):
            assert one.proposal is not None
            if one.proposal.call not in self.known:
                needed = sum(quorum.people for quorum in one.need.quorums)
                self.known[one.proposal.call] = Known(one.proposal.arguments, self.now, {}, "", needed)

    @rule()
    def execute_to_the_end(self) -> None:
        self.execute(10_000)

    @rule()
    def agree(self) -> None:
        """Everybody agrees to what was proposed last."""
        for voter in ("ben", "cem"):
            self.answer(voter, 0, True, False)

    @rule(
        voter=st.sampled_from(sorted(VOTERS)),
        back=st.sampled_from([0, 0, 1]),
        yes=st.sampled_from([True, True, False]),
        stale=st.sampled_from([False, False, True]),
    )
    def vote(self, voter: str, back: int, yes: bool, stale: bool) -> None:
        self.answer(voter, back, yes, stale)

    def latest(self, back: int) -> str:
        found = sorted(self.known)
        return found[-1 - back] if back < len(found) else ""

    def request(self, key: str) -> Request:
        return next(one for one in self.do(self.inbox.requests.list(ada)) if one.proposal and one.proposal.call == key)

    def answer(self, voter: str, back: int, yes: bool, stale: bool) -> None:
        key = self.latest(back)
        if not key or voter in self.gone:
            return
        known, who, request = self.known[key], self.principal(voter), self.request(key)
        said = {"approve": yes, "digest": "0" * 64 if stale else request.digest}
        try:
            self.do(self.inbox.requests.answer(who, request.id, said))
        except (Forbidden, Conflict):
            return
        assert not stale
        assert not known.dead
        assert known.approved is None
        assert self.now < known.opened + EXPIRES
        if not yes:
            known.dead = "rejected"
            return
        assert who.person != "ada"
        giver = "ben" if who.person == "dan" else str(who.person)
        assert giver not in self.lost | self.gone, f"{giver} may not agree any more"
        assert who.person != "dan" or self.lent.get("ben", 0.0) > self.now, "dan stands in for nobody"
        known.yes[str(who.person)] = giver
        if len(self.agreed(known)) >= known.needed:
            known.approved = self.now

    @rule(back=st.sampled_from([0, 0, 1]))
    def revoke(self, back: int) -> None:
        key = self.latest(back)
        if key and "cem" not in self.gone:
            request = self.request(key)
            try:
                self.do(self.inbox.requests.revoke(self.principal("cem"), request.id, "no"))
            except (Conflict, Forbidden):
                return
            assert key not in self.world, "what has happened cannot be taken back"
            self.known[key].dead = "revoked"

    @rule(giver=st.sampled_from(["ben", "ada"]), seconds=st.sampled_from([5.0, 500.0]))
    def lend(self, giver: str, seconds: float) -> None:
        if giver in self.gone:
            return
        self.do(self.inbox.lend(self.principal(giver), "dan", seconds))
        if giver not in ("ada", *self.lost):  # who stands in for her may agree to nothing of hers
            self.lent[giver] = max(self.lent.get(giver, 0.0), self.now + seconds)

    @rule(who=st.sampled_from(["ben", "cem"]), how=st.sampled_from(["role", "role", "key"]))
    def lose(self, who: str, how: str) -> None:
        """Somebody may agree no more, or has no key any more."""
        (self.lost if how == "role" else self.gone).add(who)

    @rule(who=st.sampled_from(["ben", "cem"]), how=st.sampled_from(["role", "key"]))
    def lose_in_between(self, who: str, how: str) -> None:
        """Somebody agrees, and may agree no more before the call begins."""
        self.agree()
        self.lose(who, how)
        self.execute(10_000)

    @rule()
    def regain(self) -> None:
        self.lost.clear()
        self.gone.clear()

    @rule()
    def take_back(self) -> None:
        for loan in self.do(self.inbox.loans(cem)):
            self.do(self.inbox.take_back(cem, loan.id))
        self.lent.clear()

    @rule(seconds=st.sampled_from([1.0, 10.0, 50.0, 120.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def rounds(self) -> None:
        self.do(self.inbox.expire())
        self.do(self.inbox.tell())

    @rule(people=st.sampled_from([1, 1, 2, 2, 0]))
    def change_policy(self, people: int) -> None:
        self.put(people)

    @rule(forged=st.booleans())
    def forge(self, forged: bool) -> None:
        """Somebody signals the run that it is approved, which is nothing but a word."""
        for one in self.do(self.inbox.requests.list(ada, state="open")):
            self.do(self.memory.signal(None, one.run, f"request/{one.id}", {"value": {"approve": forged}, "by": "x", "at": self.now}))

    @rule(cents=st.integers(3, 9))
    def alter(self, cents: int) -> None:
        """Somebody changes in the journal what the model asked for; never of a call that has been made."""
        for number in sorted(self.memory.steps, reverse=True):
            if self.memory.names[number] == "model":
                said = msgspec.convert(self.memory.steps[number], Said)
                ordinal = sum(name == "model" for at, name in self.memory.names.items() if at <= number)
                if said.calls and f"run_1/call/{ordinal}" not in self.world:
                    call = msgspec.structs.replace(said.calls[0], arguments=f'{{"to": "thief", "cents": {cents}}}')
                    self.memory.steps[number] = msgspec.to_builtins(msgspec.structs.replace(said, calls=(call,)))
                return

    @invariant()
    def nothing_happened_that_may_not(self) -> None:
        assert self.wrong == []

    @invariant()
    def ends_say_so(self) -> None:
        if self.ended is not None:
            assert self.ended.state in ("done", "limit", "stuck"), self.ended

    def teardown(self) -> None:
        try:
            assert self.do(self.inbox.broken(ada)) is None
        finally:
            self.records.close()
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.folder.cleanup()


Interleavings.TestCase.settings = settings(
    max_examples=MOST,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    derandomize=True,
)
TestInterleavings = pytest.mark.timeout(180)(Interleavings.TestCase)
