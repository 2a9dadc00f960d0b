"""The telemetry store's protocol: append batches, and the few questions that pages ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from penstock.kernel.errors import SettingsError
from penstock.storage.telemetry.questions import Condition, Facts, Filter, Group, Page, Point, Removed, Retention, Stored, Threads
from penstock.storage.telemetry.span import Payload, Span

if TYPE_CHECKING:
    from penstock.storage.telemetry.holder import Terms


class TelemetryStore(Protocol):
    """Where spans are kept; call `start` before anything else. Any number of processes may append and ask at the same time.

    Errors, from every method: `StorageFull` when there is no room, `StorageError` for everything else that the engine
    says; `RequestError` for a question that makes no sense.
    """

    async def start(self) -> None:
        """Open the store. Raises `SettingsError` when its driver is not installed, `StorageError` when it cannot be opened."""
        ...

    async def append(self, spans: Sequence[Span], batch: str) -> None:
        """Keep these spans; on return they survive the death of any process. Questions see them soon, not at once.

        ``batch`` names them, with at most 64 of the characters ``0-9a-zA-Z_-``: a batch that was appended before, by whatever process
        and before whatever crash, is not appended again (told apart for at least a day). Derive it from the bytes received. A span
        whose trace and span id are known from the last minutes is left out and counted. An empty batch does nothing.
        """
        ...

    async def flush(self) -> None:
        """Return when questions see all that this process appended before."""
        ...

    async def search(self, which: Filter, limit: int = 50, cursor: str = "") -> Page:
        """Spans, newest first."""
        ...

    async def trace(self, trace_id: str, organisation: str | None, limit: int = 5000) -> list[Stored]:
        """All spans of one trace that the organisation may see, in the order of their starts; empty when there is none."""
        ...

    async def payload(self, trace_id: str, span_id: str, organisation: str | None) -> Payload | None:
        """What went into a span and what came out of it; None when that is not stored (any more)."""
        ...

    async def series(self, which: Filter, step_ns: int, by: str = "", groups: int = 12) -> list[Point]:
        """Measures by step of time, in order, only steps in which there is a span.

        ``by`` is a dimension: its ``groups`` largest values by count get a line each, the rest one together, named ``…``. The filter must
        have both ends of the period. Raises `RequestError` for more than `MAX_POINTS` steps.
        """
        ...

    async def groups(self, which: Filter, by: Sequence[str], limit: int = 50) -> list[Group]:
        """Measures by up to three dimensions, most spans first; over everything together when ``by`` is empty."""
        ...

    async def threads(self, which: Filter, limit: int = 50, cursor: str = "") -> Threads:
        """Conversations that have a span which the filter means, the latest first."""
        ...

    async def erase(self, organisation: str, person: str) -> Removed:
        """Take away everything of one person: spans, prompts, replies, their words in every index. On return it is off the disk."""
        ...

    async def retain(self, rules: Sequence[Retention], now_ns: int) -> Removed:
        """Take away what has been kept long enough. Spans of organisations without any rule stay."""
        ...

    async def export(self, which: Filter, path: Path, payloads: bool = False) -> int:
        """Write the spans to a new Parquet file, zstd-compressed, optionally with their payloads; how many there were."""
        ...

    async def facts(self) -> Facts:
        """How much is stored, and how it is."""
        ...

    async def examine(self) -> Condition:
        """Look at the store from outside, for who only wants to know whether it is well: needs no `start`, makes and opens nothing.

        Raises `StorageError` when it cannot be looked at."""
        ...

    async def close(self) -> None:
        """Let go of the store; what was appended stays safe."""
        ...


FOLDER = "telemetry"
"""Name of the embedded store's folder inside the data folder."""


def open_telemetry(
    url: str,
    data_dir: Path,
    *,
    memory_mb: int = 1024,
    durable: bool = False,
    command: Callable[[Path, Terms], Sequence[str]] | None = None,
) -> TelemetryStore:
    """The engine that ``url`` names: empty for the embedded one in ``data_dir``, or
    ``clickhouse://user:password@host:8123/database`` (``clickhouses`` for TLS) for ClickHouse by its HTTP interface.

    ``memory_mb`` is what the embedded engine may take, ``durable`` whether a batch is on the disk (and not only with the kernel) before
    it is acknowledged. ``command`` gives the command line of the process that holds the embedded engine; without one it is held here.
    Touches neither disk nor network: `TelemetryStore.start` does. Raises `SettingsError` for a URL that is not valid;
    the message does not repeat it, since it may hold a password.
    """
    if not url:
        # Engines are imported when picked.
        from penstock.storage.telemetry.embedded import EmbeddedTelemetry

        return EmbeddedTelemetry(data_dir / FOLDER, command=command, memory_mb=memory_mb, durable=durable)
    scheme, _, rest = url.partition("://")
    if scheme in {"clickhouse", "clickhouses"}:
        from penstock.storage.telemetry.clickhouse import ClickhouseTelemetry

        return ClickhouseTelemetry(url)
    shown = f"scheme {scheme!r}" if rest else "a text without a scheme"
    raise SettingsError(
        f"storage.telemetry: {shown} is not known; leave it empty for the embedded store, or give clickhouse://user@host:8123/database",
        param="storage.telemetry",
    )
