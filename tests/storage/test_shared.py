"""Counters in shared memory: processes that really run at once, full sets, dead workers."""

from __future__ import annotations

import os
import subprocess
import sys

from penstock.storage.shared import SETS, WAYS, SharedCounters, shared_memory

PROCESSES = 3
HAMMER = """
import sys
from penstock.storage.shared import SharedCounters
handle, index, workers = map(int, sys.argv[1:])
counters = SharedCounters(handle, index, workers)
granted = entered = 0
for n in range(3000):
    granted += counters.take("rate", 1, 1, burst=4000) == 0
    if counters.enter("slots", 1000):
        entered += 1
print(granted, entered)
"""


def test_processes_at_once_get_the_limit_and_no_more() -> None:
    handle = shared_memory(PROCESSES)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(handle), str(index), str(PROCESSES)],
            stdout=subprocess.PIPE,
            pass_fds=(handle,),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for index in range(PROCESSES)
    ]
    counts = [tuple(map(int, process.communicate()[0].split())) for process in running]
    assert sum(granted for granted, _ in counts) == 4000
    assert sum(entered for _, entered in counts) == 1000
    mine = SharedCounters(handle, 0, PROCESSES)
    assert mine.occupied("slots") == 1000
    # They ended without leaving; the supervisor frees what each had.
    for index, (_, entered) in enumerate(counts):
        before = mine.occupied("slots")
        mine.free(index)
        assert mine.occupied("slots") == before - entered
    mine.close()
    os.close(handle)


def test_full_buckets_make_room_and_a_full_set_forgets_the_one_that_is_nearly_full() -> None:
    now = 1000.0
    handle = shared_memory(1)
    counters = SharedCounters(handle, 0, 1, lambda: now)
    keys = 3 * SETS * WAYS // 2
    for n in range(keys):
        assert counters.take(f"key {n}", 1, 60) == 0
    assert 0 < counters.forgotten < keys
    before = counters.forgotten
    now += 61
    for n in range(1000):
        assert counters.take(f"later {n}", 60, 60) == 0
        assert counters.take(f"later {n}", 1, 60) > 0
    assert counters.forgotten == before
    counters.close()
    os.close(handle)
