"""How a failure is taken decides whether a call is made again."""

from __future__ import annotations

import pytest

from penstock.agents.faults import InDoubt, Permanent, Transient, taken
from penstock.kernel.errors import Forbidden, Unavailable


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        (Transient("busy", after=3.0), ("transient", 3.0)),
        (Transient("busy", after=-1.0), ("transient", 0.0)),
        (Permanent("no"), ("permanent", 0.0)),
        (InDoubt("lost"), ("in_doubt", 0.0)),
        (TimeoutError(), ("in_doubt", 0.0)),
        (ConnectionResetError(), ("in_doubt", 0.0)),
        (ConnectionRefusedError(), ("transient", 0.0)),
        (Unavailable("later", retry_after=2.0), ("transient", 2.0)),
        (Forbidden("never"), ("permanent", 0.0)),
        (ValueError("a fault of the tool"), ("permanent", 0.0)),
    ],
)
def test_taken(fault: Exception, how: tuple[str, float]) -> None:
    assert taken(fault) == how
