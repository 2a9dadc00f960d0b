from __future__ import annotations

import re
import subprocess
import sys
import time

from penstock.kernel.ids import new_id, new_span_id, new_trace


def test_an_id_begins_with_its_moment_and_no_two_are_the_same() -> None:
    before = time.time_ns() // 1_000_000
    made = [new_id("call") for _ in range(10_000)]
    after = time.time_ns() // 1_000_000
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"call_[0-9a-f]{32}", id) for id in made)
    moments = [int(id[5:17], 16) for id in made]
    assert moments == sorted(moments)
    assert before <= moments[0] <= moments[-1] <= after


def test_traces_and_spans_are_valid_in_w3c_terms() -> None:
    for _ in range(1000):
        trace, span = new_trace()
        assert re.fullmatch(r"(?!0+$)[0-9a-f]{32}", trace)
        assert re.fullmatch(r"(?!0+$)[0-9a-f]{16}", span)
        assert re.fullmatch(r"(?!0+$)[0-9a-f]{16}", new_span_id())


FORK = """
import os
from penstock.kernel.ids import new_span_id
child = os.fork()
os.write(1, f"{new_span_id()}\\n".encode())  # at once, whatever the buffering
if child:
    os.waitpid(child, 0)
"""


def test_a_forked_process_makes_ids_of_its_own() -> None:
    # In a process of its own: a test's has threads, which a fork does not take along.
    found = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True).stdout.split()
    assert len(found) == len(set(found)) == 2
