"""A call of a tool ends in one of few ways, and does nothing twice."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.agents import InDoubt, Permanent, Tool, ToolContext, Transient, tool
from penstock.agents.effects import Effects
from penstock.agents.performing import Outcome, Performing
from penstock.kernel.journal import Retry
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def effects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Effects]:
    folder: Path = tmp_path_factory.mktemp("effects")
    records = open_records("", folder)
    migrate(records, ("penstock.agents.migrations",))
    yield Effects(records)
    records.close()


def context() -> ToolContext:
    return ToolContext(key=f"run/call/{next(NUMBERS)}", attempt=1, run="run", organisation="org")


class Bank:
    """Pays, or fails as it is told to before or after it has paid."""

    def __init__(self) -> None:
        self.paid: list[int] = []
        self.before: Exception | None = None
        self.after: Exception | None = None

    async def pay(self, amount: int) -> dict[str, int]:
        """Pay."""
        if self.before is not None:
            raise self.before
        self.paid.append(amount)
        if self.after is not None:
            raise self.after
        return {"paid": amount}

    async def look(self, amount: int, context: ToolContext) -> dict[str, int] | None:
        return {"paid": amount} if amount in self.paid else None

    def tool(self, **terms: Any) -> Tool[..., Any]:
        return Tool(self.pay, effect="irreversible", **terms)


async def once(effects: Effects, one: Tool[..., Any], at: ToolContext, *, last: bool = False) -> Outcome:
    return await Performing(effects).once(one, {"amount": 7}, at, last=last)


async def test_done_is_done_and_said_again_without_doing_it(effects: Effects) -> None:
    bank, at = Bank(), context()
    first = await once(effects, bank.tool(), at)
    assert (first.state, first.text) == ("done", '{"paid":7}')
    assert await once(effects, bank.tool(), at) == first
    assert bank.paid == [7]


async def test_a_failure_before_anything_happened_is_tried_again(effects: Effects) -> None:
    bank, at = Bank(), context()
    bank.before = Transient("busy", after=2.0)
    told = await once(effects, bank.tool(), at)
    assert (told.state, told.after, told.code) == ("again", 2.0, "tool_unavailable")
    bank.before = None
    assert (await once(effects, bank.tool(), at)).state == "done"
    assert bank.paid == [7]
    bank.before = Transient("busy")
    assert (await once(effects, bank.tool(), context(), last=True)).state == "failed"


async def test_a_refusal_for_good_is_final(effects: Effects) -> None:
    bank, at = Bank(), context()
    bank.before = Permanent("no such account")
    told = await once(effects, bank.tool(), at)
    assert (told.state, told.text, told.code) == ("failed", "Permanent: no such account", "tool_failed")


@pytest.mark.parametrize("fault", [InDoubt("the line went dead"), TimeoutError("no answer"), ConnectionResetError("reset")])
async def test_an_answer_that_was_lost_leaves_the_call_in_doubt(effects: Effects, fault: Exception) -> None:
    bank, at = Bank(), context()
    bank.after = fault
    told = await once(effects, bank.tool(), at)
    assert (told.state, told.code) == ("in_doubt", "tool_in_doubt")
    assert str(fault) in told.text
    bank.after = None
    assert await once(effects, bank.tool(), at) == told  # also for whoever asks later
    assert bank.paid == [7]
    (line,) = [one for one in await effects.in_doubt("org", 1000) if one.key == at.key]
    assert (line.tool, line.effect, line.attempts) == ("pay", "irreversible", 1)
    assert at.key not in {one.key for one in await effects.in_doubt("another", 1000)}


async def test_a_tool_that_honours_its_key_is_asked_again(effects: Effects) -> None:
    bank, at = Bank(), context()
    bank.after = InDoubt("lost")
    one = bank.tool(honours_key=True)
    assert (await once(effects, one, at)).state == "again"
    bank.after = None
    assert (await once(effects, one, at)).state == "done"
    bank.after = InDoubt("lost")
    assert (await once(effects, one, context(), last=True)).state == "in_doubt"


async def test_a_tool_that_can_look_knows(effects: Effects) -> None:
    bank, at = Bank(), context()
    one = bank.tool(check=bank.look)
    bank.after = InDoubt("lost")
    assert (await once(effects, one, at)).text == '{"paid":7}'
    bank.paid.clear()
    bank.before = InDoubt("lost")
    assert (await once(effects, one, context())).state == "again"
    assert (await once(effects, one, context(), last=True)).state == "failed"


@pytest.mark.parametrize(("paid", "state"), [([7], "done"), ([], "done")], ids=["it happened", "it did not"])
async def test_what_a_dead_process_left_is_looked_at_first(effects: Effects, paid: list[int], state: str) -> None:
    bank, at = Bank(), context()
    assert await effects.begin(at.key, "org", "run", "pay", "irreversible") is None  # and then the process died
    bank.paid = list(paid)
    assert (await once(effects, bank.tool(check=bank.look), at)).state == state
    assert bank.paid == [7]


async def test_what_a_dead_process_left_is_in_doubt_where_nobody_can_look(effects: Effects) -> None:
    bank, at = Bank(), context()
    await effects.begin(at.key, "org", "run", "pay", "irreversible")
    told = await once(effects, bank.tool(), at)
    assert (told.state, bank.paid) == ("in_doubt", [])
    assert "its process died" in told.text


async def test_a_check_that_fails_settles_nothing(effects: Effects) -> None:
    async def broken(amount: int, context: ToolContext) -> None:
        raise OSError("no route")

    bank, at = Bank(), context()
    await effects.begin(at.key, "org", "run", "pay", "irreversible")
    told = await once(effects, bank.tool(check=broken), at)
    assert (told.state, "OSError: no route" in told.text) == ("in_doubt", True)


async def test_a_tool_that_hangs_ends_after_its_time(effects: Effects) -> None:
    @tool(seconds=0.01)
    async def look(amount: int) -> None:
        """Look."""
        await asyncio.Event().wait()

    told = await once(effects, look, context(), last=True)
    assert (told.state, told.code, told.text) == ("failed", "tool_timeout", "look did not answer within 0.01 s")
    assert (await once(effects, look, context())).state == "again"
    hanging = Tool(look.function, effect="write", seconds=0.01)
    assert (await once(effects, hanging, context())).state == "in_doubt"


async def test_results_that_are_too_large_or_no_json(effects: Effects) -> None:
    @tool(most_bytes=1000)
    async def large(amount: int) -> str:
        """Too much."""
        return "ü" * 50_000_000

    @tool(effect="write")
    async def odd(amount: int) -> object:
        """Not JSON."""
        return object()

    told = await once(effects, large, context())
    assert (told.state, told.code, len(told.text.encode()), told.cut) == ("done", "tool_result_cut", 1000, 100_000_000 - 1000)
    told = await once(effects, odd, context())
    assert (told.state, told.code) == ("done", "tool_result_unreadable")


async def test_a_cancelled_call_is_in_doubt_for_whoever_comes_next(effects: Effects) -> None:
    begun = asyncio.Event()

    @tool(effect="write")
    async def slow(amount: int) -> None:
        """Slow."""
        begun.set()
        await asyncio.Event().wait()

    at = context()
    doing = asyncio.create_task(once(effects, slow, at))
    await begun.wait()
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    assert (await once(effects, slow, at)).state == "in_doubt"


async def test_secrets_in_what_a_tool_says_are_not_kept(effects: Effects) -> None:
    bank = Bank()
    bank.before = ValueError("refused: Bearer sk-abcdefghijklmnopqrstuvwxyz0123456789")
    told = await once(effects, bank.tool(retry=Retry()), context())
    assert "abcdefghijklmnop" not in told.text


async def test_old_effects_go_and_doubts_stay(effects: Effects) -> None:
    bank, at, doubtful = Bank(), context(), context()
    await once(effects, bank.tool(), at)
    await effects.begin(doubtful.key, "org", "run", "pay", "irreversible")
    while await effects.forget(4e9, 2):
        pass
    assert {one.state for one in await effects.of_run(None, "run")} <= {"begun", "in_doubt"}
    assert doubtful.key in {one.key for one in await effects.of_run("org", "run")}


async def test_words_of_a_failure_that_no_database_holds_are_written_otherwise(effects: Effects) -> None:
    """A file's name that is no UTF-8 comes with half characters."""
    bank, at = Bank(), context()
    bank.before = FileNotFoundError("no such file: caf\udce9.txt")
    told = await once(effects, bank.tool(), at)
    assert (told.state, told.code) == ("failed", "tool_failed")
    assert told.text.endswith("caf\\udce9.txt")
    (line,) = [one for one in await effects.of_run(None, at.run) if one.key == at.key]
    assert line.state == "failed"
