"""The files as a service: what killed processes left is removed at start, what has expired from time to time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from penstock.files.service import FileService
from penstock.kernel.errors import PenstockError
from penstock.kernel.ports import Authenticator, Metric, Ports, Sessions
from penstock.kernel.vendor import VendorDoor

_log = logging.getLogger("penstock.files")


class FilesLife:
    """Starts, sweeps in the background, and stops."""

    name = "files"

    def __init__(self, ports: Ports, door: VendorDoor, service: FileService) -> None:
        self._ports = ports
        self._door = door
        self._service = service
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the door and begin to sweep."""
        self._door.open(self._ports.get(Authenticator), self._ports.find(Sessions))
        self._sweeping = asyncio.create_task(self._sweep(), name="files")

    async def stop(self) -> None:
        """Stop sweeping; files are whole at any moment."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])

    def metrics(self) -> Iterable[Metric]:
        """What was stored and removed by this process."""
        service = self._service
        told = (
            ("penstock_files_stored_total", "Files that were stored.", service.written),
            ("penstock_files_stored_bytes_total", "Bytes of files that were stored.", service.written_bytes),
            ("penstock_files_removed_total", "Files that were deleted or have expired.", service.removed),
        )
        return [Metric(name=name, help=help, kind="counter", samples=(({}, value),)) for name, help, value in told]

    async def _sweep(self) -> None:
        orphans = True
        while True:
            try:
                if orphans:
                    left = await self._service.sweep()
                    orphans = False
                    if left:
                        _log.info("removed what killed uploads left behind", extra={"blobs": left})
                await self._service.expire()
            except PenstockError as fault:
                _log.warning("files were not swept", extra={"fault": fault.message, "code": fault.code})
            await asyncio.sleep(self._service.settings.sweep_seconds)
