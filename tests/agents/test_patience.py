from __future__ import annotations

import pytest

from penstock.agents.patience import FAILURES, LONGEST_PAUSE, pause_of


@pytest.mark.parametrize(
    ("failures", "told", "pause"),
    [(1, 0.0, 1.0), (3, 0.0, 4.0), (7, 0.0, LONGEST_PAUSE), (1, 90.0, 90.0), (FAILURES, 0.0, None), (1, None, None)],
)
def test_the_pause_grows_and_what_is_told_is_waited_for(failures: int, told: float | None, pause: float | None) -> None:
    assert pause_of(failures, told) == pause
