"""Stored responses survive what kills a process, are found wherever they are, and end when their time is over; tenants never meet."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.kernel.errors import NotFound
from penstock.responses import store
from penstock.responses.pending import Pending
from penstock.responses.service import ResponseService
from penstock.responses.settings import ResponsesSettings
from penstock.responses.turn import Turn, new_turn
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

PACKAGE = ("penstock.responses.migrations",)
DAY = 86400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, PACKAGE)
    yield opened
    opened.close()


def turn(organisation: str = "a", previous: str | None = None, text: str = "x", at: float = 1_800_000_000.0) -> Turn:
    return Turn(new_turn(), organisation, previous, "m", at, at + DAY, "key_1", f'["{text}"]'.encode(), b'{"output": []}')


@asynccontextmanager
async def open_pending(records: Records, root: Path, seconds: float = 60.0) -> AsyncGenerator[Pending]:
    pending = Pending(records, root, seconds)
    await pending.open()
    try:
        yield pending
    finally:
        await pending.close()


def in_table(records: Records) -> int:
    with records.snapshot() as connection:
        return store.count(connection)


async def test_a_turn_is_found_before_and_after_it_moves(records: Records, tmp_path: Path) -> None:
    clock = Clock()
    async with open_pending(records, tmp_path / "spool") as pending:
        service = ResponseService(records, pending, ResponsesSettings(), clock)
        first = turn()
        await service.keep(first)
        second = turn(previous=first.id)
        await service.keep(second)
        assert (in_table(records), pending.waiting) == (0, 2)
        assert await service.conversation("a", second.id) == [first, second]
        await pending.flush()
        assert (in_table(records), pending.waiting) == (2, 0)
        third = turn(previous=second.id)
        await service.keep(third)  # one in memory, two in the table
        for reach in ("a", None):
            assert await service.conversation(reach, third.id) == [first, second, third]
        await service.delete("a", third.id)
        with pytest.raises(NotFound):
            await service.get(None, third.id)
    assert in_table(records) == 2


async def test_turns_move_by_themselves(records: Records, tmp_path: Path) -> None:
    async with open_pending(records, tmp_path / "spool", 0.01) as pending:
        await pending.keep(turn())
        async with asyncio.timeout(10):
            while pending.waiting:
                await asyncio.sleep(0.005)
        assert in_table(records) == 1


async def test_a_long_turn_goes_straight_into_the_table(records: Records, tmp_path: Path) -> None:
    async with open_pending(records, tmp_path / "spool") as pending:
        long = turn(text="x" * 20_000)
        await pending.keep(long)
        assert (in_table(records), pending.waiting, pending.direct) == (1, 0, 1)
        assert await ResponseService(records, pending, ResponsesSettings(), Clock()).get("a", long.id) == long


async def test_another_processes_turn_is_waited_for(records: Records, tmp_path: Path) -> None:
    clock = Clock()
    async with open_pending(records, tmp_path / "one") as one, open_pending(records, tmp_path / "two") as two:
        made = turn()
        clock.now = int(made.id[7:19], 16) / 1000  # it is young
        made = turn(at=clock.now)
        await one.keep(made)
        here = ResponseService(records, two, ResponsesSettings(), clock)
        asked = asyncio.create_task(here.get("a", made.id))
        await asyncio.sleep(0)
        await one.flush()
        assert await asked == made


async def test_time_ends_a_turn(records: Records, tmp_path: Path) -> None:
    clock = Clock()
    async with open_pending(records, tmp_path / "spool") as pending:
        service = ResponseService(records, pending, ResponsesSettings(), clock)
        old, young = turn(), turn(at=clock.now + 10)
        await service.keep(old)
        await service.keep(young)
        clock.now += DAY
        with pytest.raises(NotFound):
            await service.get("a", old.id)
        await pending.flush()
        assert await service.expire() == 1
        assert await service.get("a", young.id) == young


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from penstock.responses.pending import Pending
from penstock.storage.records import open_records
from tests.responses.test_pending import turn

async def live():
    folder = Path(sys.argv[1])
    pending = Pending(open_records("", folder), folder / "spool", 60.0)
    await pending.open()
    for _ in range(50):
        made = turn()
        await pending.keep(made)
        print(made.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(live())
"""


async def test_kill_9_loses_no_turn_that_was_told_of(tmp_path: Path) -> None:
    records = open_records("", tmp_path)
    migrate(records, PACKAGE)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == -9, done.stderr
    told = done.stdout.split()
    assert len(told) == 50
    assert in_table(records) == 0
    try:
        async with open_pending(records, tmp_path / "spool") as pending:
            service = ResponseService(records, pending, ResponsesSettings(), Clock())
            for id in told:
                assert (await service.get("a", id)).id == id
    finally:
        records.close()


Step = tuple[str, str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "follow", "get", "delete", "flush", "wait"]), st.sampled_from(["a", "b"]), st.integers(0, 9)),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_two_organisations_never_meet(steps: list[Step]) -> None:
    asyncio.run(_live(steps))


async def _live(steps: list[Step]) -> None:
    """Two organisations do as they like; each sees exactly what a dictionary of its own says."""
    with tempfile.TemporaryDirectory() as folder:
        records = open_records("", Path(folder))
        try:
            migrate(records, PACKAGE)
            async with open_pending(records, Path(folder) / "spool") as pending:
                clock = Clock()
                service = ResponseService(records, pending, ResponsesSettings(), clock)
                mine: dict[str, dict[str, Turn]] = {"a": {}, "b": {}}
                every: list[str] = []
                for what, who, number in steps:
                    own = mine[who]
                    id = every[number % len(every)] if every else new_turn()
                    if what == "add":
                        made = turn(who, text=str(number) * (1 + 5000 * (number % 5)), at=clock.now)
                        await service.keep(made)
                        own[made.id] = made
                        every.append(made.id)
                    elif what == "follow":
                        if await _seen(service, who, id) is not None:
                            made = turn(who, id, at=clock.now)
                            await service.keep(made)
                            own[made.id] = made
                            every.append(made.id)
                        else:
                            assert _whole(own, id) is None
                    elif what == "flush":
                        await pending.flush()
                    elif what == "wait":
                        clock.now += DAY / 4 * number
                        for each in mine.values():
                            for gone in [i for i, one in each.items() if one.expires_at <= clock.now]:
                                del each[gone]
                    elif id in own:
                        assert await service.get(who, id) == own[id]
                        assert await _seen(service, who, id) == _whole(own, id)
                        if what == "delete":
                            await service.delete(who, id)
                            del own[id]
                    else:
                        with pytest.raises(NotFound):
                            await (service.delete(who, id) if what == "delete" else service.get(who, id))
        finally:
            records.close()


async def _seen(service: ResponseService, who: str, id: str) -> list[Turn] | None:
    try:
        return await service.conversation(who, id)
    except NotFound:
        return None


def _whole(own: dict[str, Turn], id: str | None) -> list[Turn] | None:
    """The conversation that ends with a turn, when all of it is there."""
    found: list[Turn] = []
    while id is not None:
        one = own.get(id)
        if one is None:
            return None
        found.append(one)
        id = one.previous
    return found[::-1]
