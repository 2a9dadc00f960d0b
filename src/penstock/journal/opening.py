"""Who may see what runs were given and gave. They hold prompts and replies, so what is asked of whoever opens those is asked here too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from penstock.kernel.errors import NotFound, StepFailed
from penstock.kernel.evidence import CallRecords, Via
from penstock.kernel.journal import Journal, RunInfo, RunState, StepInfo
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal


class Opening:
    """``records`` finds who keeps the trail; a house without keeps no prompts and replies elsewhere either, and has no rule for them."""

    def __init__(self, records: Callable[[], CallRecords | None]) -> None:
        self._records = records

    def may(self, reader: Principal) -> bool:
        """Whether this reader may see what the runs that they see were given and gave."""
        records = self._records()
        return records is None or records.may_open(reader)

    async def opened(self, reader: Principal, run: RunInfo, via: Via) -> None:
        """To be said before anything of it is shown. Raises `Forbidden` for who may not, `StorageError` where it cannot be written down."""
        records = self._records()
        if records is not None:
            await records.opened(reader, run.id, run.organisation, via, "run")


def opening(ports: Ports) -> Opening:
    """By what the house has."""
    return Opening(lambda: ports.find(CallRecords))


async def returned(journal: Journal, reach: str | None, run: RunInfo) -> Any:
    """What a run that is done returned; None for another."""
    if run.state is not RunState.DONE:
        return None
    try:
        return await journal.result(reach, run.id, 10.0)
    except (StepFailed, NotFound, TimeoutError):  # it was resumed or taken away meanwhile
        return None


def closed(step: StepInfo) -> StepInfo:
    """The step without what it gave: what happened, and not what was said."""
    return structs.replace(step, output=None)
