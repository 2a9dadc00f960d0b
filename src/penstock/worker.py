"""``penstock worker``: a house without a door, which works on runs; as many as wanted on PostgreSQL, on as many machines."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from penstock.app import App, capabilities, load_settings, open_store
from penstock.collector import resting_collector, spare_collector
from penstock.edge.server import until_signal
from penstock.journal.service import JournalService
from penstock.kernel.journal import Journal
from penstock.logs import configure
from penstock.settings import LogSettings

_log = logging.getLogger("penstock.worker")


@resting_collector()
def run(config: Path | None) -> None:
    """Work until SIGTERM or SIGINT. Raises a `PenstockError` when it cannot: no extra, the journal in use."""
    rooms = capabilities()
    settings = load_settings(rooms, config)
    configure(settings.of(LogSettings))
    asyncio.run(_work(App(rooms, settings, open_store(settings))))


async def _work(app: App) -> None:
    journal = app.ports.get(Journal)
    assert isinstance(journal, JournalService)
    journal.works = True  # whatever `journal.work_in_up` says, which is about the other command
    await app.start()
    try:
        engine = await journal.begin()
        spare_collector()
        told = asyncio.create_task(until_signal())
        await asyncio.sleep(0)  # its handlers are in place before anyone knows whom to signal
        sys.stdout.write(f"working on {engine.place.name} as {engine.node}\n")
        sys.stdout.flush()
        _log.info("stopping", extra={"signal": await told})
    finally:
        await app.stop()
