from __future__ import annotations

import subprocess
import sys

CHECK = """
import gc
from penstock.collector import resting_collector, spare_collector
before = gc.get_threshold()
assert gc.get_freeze_count() == 0
try:
    with resting_collector():
        assert not gc.isenabled()
        raise LookupError
except LookupError:
    pass
assert gc.isenabled()
with resting_collector():
    spare_collector()
    assert gc.isenabled()
assert gc.get_freeze_count() > 1000
assert all(now > then for now, then in zip(gc.get_threshold(), before))
cycle = []
cycle.append(cycle)
del cycle
assert gc.collect() == 1
"""


def test_it_rests_while_all_is_loaded_and_what_stays_is_looked_at_no_more_and_cycles_are_still_found() -> None:
    subprocess.run([sys.executable, "-c", CHECK], check=True)
