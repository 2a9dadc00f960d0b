"""What runs returned."""

from __future__ import annotations

from typing import Any

from penstock.kernel.errors import NotFound, StepFailed
from penstock.kernel.journal import Journal, RunInfo, RunState


async def returned(journal: Journal, reach: str | None, run: RunInfo) -> Any:
    """What a run that is done returned; None for another."""
    if run.state is not RunState.DONE:
        return None
    try:
        return await journal.result(reach, run.id, 10.0)
    except (StepFailed, NotFound, TimeoutError):  # it was resumed or taken away meanwhile
        return None
