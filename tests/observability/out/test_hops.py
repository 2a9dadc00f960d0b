from __future__ import annotations

import msgspec
import pytest

from penstock.observability.out.hops import HOPS, MOST_HOPS, hops, one_more


def test_each_sending_on_counts() -> None:
    resource = ""
    for sent in range(4):
        assert hops(resource) == sent
        resource = one_more(resource)
    assert msgspec.json.decode(one_more('{"a":1}')) == {"a": 1, HOPS: 1}


@pytest.mark.parametrize("told", ['"many"', "-1", "null", "1.5"])
def test_what_is_no_count_has_been_sent_on_enough(told: str) -> None:
    assert hops(f'{{"{HOPS}":{told}}}') == MOST_HOPS
