"""Datasets: taken in whole or not at all, versioned by name, never changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from penstock.kernel.errors import Conflict, NotFound, RequestError, Unavailable
from penstock.kernel.ids import new_id
from penstock.kernel.ports import Files
from penstock.kernel.principal import Principal
from penstock.quality import store
from penstock.quality.examples import Item
from penstock.quality.intake import Intake, bodies, digest_of
from penstock.quality.model import Dataset
from penstock.quality.settings import QualitySettings
from penstock.storage.records import Records

TOLD = 10
"""Faults that an error's message repeats."""


class Datasets:
    """Makes, shows and deletes datasets. ``reach`` is `Principal.reach` everywhere; ``files`` is asked when one is made of a file."""

    def __init__(self, records: Records, files: Callable[[], Files | None], settings: QualitySettings) -> None:
        self._records = records
        self._files = files
        self._settings = settings

    async def create(self, principal: Principal, name: str, items: Sequence[Item], provenance: dict[str, Any]) -> Dataset:
        """A new version of items that came inline; the version that has exactly these, where there is one.

        Raises `RequestError` (``dataset_refused``) with the numbers of what is not in order.
        """
        intake = self._intake()
        for item in items:
            intake.add(item)
        return await self._keep(principal, name, intake, {"source": "inline", **provenance}, "item")

    async def create_of_file(self, principal: Principal, name: str, file: str, provenance: dict[str, Any]) -> Dataset:
        """The same of a JSONL file in the room of files. `NotFound` for one that is not the caller's."""
        files = self._files()
        if files is None:
            raise Unavailable("there is no room for files in this house; send the items inline")
        found = await files.get(principal.organisation, file)
        intake = self._intake()
        async for piece in files.read(principal.organisation, file):
            await asyncio.to_thread(intake.feed, piece)
        told = {"source": "file", "file": found.name, "file_digest": found.digest, **provenance}
        return await self._keep(principal, name, intake, told, "line")

    async def get(self, reach: str | None, id: str) -> Dataset:
        """One dataset."""
        found = await self._records.read(lambda c: store.dataset(c, reach, id))
        if found is None:
            raise NotFound(f"there is no dataset {id[:100]!r}", param="dataset")
        return found

    async def find(self, principal: Principal, named: str) -> Dataset:
        """The dataset that an id names, or the last version of a name in the caller's organisation."""

        def look(connection: store.Connection) -> Dataset | None:
            by_id = store.dataset(connection, principal.reach, named)
            return by_id if by_id is not None else store.latest(connection, principal.organisation, named)

        found = await self._records.read(look)
        if found is None:
            raise NotFound(f"there is no dataset {named[:100]!r}", param="dataset")
        return found

    async def list(self, reach: str | None, *, below: str | None = None, limit: int = 50) -> list[Dataset]:
        """Datasets, newest first."""
        return await self._records.read(lambda c: store.datasets(c, reach, below=below, limit=limit))

    async def items(self, reach: str | None, id: str, *, after: int, limit: int) -> Sequence[tuple[int, Item]]:
        """Some items of a dataset, with their positions."""
        await self.get(reach, id)
        return await self._records.read(lambda c: store.items(c, id, after=after, limit=limit))

    async def delete(self, reach: str | None, id: str) -> None:
        """Delete one. `Conflict` while an evaluation works with it; results of those that have ended stay."""
        await self.get(reach, id)
        if not await self._records.write(lambda c: store.remove_dataset(c, id)):
            raise Conflict(f"an evaluation is working with dataset {id}", param="id")

    def _intake(self) -> Intake:
        return Intake(self._settings.max_items, self._settings.max_line_bytes)

    async def _keep(self, principal: Principal, name: str, intake: Intake, provenance: dict[str, Any], unit: str) -> Dataset:
        await asyncio.to_thread(intake.end)
        if intake.faults:
            told = "; ".join(f"{unit} {fault.line}: {fault.message}" for fault in intake.faults[:TOLD])
            more = f"; and {intake.wrong - TOLD} more" if intake.wrong > TOLD else ""
            raise RequestError(f"nothing was stored. {told}{more}", code="dataset_refused", param="items" if unit == "item" else "file")
        written, digest = await asyncio.to_thread(_written, intake.items)
        made = Dataset(
            id=new_id("ds"),
            organisation=principal.organisation,
            name=name,
            version=0,
            digest=digest,
            items=len(written),
            size=sum(len(body) for _, body in written),
            provenance=provenance,
            created_at=time.time(),
            created_by=principal.key_id,
        )
        return await self._records.write(lambda c: store.add_dataset(c, made, written))


def _written(items: list[Item]) -> tuple[list[tuple[str, str]], str]:
    return [(item.id, body.decode()) for item, body in zip(items, bodies(items), strict=True)], digest_of(items)
