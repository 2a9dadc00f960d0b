"""The doctor's look at the store of spans: where it is, whether what waits is being stored, whether something was set aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.kernel.capability import Check, Finding
from penstock.storage.telemetry.questions import Condition
from penstock.storage.telemetry.store import TelemetryStore

LATE_SECONDS = 600.0
"""How long a batch may wait: many times what an engine leaves it when nobody asks."""

_NAME = "spans"


def check(store: Callable[[], TelemetryStore | None]) -> Check:
    """A check of the store that there is, if there is one."""

    async def look() -> Sequence[Finding]:
        here = store()
        if here is None:
            what = "none are kept; pip install 'penstock[telemetry]' keeps them, unless storage.telemetry says \"off\""
            return [Finding(name=_NAME, status="off", what=what)]
        return found(await here.examine())

    return look


def found(condition: Condition) -> Sequence[Finding]:
    """What is to be said of a store in this condition."""
    kept = f"{condition.where}: {_size(condition.bytes)}"
    if condition.waiting:
        since = f"the oldest for {condition.waiting_seconds / 60:.0f} min"
        kept += f", {condition.waiting} {'batch waits' if condition.waiting == 1 else 'batches wait'} to be stored, {since}"
    late = condition.waiting_seconds > LATE_SECONDS
    mend = "they are stored while `penstock up` runs; if it does, look for `penstock.telemetry` in its log" if late else None
    findings = [Finding(name=_NAME, status="warn" if late else "ok", what=kept, mend=mend)]
    if condition.set_aside:
        files = f"{condition.where}/inbox/*.unreadable"
        what = f"{condition.set_aside} of the batches could not be stored and were set aside"
        findings.append(Finding(name=_NAME, status="warn", what=what, mend=f"look at {files}; delete what nobody needs"))
    return findings


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
