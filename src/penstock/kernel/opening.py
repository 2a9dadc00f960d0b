"""Who may see what people, models and runs said, and the trail of who did: by the rules of whoever keeps the record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import structs

from penstock.kernel.evidence import CallRecords, Via
from penstock.kernel.journal import RunInfo, StepInfo
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal


class Opening:
    """Asks the record. A house without one keeps no prompts and replies elsewhere either, and has no rule for them."""

    def __init__(self, records: Callable[[], CallRecords | None]) -> None:
        self._records = records

    @classmethod
    def of(cls, ports: Ports) -> Opening:
        """By what the house has."""
        return cls(lambda: ports.find(CallRecords))

    def may(self, reader: Principal) -> bool:
        """Whether this reader may see what was said in what they see at all."""
        records = self._records()
        return records is None or records.may_open(reader)

    async def opened(self, reader: Principal, what: str, organisation: str, via: Via, kind: Literal["call", "run"] = "call") -> None:
        """To be said before anything of it is shown. Raises `Forbidden` for who may not, `StorageError` where it cannot be written down."""
        records = self._records()
        if records is not None:
            await records.opened(reader, what, organisation, via, kind)

    async def opened_run(self, reader: Principal, run: RunInfo, via: Via) -> None:
        """The same for what a run was given and gave."""
        await self.opened(reader, run.id, run.organisation, via, "run")


def closed(step: StepInfo) -> StepInfo:
    """The step without what it gave: what happened, and not what was said."""
    return structs.replace(step, output=None)
