from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.storage.telemetry.sketch import LAST, PACKED, bucket_of, bucket_sql, milliseconds, quantiles


@given(st.integers(1000, 10**16))
def test_a_bucket_stands_for_its_durations_within_one_per_cent(nanoseconds: int) -> None:
    assert milliseconds(bucket_of(nanoseconds)) == pytest.approx(nanoseconds / 1e6, rel=0.0105)


def test_the_ends_are_buckets_too() -> None:
    assert (bucket_of(0), bucket_of(999), bucket_of(1000)) == (0, 0, 1)
    assert bucket_of(2**63) < LAST
    assert milliseconds(0) == 0.0
    assert milliseconds(None) is None


def test_the_engine_counts_in_the_same_buckets() -> None:
    duckdb = pytest.importorskip("duckdb")
    values = [None, 0, 999, 1000, 1001, 123_456, 10**9, 7 * 10**9 + 1, 10**15]
    with duckdb.connect() as con:
        rows = con.execute(f"SELECT {bucket_sql('x')}::USMALLINT FROM (SELECT unnest(?) AS x)", [values]).fetchall()
    assert [row[0] for row in rows] == [None if value is None else bucket_of(value) for value in values]


@given(st.dictionaries(st.integers(0, 3000), st.integers(1, 50), max_size=40), st.integers(1, 100))
def test_quantiles_of_counts_are_those_of_the_buckets_written_out(counts: dict[int, int], percent: int) -> None:
    written = sorted(bucket for bucket, count in counts.items() for _ in range(count))
    found = quantiles([bucket * PACKED + count for bucket, count in counts.items()], [percent])
    assert found == [milliseconds(written[-(-len(written) * percent // 100) - 1]) if written else None]
