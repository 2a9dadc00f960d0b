"""Approvals and revocations as marks on an axis of time: what is measured often moves with them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from sqlalchemy import Connection, or_, select

from penstock.kernel.measures import Mark
from penstock.registry.tables import AUDIT, MODELS, VERSIONS
from penstock.storage.records import Records

MOST = 200
"""Most marks of one period, the latest."""


class VersionMarks:
    """The `MarkSource` of registered versions."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def marks(self, organisation: str | None, since: float, until: float) -> Sequence[Mark]:
        asked = (
            select(AUDIT.c.at, AUDIT.c.action, AUDIT.c.version, MODELS.c.name, VERSIONS.c.number)
            .join(VERSIONS, VERSIONS.c.id == AUDIT.c.version)
            .join(MODELS, MODELS.c.id == VERSIONS.c.model)
            .where(AUDIT.c.at >= since, AUDIT.c.at < until, or_(AUDIT.c.action.like("approved%"), AUDIT.c.action.like("revoked%")))
            .order_by(AUDIT.c.id.desc())
            .limit(MOST)
        )
        if organisation is not None:
            asked = asked.where(AUDIT.c.organisation == organisation)

        def work(connection: Connection) -> list[Mark]:
            return [
                Mark(at=row["at"], kind="release", title=f"{row['name']} {row['number']} {row['action']}", href=_page(row["version"]))
                for row in connection.execute(asked).mappings()
            ]

        return sorted(await self._records.read(work), key=lambda mark: mark.at)


def _page(version: str) -> str:
    return f"/console/models/{quote(version)}"
