"""``penstock demo``: start Penstock, fill it with an organisation, drive recorded traffic through it; ``--check`` verifies the result."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from rich.console import Console

from penstock.demo import beside, desk, proof, verify
from penstock.demo.asks import EMBEDDING_MODEL, Ask, plan
from penstock.demo.beside import Beside
from penstock.demo.client import Applications, Heard, make_all
from penstock.demo.configure import settings
from penstock.demo.folder import fresh
from penstock.demo.organisation import Api, Organisation, found
from penstock.demo.process import Process
from penstock.demo.samples import FOLDER, merge, read_all
from penstock.demo.terminal import Show, verdict, welcome

DEMO_SPEED = 4.0
"""Replies come four times faster than they were given: slow enough to watch, fast enough not to wait."""
CALLS_PER_SECOND = 6.0
AFTERWARDS_PER_SECOND = 1.0
CHECK_AT_ONCE = 32
SETTLE_SECONDS = 15.0
LOOKED_AT_EVERY = 25
NOTICED_SECONDS = 1.0
_DROPPED = re.compile(r"^penstock_records_dropped\S* (\S+)$", re.MULTILINE)


class Desk(NamedTuple):
    """The support desk of this demo: what it works with, who it works for, and Penstock's settings file."""

    beside: Beside
    who: desk.People
    config: Path


def run(*, check: bool, directory: Path, port: int, recordings: Path = FOLDER) -> int:
    """Run the demo in ``directory`` (made anew) on ``port`` (0: a free one) until Ctrl-C; the exit code.

    ``recordings`` is the folder with what is asked and answered: the samples that ship, or all of the data as
    ``scripts/make_demo_recordings.py --all`` writes it.
    With ``check`` it runs unattended, as fast as it can, verifies what Penstock says about the traffic, and returns 1 on any mismatch.
    Raises `SettingsError` when the folder is somebody else's, `Unavailable` when Penstock does not start.
    """
    console = Console()
    try:
        return asyncio.run((_check if check else _show)(console, directory, port, recordings))
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 0


async def _check(console: Console, directory: Path, port: int, recordings: Path) -> int:
    began = time.perf_counter()
    async with _house(console, directory, port, recordings, speed=0.0) as (process, session, organisation, asks, desk):
        with Show(console, len(asks)) as show:
            async with Applications(process.url, organisation.secrets) as applications:
                heard = await make_all(applications, asks, at_once=CHECK_AT_ONCE, told=show.heard)
        console.print(f"{len(heard)} calls: {show.summary()}", highlight=False)
        api = Api(session, process.url, process.admin_key)
        books = await _books(api, heard, organisation)
        checks = verify.replies(heard) + verify.books(heard, books) + await verify.console(process.url, process.admin_key)
        shown = await _proof(console, api, process.url, organisation, recordings)
        checks += proof.checks(shown) if shown is not None else []
        checks += await _desk_checked(console, process, session, desk) if desk is not None else []
        code = await process.stop()
        checks.append(verify.Check("stops cleanly when told", f"exit code {code}", code == 0))
    verdict(console, checks)
    wrong = sum(1 for one in checks if not one.right)
    console.print(f"{len(checks) - wrong} of {len(checks)} checks passed in {time.perf_counter() - began:.1f} s", highlight=False)
    return 1 if wrong else 0


async def _proof(console: Console, api: Api, url: str, organisation: Organisation, recordings: Path) -> proof.Proof | None:
    """The main act, told when it is over."""
    if not proof.possible():
        console.print("No durable runs here (pip install 'penstock[local,journal]'): the demo goes without evaluations and proof.")
        return None
    async with Applications(url, organisation.secrets) as applications:
        shown = await proof.prove(api, applications, url, read_all(recordings))
    for line in proof.told(shown):
        console.print(line, highlight=False, soft_wrap=True)
    return shown


async def _desk_checked(console: Console, process: Process, session: aiohttp.ClientSession, at: Desk) -> list[verify.Check]:
    """The agent's act unattended: its refund is approved through the API by a second person."""
    waiting = await desk.ticket(session, process, at.who, at.beside, at.config)
    own = await desk.approve(session, process.url, at.who, waiting)
    over = await desk.closed(Api(session, process.url, process.admin_key), waiting, at.beside, own=own)
    for line in desk.ended(over):
        console.print(line, highlight=False, soft_wrap=True)
    return await desk.checks(process.url, at.who.approver, waiting, over)


async def _desk_over(console: Console, api: Api, at: Desk, waiting: desk.Waiting) -> None:
    """Tell what came of the agent's run, once whoever watches has decided."""
    for line in desk.ended(await desk.closed(api, waiting, at.beside, patience=None)):
        console.print(f"  {line}", highlight=False, soft_wrap=True)


async def _show(console: Console, directory: Path, port: int, recordings: Path) -> int:
    async with _house(console, directory, port, recordings, speed=DEMO_SPEED) as (process, session, organisation, asks, at):
        key, whose = (at.who.approver, f"{desk.APPROVER}'s, who administers") if at is not None else (process.admin_key, "")
        if at is not None:
            console.print("A ticket comes in. An agent works on it, and Penstock is killed meanwhile ...", highlight=False)
        # Before anything else is going on: it kills Penstock.
        waiting = await desk.ticket(session, process, at.who, at.beside, at.config) if at is not None else None
        welcome(console, process.url, key, whose)
        if at is not None and waiting is not None:
            for line in desk.told(process.url, waiting, at.beside.files):
                console.print(f"  {line}", highlight=False, soft_wrap=True)
            console.print()
        console.print(
            f"  {len(asks)} calls of {len(organisation.keys)} applications follow, {CALLS_PER_SECOND:g} a second; Ctrl-C ends the demo.",
            highlight=False,
        )
        traffic = asyncio.create_task(_traffic(console, process.url, organisation, asks))
        api = Api(session, process.url, process.admin_key)
        proved = asyncio.create_task(_proof(console, api, process.url, organisation, recordings))
        ended = asyncio.create_task(process.ended())
        told = asyncio.create_task(_desk_over(console, api, at, waiting)) if at is not None and waiting is not None else None
        try:
            await asyncio.wait((proved, ended), return_when=asyncio.FIRST_COMPLETED)
            if proved.done() and proved.exception() is not None:
                await asyncio.wait((ended,), timeout=NOTICED_SECONDS)  # that Penstock has ended is the better news
            if not ended.done():
                proved.result()
                await asyncio.wait((traffic, ended), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                console.print(f"Penstock ended by itself with exit code {ended.result()}; its log is {directory / 'penstock.log'}")
                return 1
            traffic.result()
        finally:
            tasks: list[asyncio.Task[Any]] = [traffic, proved, ended, *([told] if told is not None else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return 0


async def _traffic(console: Console, url: str, organisation: Organisation, asks: Sequence[Ask]) -> None:
    async with Applications(url, organisation.secrets) as applications:
        with Show(console, len(asks)) as show:
            await _paced(applications, asks, CALLS_PER_SECOND, show)
        console.print(f"  All recorded traffic has passed: {show.summary()}. A call a second goes on.", highlight=False)
        turn = 0
        while True:
            turn += 1
            again = [msgspec.structs.replace(ask, number=ask.number + turn * 100_000) for ask in asks]
            await _paced(applications, again, AFTERWARDS_PER_SECOND, None)


async def _paced(applications: Applications, asks: Sequence[Ask], per_second: float, show: Show | None) -> None:
    # Arrivals of independent people: exponential gaps. The same on every run.
    dice = random.Random(len(asks))
    async with asyncio.TaskGroup() as tasks:
        for ask in asks:
            tasks.create_task(_one(applications, ask, show))
            await asyncio.sleep(dice.expovariate(per_second))


async def _one(applications: Applications, ask: Ask, show: Show | None) -> None:
    # A connection that breaks ends one call, as it does for any application; whether Penstock itself has ended is watched elsewhere.
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        heard = await applications.ask(ask)
        if show is not None:
            show.heard(heard)


@contextlib.asynccontextmanager
async def _house(
    console: Console, directory: Path, port: int, recordings: Path, *, speed: float
) -> AsyncGenerator[tuple[Process, aiohttp.ClientSession, Organisation, list[Ask], Desk | None]]:
    """A running Penstock with the organisation in it, what its applications will ask, and a support desk where agents run; stopped at the
    end."""
    folder = fresh(directory)
    config = folder / "penstock.toml"
    merged = merge(recordings, folder / "recordings")
    written = settings(recordings=merged, data=folder / "data", port=port, speed=speed)
    async with contextlib.AsyncExitStack() as stack:
        at = Beside(folder) if beside.possible() else None
        if at is not None:
            await stack.enter_async_context(at.stand())
            written += at.settings()
        config.write_text(written, "utf-8")
        process = await Process.start(config, folder / "penstock.log", at.environ if at is not None else {})
        stack.push_async_callback(process.stop)
        console.print(f"Penstock is up at {process.url}; settings, data and log are in {folder}", highlight=False, soft_wrap=True)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)))
        api = Api(session, process.url, process.admin_key)
        organisation = await found(api)
        models = {model["id"] for model in (await api.get("/v1/models"))["data"]}
        embeddings = EMBEDDING_MODEL in models
        if not embeddings:
            console.print("No local embedding model here (pip install 'penstock[local]'): the demo goes without embeddings.")
        who = await desk.people(api, organisation.teams["Support"]) if at is not None else None
        made = Desk(at, who, config) if at is not None and who is not None else None
        yield process, session, organisation, plan(read_all(recordings), embeddings=embeddings), made


async def _books(api: Api, heard: Sequence[Heard], organisation: Organisation) -> verify.Books:
    """Penstock's own account, once everything that was on its way to the stores has arrived."""
    wanted = {h.call for h in heard}
    complete = {h.call for h in heard if h.complete}
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        calls = {call["id"]: call for call in await api.pages("/v1/calls", limit=200)}
        rows: dict[str, list[dict[str, object]]] = {}
        for row in await api.pages("/v1/ledger", limit=1000):
            rows.setdefault(row["id"], []).append(row)
        if (wanted <= calls.keys() and complete <= rows.keys()) or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
    spent = sum(row["amount"] for row in (await api.get("/v1/spend", group="team"))["data"])
    budget = await api.get(f"/v1/budgets/{organisation.budgets['Sandbox, monthly']}")
    overview = await api.get("/v1/overview", seconds=3600)
    looked_at = [h.call for h in heard if h.complete and h.ask.sample is not None and not h.ask.stream][::LOOKED_AT_EVERY]
    return verify.Books(
        calls=calls,
        rows=rows,
        spent=spent,
        sandbox=budget["standing"]["spent"],
        dropped=sum(int(float(count)) for count in _DROPPED.findall(await api.text("/metrics"))),
        overview=(overview["calls"], overview["cost_micros"]),
        kept={call: await api.get(f"/v1/calls/{call}/payload") for call in looked_at},
    )
