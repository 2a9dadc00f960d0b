"""Runs that ended long ago leave the journal, and are in the archive by then."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa
from tests.journal.conftest import SETTINGS, migrated

from penstock.journal.retention import FOLDER, Retention
from penstock.journal.service import JournalService
from penstock.journal.wiring import JournalLife
from penstock.kernel.errors import NotFound, StepFailed, StorageError
from penstock.kernel.journal import Run, RunState

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept(place: str, folder: Path) -> AsyncIterator[JournalService]:
    """A journal that keeps runs for a day, and an archive."""
    migrated(place, folder)
    opened = JournalService(msgspec.structs.replace(SETTINGS, keep_days=1.0, archive=True), place, folder)

    async def leaf(run: Run, input: Any) -> Any:
        return await run.step("double", lambda x: 2 * x, input)

    async def tree(run: Run, input: Any) -> Any:
        child = await run.child("leaf", input)
        await run.write("told", input)
        told = await child.result()
        return [told, await run.wait("more")]

    async def fails(run: Run, input: Any) -> Any:
        raise ValueError("no")

    opened.define("leaf", leaf)
    opened.define("tree", tree)
    opened.define("fails", fails)
    await opened.begin()
    try:
        yield opened
    finally:
        await opened.close()


def archived(folder: Path) -> dict[str, Any]:
    lines = [line for path in (folder / FOLDER).glob("*/*.jsonl.gz") for line in gzip.decompress(path.read_bytes()).splitlines()]
    return {told["run"]["id"]: told for told in map(json.loads, lines)}


def tomorrow() -> float:
    return time.time() + 86_400 + 60


async def test_a_tree_goes_when_all_of_it_has_ended_and_is_in_the_archive(kept: JournalService, folder: Path) -> None:
    run = await kept.start("tree", 4, organisation="org", labels={"task": "t"})
    while len(found := await kept.history("org", run)) < 3:
        await kept.ready()
    child = next(step.child for step in found if step.child)
    assert child is not None
    assert await kept.retire(time.time()) == 0, "a day has not passed"
    assert await kept.retire(tomorrow()) == 0, "the child has ended, and what started it has not"
    await kept.signal("org", run, "more", "this")
    assert await kept.result("org", run, 20) == [8, "this"]
    assert await kept.retire(time.time()) == 0
    assert await kept.retire(tomorrow()) == 2
    for gone in (run, child):
        with pytest.raises(NotFound):
            await kept.get("org", gone)
    lines = archived(folder)
    assert (lines[run]["input"], lines[run]["output"], lines[run]["run"]["labels"]) == (4, [8, "this"], {"task": "t"})
    assert [step["kind"] for step in lines[run]["steps"]] == ["child", "write", "result", "wait"]
    assert lines[child]["steps"][0]["output"] == 8
    assert kept._engine is not None
    system = kept._engine.system
    with system.engine.connect() as connection:
        for name in ("workflow_status", "workflow_input", "workflow_output", "operation_outputs", "notifications", "streams"):
            table = getattr(system.tables, name)
            column = table.c.get("workflow_uuid", table.c.get("destination_uuid"))
            assert connection.execute(sa.select(sa.func.count()).where(column.in_([run, child]))).scalar() == 0, name


async def test_what_failed_goes_too_and_what_is_paused_stays(kept: JournalService, folder: Path) -> None:
    failed = await kept.start("fails", None, organisation="org")
    with pytest.raises(StepFailed):
        await kept.result("org", failed, 20)
    paused = await kept.start("tree", 1, organisation="org")
    while len(await kept.history("org", paused)) < 3:
        await kept.ready()
    await kept.pause("org", paused)
    assert await kept.retire(tomorrow()) == 1
    assert archived(folder)[failed]["run"]["error"] is not None
    assert (await kept.get("org", paused)).state is RunState.PAUSED
    await kept.cancel("org", paused)
    assert await kept.retire(tomorrow()) == 2


async def test_those_of_somebody_are_found_with_all_below_and_go_from_the_archive_too(kept: JournalService, folder: Path) -> None:
    def anns(name: str, given: Any) -> bool:
        return name in ("leaf", "tree") and given == "ann"

    old, other = [await kept.start("leaf", given, organisation="org") for given in ("ann", "bob")]
    for run in (old, other):
        await kept.result("org", run, 20)
    assert await kept.retire(tomorrow()) == 2
    done, goes_on = [await kept.start("tree", "ann", organisation="org") for _ in range(2)]
    theirs = await kept.start("leaf", "ann", organisation="others")
    await kept.result("others", theirs, 20)
    below: dict[str, str | None] = {}
    for run in (done, goes_on):
        while len(found := await kept.history("org", run)) < 3:
            await kept.ready()
        below[run] = next(step.child for step in found if step.child)
    await kept.signal("org", done, "more", 1)
    await kept.result("org", done, 20)
    mine = await kept.whose("org", anns)
    assert sorted(mine) == sorted([old, done, str(below[done])])
    await kept.remove("org", mine)
    assert (set(archived(folder)) & {old, other}, await kept.whose("org", anns)) == ({other}, [])
    for gone in (done, below[done]):
        with pytest.raises(NotFound):
            await kept.get("org", str(gone))
    for left in (goes_on, below[goes_on]):
        assert (await kept.get("org", str(left))).organisation == "org"
    assert (await kept.get("others", theirs)).state is RunState.DONE
    await kept.remove("org", mine)
    await kept.cancel("org", goes_on)
    mine = await kept.whose("org", anns)
    await kept.resume("org", goes_on)  # taken up again before it is taken out
    await kept.remove("org", mine)
    assert (await kept.get("org", goes_on)).state in (RunState.QUEUED, RunState.RUNNING)
    await kept.cancel("org", goes_on)
    await kept.remove("org", await kept.whose("org", anns))
    await kept.retire(tomorrow())


async def test_nothing_goes_where_the_archive_cannot_be_written(
    kept: JournalService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await kept.start("leaf", 1, organisation="org")
    await kept.result("org", run, 20)
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", _full)
        with pytest.raises(StorageError, match="stay in the journal"):
            await kept.retire(tomorrow())
    assert (await kept.get("org", run)).state is RunState.DONE
    assert await kept.retire(tomorrow()) == 1
    assert run in archived(folder)


def _full(_handle: int) -> None:
    raise OSError(28, "No space left on device")


async def test_a_run_that_cannot_be_read_does_not_stop_the_others(kept: JournalService, folder: Path) -> None:
    lost = await kept.start("leaf", 1, organisation="org")
    await kept.result("org", lost, 20)
    good = await kept.start("leaf", 2, organisation="org")
    await kept.result("org", good, 20)
    system = kept._engine.system  # type: ignore[union-attr]
    steps = system.tables.operation_outputs
    broken, read = sa.update(steps).where(steps.c.workflow_uuid == lost), sa.select(steps.c.output).where(steps.c.workflow_uuid == lost)
    with system.engine.begin() as connection:
        before = connection.execute(read).scalar()
        connection.execute(broken.values(output="{half"))
    assert await kept.retire(tomorrow()) == 1
    assert (kept.unreadable, good in archived(folder), lost in archived(folder)) == (1, True, False)
    assert (await kept.get("org", lost)).state is RunState.DONE, "it stays"
    (told,) = [one for one in JournalLife(kept, SETTINGS).metrics() if one.name == "penstock_journal_unreadable_runs"]
    assert told.samples[0][1] == 1.0
    with system.engine.begin() as connection:
        connection.execute(broken.values(output=before))
    assert await kept.retire(tomorrow()) == 1
    assert kept.unreadable == 0


async def test_page_after_page(kept: JournalService, folder: Path) -> None:
    runs = [await kept.start("leaf", n, organisation="org") for n in range(3)]
    for run in runs:
        await kept.result("org", run, 20)
    retention = Retention(kept._engine.system, kept._reader, folder / FOLDER, archive=False)  # type: ignore[union-attr, arg-type]
    first = retention.retire(tomorrow() - 86_400, most=2)
    assert (first.taken, first.next is None) == (2, False)
    assert first.next is not None
    assert retention.retire(tomorrow() - 86_400, first.next, most=2) == (1, [], None)


@pytest.mark.parametrize("looked_at", ["both", "the child alone"])
async def test_what_is_taken_up_again_before_it_goes_stays(
    kept: JournalService, folder: Path, monkeypatch: pytest.MonkeyPatch, looked_at: str
) -> None:
    """It is looked at again in the transaction that takes it out: here its run is resumed while the archive is written."""
    run = await kept.start("tree", 1, organisation="org")
    while len(found := await kept.history("org", run)) < 3:
        await kept.ready()
    child = next(step.child for step in found if step.child)
    await kept.cancel("org", run)
    engine = kept._engine
    assert engine is not None
    retention = Retention(engine.system, kept._reader, folder / FOLDER, archive=True)  # type: ignore[arg-type]
    written = retention._write
    if looked_at != "both":
        monkeypatch.setattr(retention, "_old", lambda *_: [(1, child)])

    def slow(*given: Any) -> None:
        written(*given)
        engine.resume(run, None)

    monkeypatch.setattr(retention, "_write", slow)
    assert (await asyncio.to_thread(retention.retire, tomorrow() - 86_400)).taken == 0
    await kept.signal("org", run, "more", "this")
    assert await kept.result("org", run, 20) == [2, "this"], "it goes on, and has its child"
    assert await kept.retire(tomorrow()) == 2
