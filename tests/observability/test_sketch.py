from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.observability.sketch import RELATIVE_ERROR, Sketch, exact

FRACTIONS = (0.01, 0.5, 0.95, 0.99, 1.0)
times = st.lists(st.floats(min_value=0.001, max_value=1e8), min_size=1, max_size=200)


def sketch_of(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


@given(times)
def test_a_percentile_is_within_the_promised_error(values: list[float]) -> None:
    for estimate, truth in zip(sketch_of(values).percentiles(FRACTIONS), exact(list(values), FRACTIONS), strict=True):
        assert estimate is not None
        assert truth is not None
        assert abs(estimate - truth) <= truth * RELATIVE_ERROR * 1.0001


@given(times, times)
def test_merging_is_the_same_as_seeing_all(left: list[float], right: list[float]) -> None:
    merged = Sketch()
    merged.merge(sketch_of(left).encode())
    merged.merge(sketch_of(right).encode())
    both = sketch_of(left + right)
    assert (merged.counts, merged.total) == (both.counts, both.total)


def test_nothing_has_no_percentiles() -> None:
    empty = Sketch()
    empty.merge("")
    assert empty.percentiles((0.5, 0.9)) == [None, None] == exact([], (0.5, 0.9))
    assert empty.encode() == ""


def test_zero_counts_as_the_least_time() -> None:
    (found,) = sketch_of([0.0]).percentiles((0.5,))
    assert found is not None
    assert 0 < found < 0.00102
