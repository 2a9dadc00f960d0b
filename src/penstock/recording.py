"""``python -m penstock.recording``: the process that writes calls down while there are many; the recorder starts it, see
`penstock.observability.beside`. It ends when the socket that is its standard input is closed, so also when the house is gone."""

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import msgspec

from penstock.collector import spare_collector
from penstock.kernel.beside import Beside
from penstock.logs import configure
from penstock.settings import LogSettings, Settings, StorageSettings

NICE = 5
"""Where the machine is busy, calls go first."""


class House(msgspec.Struct, frozen=True):
    """Where the stores are: the URL of the records, the data folder, the inbox of spans (empty for a store of another kind), the logs."""

    records: str
    data_dir: str
    inbox: str
    logs: LogSettings


def beside(settings: Settings, data_dir: Path) -> Beside:
    """How it is started for a house with these settings."""
    storage = settings.of(StorageSettings)
    # The name of the folder is the store's affair; DuckDB is an extra.
    from penstock.storage.telemetry.store import FOLDER

    inbox = str(data_dir.absolute() / FOLDER / "inbox") if not storage.telemetry and find_spec("duckdb") is not None else ""
    house = House(storage.records, str(data_dir.absolute()), inbox, settings.of(LogSettings))
    return Beside((sys.executable, "-m", "penstock.recording"), msgspec.msgpack.encode(house))


def main() -> None:
    """Write what comes over the socket."""
    # Here, since a house imports this module for the function above.
    from penstock.observability.beside import Desk, greeted
    from penstock.observability.redaction import Redactor
    from penstock.storage.records import open_records
    from penstock.storage.telemetry.inbox import Inbox

    link = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    told, settings = greeted(link)
    house = msgspec.msgpack.decode(told, type=House)
    configure(house.logs)
    os.nice(NICE)
    records = open_records(house.records, Path(house.data_dir))
    redactor = Redactor(emails=settings.redact_emails, phones=settings.redact_phones, patterns=settings.redact_patterns)
    try:
        desk = Desk(records, settings, redactor, Inbox(Path(house.inbox)) if house.inbox else None)
        spare_collector()
        desk.serve(link)
    finally:
        records.close()


if __name__ == "__main__":
    main()
