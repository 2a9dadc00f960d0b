"""What other rooms may know and keep of calls: the port `CallRecords`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from penstock.kernel.evidence import CallRecord, Via
from penstock.kernel.principal import Principal
from penstock.observability import store
from penstock.observability.access.service import PayloadAccess
from penstock.observability.redaction import Redactor
from penstock.observability.tables import calls
from penstock.storage.records import Records


class Recorded:
    """`CallRecords` by the settings of the record. ``flush`` stores what has ended, so that it is found."""

    def __init__(
        self, records: Records, flush: Callable[[], Awaitable[None]], redactor: Redactor, mode: str, access: PayloadAccess
    ) -> None:
        self._records = records
        self._access = access
        self._flush = flush
        self._redactor = redactor if mode == "redacted" else None
        self.keeps = mode != "none"

    def clean(self, text: str) -> str:
        """See `CallRecords.clean`."""
        return text if self._redactor is None else self._redactor.text(text)

    async def find(self, reach: str | None, call: str) -> CallRecord | None:
        """See `CallRecords.find`."""
        await self._flush()
        visible = () if reach is None else (calls.c.organisation == reach,)
        row = await self._records.read(lambda c: store.one(c, call, visible))
        if row is None or row["organisation"] is None:
            return None
        candidate = f"{row['provider']}/{row['provider_model']}" if row["provider_model"] else None
        return CallRecord(id=row["id"], organisation=row["organisation"], task=row["task"], candidate=candidate)

    def may_open(self, reader: Principal) -> bool:
        """See `CallRecords.may_open`."""
        return self._access.may(reader)

    async def opened(self, reader: Principal, what: str, organisation: str, via: Via, kind: Literal["call", "run"] = "call") -> None:
        """See `CallRecords.opened`."""
        await self._access.note(reader, "opened", kind, what, organisation, via)
