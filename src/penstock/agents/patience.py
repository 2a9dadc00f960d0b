"""How long runs go on asking where an answer does not come, or cannot be written down."""

from __future__ import annotations

from penstock.kernel.journal import Retry

PATIENT = Retry(attempts=5, first_seconds=0.2)
"""For a step whose writing down failed; the call itself has a policy of its own."""
FAILURES = 8
"""Questions in a row that may fail before the run does; between them it waits as long as it is told, or 1, 2, 4 ... seconds."""
LONGEST_PAUSE = 60.0


def pause_of(failures: int, told: float | None) -> float | None:
    """How many seconds to wait after so many ``failures`` in a row, at least as long as ``told``; None where it is not asked again."""
    if told is None or failures >= FAILURES:
        return None
    return max(told, min(LONGEST_PAUSE, 2.0 ** (failures - 1)))
