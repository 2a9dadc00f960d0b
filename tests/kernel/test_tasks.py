from __future__ import annotations

import pytest

from penstock.kernel.tasks import Floor


@pytest.mark.parametrize("level", [0, -0.1, 1.01, float("nan")])
def test_a_floor_that_no_score_or_every_score_reaches_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="a floor's level lies above 0 and at most at 1"):
        Floor(level=level)


@pytest.mark.parametrize("confidence", [0, 1, 1.5, float("nan")])
def test_a_confidence_that_nothing_reaches_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="a confidence lies between 0 and 1"):
        Floor(level=0.9, confidence=confidence)
