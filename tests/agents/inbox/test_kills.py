"""Processes that work on runs which ask before they act get ``kill -9`` at random moments, while people agree, decline, come too late, take
back, agree to their own, and while somebody changes what was proposed: what happened is what was agreed to, once, or said to be in doubt.

Takes about 15 s where nothing else runs; the timeout is 180 s. ``PENSTOCK_SEED`` repeats the chances of an earlier time, as far as
processes can be repeated.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tests.agents.inbox.work import LITTLE, MUCH, PAYMENTS, RUNS, SOON, world
from tests.gateway.upstream import Conversation, serving

from penstock.agents.inbox.model import digest_of
from penstock.agents.inbox.notices import WORDS
from penstock.storage.records import DATABASE_FILE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]
KILLS = 5
FATES = ("altered", "approved", "two", "one of two", "rejected", "late", "own", "revoked", "altered", "approved", "two")
AMOUNTS = {"two": MUCH, "one of two": MUCH, "late": SOON}


class Asked(msgspec.Struct, kw_only=True):
    """What the driver knows of one proposed payment: what it sent, what of that to the process that lives now, and what came back."""

    request: str
    call: str
    digest: str
    fate: str
    expires_at: float
    sent: set[tuple[str, str]] = set()
    waiting: set[tuple[str, str]] = set()
    answers: list[tuple[str, str, str]] = []
    altered: bool = False

    def answered(self, what: str) -> list[str]:
        """What came back of those things."""
        return [answer for _, did, answer in self.answers if did == what]

    def people(self) -> set[str]:
        """Who may agree, and was sent to; whether it arrived nobody can know where the process was killed."""
        return {who for who, what in self.sent if what == "approve"} & {"ben", "cem"}


class Driver:
    """People, and a process that is killed. ``fates`` are of payments, by the number of the run and of the payment in it."""

    def __init__(self, folder: Path, url: str, chance: random.Random) -> None:
        self.folder = folder
        self.url = url
        self.chance = chance
        self.fates = [[chance.choice(FATES) for _ in range(PAYMENTS)] for _ in range(RUNS)]
        order = [(run, payment) for payment in range(PAYMENTS) for run in range(RUNS)]
        for (run, payment), fate in zip(order, FATES, strict=False):  # each at least once, and early
            self.fates[run][payment] = fate
        amounts = [[AMOUNTS.get(fate, LITTLE) for fate in of_run] for of_run in self.fates]
        (folder / "amounts.json").write_text(json.dumps(amounts))
        self.asked: dict[str, Asked] = {}
        self.kills = 0
        self.working = asyncio.Event()

    async def go(self) -> None:
        """Kill and go on until all runs have ended."""
        while not (self.folder / "ended.json").exists():
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.agents.inbox.work", str(self.folder), self.url),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            begun = asyncio.get_running_loop().time()
            said = asyncio.create_task(self._hear(process.stdout))
            faults = asyncio.create_task(process.stderr.read() if process.stderr else asyncio.sleep(0, b""))
            # One kill comes while it starts, all others while it works.
            life = 100.0 if self.kills == KILLS else self.chance.uniform(0.1, 0.9)
            working = self.kills == 2
            try:
                while process.returncode is None:
                    if working and asyncio.get_running_loop().time() >= begun + life:
                        process.kill()
                        self.kills += 1
                        break
                    if not working and self.working.is_set():
                        working, begun = True, asyncio.get_running_loop().time()
                    if self.working.is_set():
                        await self._act(process)
                    await asyncio.sleep(0.02)
            finally:
                if process.returncode is None:
                    process.kill()
                code = await process.wait()
                await said
                told = (await faults).decode()
            assert code in (0, -9), told
            self.working.clear()
            for one in self.asked.values():
                one.waiting.clear()
            self._alter()

    async def _hear(self, stdout: asyncio.StreamReader) -> None:
        async for line in stdout:
            if line == b"working\n":
                self.working.set()
                continue
            told = json.loads(line)
            self.asked[told["call"]].answers.append((told["who"], told["what"], told["answer"]))

    async def _act(self, process: asyncio.subprocess.Process) -> None:
        for one in self._open():
            done = one.waiting | {(who, what) for who, what, _ in one.answers}
            for who, what in self._next(one):
                if (who, what) in done:
                    continue
                one.sent.add((who, what))
                one.waiting.add((who, what))
                told = {"call": one.call, "request": one.request, "digest": one.digest, "who": who, "what": what}
                assert process.stdin is not None
                try:
                    process.stdin.write(json.dumps(told).encode() + b"\n")
                    await process.stdin.drain()
                except ConnectionError:
                    return

    def _next(self, one: Asked) -> list[tuple[str, str]]:
        """What people say to it now; what they have said already is not said again."""
        match one.fate:
            case "approved":
                return [("eve", "approve"), ("ben", "approve")]
            case "two":
                return [("ben", "approve"), ("cem", "approve")]
            case "one of two":
                return [("ada", "approve"), ("ben", "approve"), ("cem", "reject")]
            case "rejected":
                return [("ben", "reject"), ("cem", "approve")]
            case "late":
                return [("ben", "approve")] if time.time() > one.expires_at else []
            case "own":
                return [("ada", "approve"), ("ben", "reject")]
            case "altered":
                return [("ben", "approve")] if one.altered or self.kills == KILLS else []
            case _:
                return [("ben", "approve"), ("cem", "revoke")]

    def _open(self) -> list[Asked]:
        """What is proposed, read as anybody could."""
        with closing(sqlite3.connect(f"file:{self.folder / DATABASE_FILE}?mode=ro", uri=True, timeout=10)) as connection:
            rows = connection.execute("SELECT id, ordinal, digest, proposal, expires_at FROM agent_requests").fetchall()
        for request, call, digest, proposal, expires_at in rows:
            if call not in self.asked:
                _, run, payment = json.loads(proposal)["arguments"]["to"].split("-")
                fate = self.fates[int(run)][int(payment)]
                self.asked[call] = Asked(request=request, call=call, digest=digest, fate=fate, expires_at=expires_at)
        return list(self.asked.values())

    def _alter(self) -> None:
        """While nobody works: change in the journal whom the model wanted to pay, of payments that were proposed and not agreed to."""
        for one in self.asked.values():
            if one.fate == "altered" and not one.sent:
                run = one.call.partition("/")[0]
                with closing(sqlite3.connect(self.folder / "journal.db", isolation_level=None)) as connection:
                    thief = "UPDATE operation_outputs SET output = replace(output, 'shop-', 'thief-')"
                    changed = connection.execute(f"{thief} WHERE workflow_uuid = ? AND function_name = 'model'", (run,))
                    one.altered = changed.rowcount > 0


class Told:
    """Takes webhooks."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []

    async def __call__(self, peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            self.got.append(json.loads(body))
            await peer.json(b"{}")


Drilled = tuple[Driver, dict[str, Any], list[dict[str, Any]]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def drilled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Drilled]:
    seed = int(os.environ.get("PENSTOCK_SEED") or random.SystemRandom().randrange(2**32))
    print(f"PENSTOCK_SEED={seed}")
    folder, told = tmp_path_factory.mktemp("kills"), Told()
    async with serving(told) as hook:
        driver = Driver(folder, hook.url, random.Random(seed))
        await driver.go()
    ended = json.loads((folder / "ended.json").read_bytes())
    states = Counter(line["state"] for run in ended["runs"].values() for line in run["effects"])
    print(
        dict(Counter(one.fate for one in driver.asked.values())),
        f"{sum(one.altered for one in driver.asked.values())} altered",
        dict(states),
    )
    yield driver, ended, told.got


async def test_what_happened_is_what_was_agreed_to(drilled: Drilled) -> None:
    driver, told, _ = drilled
    with closing(world(driver.folder)) as connection:
        paid = connection.execute("SELECT key, whom, cents FROM paid").fetchall()
    assert max(Counter(key for key, _, _ in paid).values()) == 1
    for key, whom, cents in paid:
        one = driver.asked[key]
        needed = 2 if cents == MUCH else 1
        assert one.fate in ("approved", "two", "altered", "revoked"), one
        assert one.digest == digest_of(key.partition("/")[0], "pay", {"to": whom, "cents": cents}), one
        assert len(one.people()) >= needed, one
        assert "revoked" not in one.answered("revoke"), one
        assert not one.altered, one
    happened = {key for key, _, _ in paid}
    effects = {line["key"]: line["state"] for run in told["runs"].values() for line in run["effects"]}
    for key, one in driver.asked.items():
        for who, what, answer in one.answers:
            refused = {"ada": ("self_approval", "request_over", "request_expired"), "eve": ("not_asked", "request_over")}
            assert what != "approve" or who not in refused or answer in refused[who], one
        if one.fate == "late":
            assert set(one.answered("approve")) <= {"request_expired", "request_over"}, one
        if "approved" in one.answered("approve") and one.fate in ("approved", "two"):
            assert effects[key] == "in_doubt" or (effects[key] == "done" and key in happened), one
        assert effects.get(key) in (None, "done", "in_doubt"), one
        assert key not in happened or key in effects, one
    assert {key for key, state in effects.items() if state == "done"} <= happened
    for run in told["runs"].values():
        assert run["ended"]["state"] == "done"
        in_doubt = sorted(line["key"] for line in run["effects"] if line["state"] == "in_doubt")
        assert sorted(run["ended"].get("in_doubt", [])) == in_doubt
    assert len(driver.asked) >= RUNS
    assert driver.kills == KILLS or not [run for run in told["runs"].values() if run["ended"]["state"] != "done"]
    assert happened
    assert told["broken"] is None


async def test_everybody_is_told_of_everything_in_its_order_whatever_is_killed(drilled: Drilled) -> None:
    _, told, got = drilled
    wanted: dict[str, list[str]] = {}
    for line in told["trail"]:
        if line["action"] in WORDS:
            wanted.setdefault(line["subject"], []).append(line["action"])
    heard: dict[str, dict[str, str]] = {}
    for event in got:  # a second one has the id of the first
        heard.setdefault(event["data"]["request"], {}).setdefault(event["id"], event["type"].rpartition(".")[2])
    assert {request: list(events.values()) for request, events in heard.items()} == wanted
