"""The cycle collector of processes that hold much and make few cycles."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Generator


@contextlib.contextmanager
def resting_collector() -> Generator[None]:
    """Have the cycle collector rest until `spare_collector`, or until the block ends, as by a fault: modules that are loaded make no
    garbage, and it would look at all of them again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def spare_collector() -> None:
    """Keep the cycle collector from what will stay anyway; once everything is loaded.

    What exists at the start lives as long as the process and is looked at no more. The default thresholds suit programs that hold
    little: calls in flight and records that wait hold tens of thousands of containers, and walking them again and again took 35 to
    70 us of a call in the process that serves, and 8 in the one that writes calls down. Calls leave no cycles behind, so rarer
    collections cost little memory.
    """
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
