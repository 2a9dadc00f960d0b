from __future__ import annotations

import pytest

from penstock.kernel.errors import RequestError
from penstock.storage.telemetry.questions import Filter


@pytest.mark.parametrize("name", ["attributes", "start_ns", "organisation; DROP TABLE spans", ""])
def test_only_dimensions_can_be_asked_by(name: str) -> None:
    with pytest.raises(RequestError, match="asked by"):
        Filter(equal={name: ("x",)})
    with pytest.raises(RequestError, match="asked by"):
        Filter(unequal={name: ("x",)})


def test_known_dimensions_are_taken() -> None:
    assert Filter(equal={"model": ("a", "b")}, unequal={"status": ("ok",)}).equal == {"model": ("a", "b")}
