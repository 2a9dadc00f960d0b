"""What the commands that only look need: the doctor, the line, the schema, the API's description."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from penstock import __version__
from penstock.app import App, capabilities, load_settings, migration_packages, open_store
from penstock.edge.openapi import document
from penstock.kernel.capability import Finding
from penstock.kernel.errors import PenstockError
from penstock.kernel.stage import StagePlace
from penstock.settings import ServerSettings, Settings
from penstock.settings import load as load_tree
from penstock.storage.migrations import migrate as run_migrations
from penstock.storage.migrations import verify as verify_schema

_SIGNS = {"ok": "ok  ", "off": "off ", "warn": "WARN", "fail": "FAIL"}


def doctor(config: Path | None) -> int:
    """Print every finding with what to do; the exit code is 1 when something fails."""
    findings = _examine(config)
    for finding in findings:
        sys.stdout.write(f"{_SIGNS[finding.status]}  {finding.name}: {finding.what}\n")
        if finding.mend is not None and finding.status in ("warn", "fail"):
            sys.stdout.write(f"      -> {finding.mend}\n")
    return 1 if any(f.status == "fail" for f in findings) else 0


def line(config: Path | None) -> None:
    """Print slot, stage, capability and file:line of every stage."""
    for place in places(config):
        sys.stdout.write(f"{place.slot:13} {place.stage:13} {place.capability:14} {place.file}:{place.line}\n")


def places(config: Path | None = None) -> list[StagePlace]:
    """The line of the house that the settings describe, without starting it; files relative to the package."""
    found = closed_house(config).line.places()
    root = str(Path(__file__).parent.parent)
    return [msgspec.structs.replace(p, file=p.file.removeprefix(root).lstrip("/")) for p in found]


def migrate(config: Path | None, *, verify: bool) -> int:
    """Look at the schema, or bring it up to date; the exit code is 1 when ``verify`` finds it is not."""
    rooms = capabilities()
    settings = load_settings(rooms, config)
    store = open_store(settings)
    packages = migration_packages(rooms)
    try:
        if verify:
            state = verify_schema(store, packages)
            sys.stdout.write(f"{store.place}: {state.explain()}\n")
            return 0 if state.ready else 1
        done = run_migrations(store, packages)
        sys.stdout.write(f"{store.place}: {'ran ' + ', '.join(done) if done else 'the schema is up to date'}\n")
        return 0
    finally:
        store.close()


def openapi() -> str:
    """The OpenAPI document as indented JSON."""
    offers = closed_house(None).offers.values()
    made = document([r for o in offers for r in o.routes], [e for o in offers for e in o.endpoints], __version__)
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode()


def closed_house(config: Path | None) -> App:
    """The house that the settings describe (None: no file and no environment), built but not started; only to be looked at."""
    rooms = capabilities()
    kinds = {c.name: c.settings for c in rooms if c.settings is not None}
    given = load_settings(rooms, config) if config is not None else load_tree(kinds, environ={})
    # Opening makes the data folder; looking must leave nothing behind.
    with tempfile.TemporaryDirectory() as folder:
        server = msgspec.structs.replace(given.of(ServerSettings), data_dir=folder)
        settings = Settings({**given.slices, "server": server}, given.sources, given.file)
        store = open_store(settings)
        try:
            return App(rooms, settings, store)
        finally:
            store.close()


def _examine(config: Path | None) -> Sequence[Finding]:
    rooms = capabilities()
    try:
        settings = load_settings(rooms, config)
    except PenstockError as fault:
        return [Finding(name="settings", status="fail", what=fault.message, mend="correct the setting and run this again")]
    where = str(settings.file) if settings.file is not None else "defaults, no penstock.toml"
    findings = [Finding(name="settings", status="ok", what=f"{where}; {len(settings.sources)} values set")]
    try:
        app = App(rooms, settings, open_store(settings))
    except PenstockError as fault:
        return [*findings, Finding(name="house", status="fail", what=fault.message, mend="correct the setting and run this again")]
    try:
        state = verify_schema(app.store, migration_packages(rooms))
        ready = state.ready
        findings.append(
            Finding(
                name="records",
                status="ok" if ready else "warn",
                what=f"{app.store.place}: {state.explain()}",
                mend=None if ready else "run `penstock migrate` (the embedded database is migrated by itself at the next start)",
            )
        )
    except PenstockError as fault:
        findings.append(Finding(name="records", status="fail", what=fault.message, mend="check storage.records and that the database runs"))
        ready = False
    findings.extend(asyncio.run(_ask(app, ready)))
    app.store.close()
    return findings


async def _ask(app: App, ready: bool) -> list[Finding]:
    found: list[Finding] = []
    for name, offer in app.offers.items():
        for check in offer.checks:
            try:
                found.extend(await check())
            except PenstockError as fault:
                # Before the first start there are no tables yet; that is said once above, not once per capability.
                what = fault.message if ready else "not looked at: no schema yet"
                found.append(Finding(name=name, status="fail" if ready else "off", what=what))
    for offer in app.offers.values():
        for service in offer.services:
            if service.name == "gateway":
                await service.stop()
    return found
