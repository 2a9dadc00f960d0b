"""The engine in a process of its own: started for work, missed by nobody when it dies, gone when nobody needs it or its starter is gone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from penstock.engine import command
from penstock.kernel.errors import StorageError
from penstock.settings import LogSettings
from penstock.storage.telemetry import apart as apart_module
from penstock.storage.telemetry.apart import Apart
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.holder import Terms
from penstock.storage.telemetry.questions import Filter

from .conftest import a_span, said
from .conftest import until as until_within

pytestmark = pytest.mark.timeout(240)

ENGINE = partial(command, LogSettings(level="error"))


async def until(condition: object) -> None:
    """A process starts and ends in its own time where many others want the same cores."""
    await until_within(condition, 100)


def apart(folder: Path, **terms: object) -> EmbeddedTelemetry:
    return EmbeddedTelemetry(folder, command=ENGINE, memory_mb=256, drain_seconds=0.05, **terms)


def pid_of(store: EmbeddedTelemetry) -> int | None:
    return store._apart.pid if store._apart is not None else None


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedTelemetry]:
    opened = apart(tmp_path / "telemetry")
    await opened.start()
    yield opened
    await opened.close()


async def test_it_is_started_for_work_and_outlived_by_what_was_acknowledged(store: EmbeddedTelemetry) -> None:
    assert (await store.facts()).spans == 0
    assert (await store.search(Filter())).spans == []
    assert pid_of(store) is None, "an empty store needs no engine"
    await store.append([a_span(payload=said("needle"))], "one")
    assert len((await store.search(Filter(text="needle"))).spans) == 1
    engine = pid_of(store)
    assert engine is not None
    assert not store.holds
    assert os.getpriority(os.PRIO_PROCESS, engine) > os.getpriority(os.PRIO_PROCESS, 0)

    os.kill(engine, signal.SIGKILL)
    await store.append([a_span()], "two")
    await store.append([a_span()], "one")  # known, whatever died
    answers = await asyncio.gather(*(store.groups(Filter(), []) for _ in range(4)))
    await store.flush()
    assert {groups[0].measures.spans for groups in answers} <= {1, 2}
    assert (await store.groups(Filter(), []))[0].measures.spans == 2
    assert pid_of(store) not in (None, engine)


async def test_two_that_append_have_one_engine(store: EmbeddedTelemetry) -> None:
    other = apart(store.folder)
    await other.start()
    await store.append([a_span()], "one")
    await other.append([a_span()], "two")
    await asyncio.gather(store.flush(), other.flush())
    assert (await store.facts()).spans == (await other.facts()).spans == 2
    await until(lambda: sum(pid_of(one) is not None for one in (store, other)) == 1)
    first = store if pid_of(store) is not None else other
    left = other if first is store else store
    await first.close()
    await left.append([a_span()], "three")
    await left.flush()
    assert (await left.facts()).spans == 3
    await other.close()


async def test_it_ends_when_nobody_needs_it_and_what_comes_then_is_stored(tmp_path: Path) -> None:
    store = apart(tmp_path, idle_seconds=0.2, unwatched_seconds=0.3)
    await store.start()
    await store.append([a_span()], "one")  # nobody asks: it is found waiting
    await until(lambda: (tmp_path / "facts.json").exists())
    await until(lambda: pid_of(store) is None)
    assert (await store.facts()).spans == 1
    assert pid_of(store) is None, "how much there is was noted"
    await store.append([a_span()], "two")
    await store.flush()
    assert (await store.facts()).spans == 2
    await store.close()


async def test_it_ends_with_who_started_it(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom tests.storage.telemetry.test_apart import apart, a_span, pid_of\n"
        "async def main():\n    store = apart(Path(sys.argv[1]))\n    await store.start()\n    await store.append([a_span()], 'one')\n"
        "    await store.flush()\n    await store.append([a_span()], 'two')\n    print(pid_of(store), flush=True)\n"
        "    await asyncio.sleep(60)\nasyncio.run(main())\n"
    )
    starter = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE)
    assert starter.stdout is not None
    engine = int(await starter.stdout.readline())
    starter.send_signal(signal.SIGKILL)
    await starter.wait()
    await until(lambda: not _runs(engine))
    assert not list((tmp_path / "inbox").iterdir()), "it stored what waited"
    store = apart(tmp_path)
    await store.start()
    assert (await store.facts()).spans == 2
    await store.close()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_one_that_cannot_start_is_tried_again_and_batches_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = [True]

    def engine(folder: Path, terms: Terms) -> Sequence[str]:
        return [sys.executable, "-c", "raise SystemExit(7)"] if broken[0] else ENGINE(folder, terms)

    monkeypatch.setattr("penstock.storage.telemetry.embedded.PATIENCE", 1.0)
    store = EmbeddedTelemetry(tmp_path, command=engine, memory_mb=256)
    await store.start()
    await store.append([a_span()], "one")
    with pytest.raises(StorageError, match="nobody holds"):
        await store.search(Filter())
    assert "has ended and is started again" in caplog.text
    assert store._apart is not None
    store._apart._command = list(ENGINE(tmp_path, Terms(memory_mb=256)))
    monkeypatch.setattr("penstock.storage.telemetry.embedded.PATIENCE", 30.0)
    assert len((await store.search(Filter())).spans) == 1
    await store.close()


async def test_questions_that_are_open_when_it_ends_are_asked_again(store: EmbeddedTelemetry, capfd: pytest.CaptureFixture[str]) -> None:
    await store.append([a_span()], "one")
    await store.flush()
    engine = pid_of(store)
    assert engine is not None
    questions = [asyncio.create_task(store.groups(Filter(), [])) for _ in range(20)]
    os.kill(engine, signal.SIGTERM)
    assert {groups[0].measures.spans for groups in await asyncio.gather(*questions)} == {1}
    await store.flush()
    await until(lambda: pid_of(store) not in (None, engine))
    assert "Exception" not in capfd.readouterr().err


async def test_one_that_gives_no_sign_of_life_is_replaced(
    store: EmbeddedTelemetry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await store.append([a_span()], "one")
    await store.flush()
    engine = pid_of(store)
    assert engine is not None
    assert store._apart is not None
    os.kill(engine, signal.SIGSTOP)
    monkeypatch.setattr(apart_module, "SIGN_SECONDS", 0.1)
    monkeypatch.setattr(apart_module, "HUNG_SECONDS", 0.2)
    question = asyncio.create_task(store.groups(Filter(), []))
    try:
        while _runs(engine):
            await store._apart._listen()
        assert (await question)[0].measures.spans == 1
    finally:
        if _runs(engine):
            os.kill(engine, signal.SIGKILL)
    assert "no sign of life" in caplog.text
    assert pid_of(store) not in (None, engine)


async def test_an_engine_that_was_started_for_somebody_who_gave_up_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()
    spawn = Apart._spawn

    def slowly(self: Apart) -> subprocess.Popen[bytes]:
        begun.set()
        go.wait()
        return spawn(self)

    monkeypatch.setattr(Apart, "_spawn", slowly)
    store = apart(tmp_path)
    await store.start()
    assert store._apart is not None
    waking = asyncio.create_task(store._apart.wake())
    await asyncio.to_thread(begun.wait)
    waking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waking
    go.set()
    await until(lambda: pid_of(store) is not None)
    engine = pid_of(store)
    await store.close()
    assert engine is not None
    assert not _runs(engine)


async def test_that_no_process_can_be_started_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Apart) -> subprocess.Popen[bytes]:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(Apart, "_spawn", refused)
    store = apart(tmp_path)
    await store.start()
    await store.append([a_span()], "one")
    with pytest.raises(StorageError, match="temporarily unavailable"):
        await store.search(Filter())
    await store.close()


async def test_one_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart_module, "GRACE", 0.2)
    store = apart(tmp_path)
    await store.start()
    await store.append([a_span()], "one")
    await store.flush()
    engine = pid_of(store)
    assert engine is not None
    os.kill(engine, signal.SIGSTOP)
    await store.close()
    assert not _runs(engine)
