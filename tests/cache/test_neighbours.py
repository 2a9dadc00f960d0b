from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.cache.neighbours import NOTHING_NEAR, Neighbours, score


def unit(seed: int, width: int = 6) -> bytes:
    vector = np.random.default_rng(seed).normal(size=width).astype(np.float32)
    return (vector / np.linalg.norm(vector)).tobytes()


def answer(key: bytes) -> bytes:
    return b"even" if int(key) % 2 == 0 else b"odd"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=60), st.integers(100, 120))
def test_the_nearest_is_what_looking_at_each_finds(steps: list[tuple[bool, int]], asked: int) -> None:
    near, held = Neighbours(6), {}
    for add, number in steps:
        key = str(number).encode()
        if add:
            near.add(key, unit(number), answer(key))
            held[key] = unit(number)
        else:
            near.remove(key)
            held.pop(key, None)
    assert len(near) == len(held)
    if held:
        key, cosine, other = near.nearest(unit(asked))
        cosines = {k: float(np.frombuffer(v, np.float32) @ np.frombuffer(unit(asked), np.float32)) for k, v in held.items()}
        assert abs(cosine - max(cosines.values())) < 1e-6
        assert abs(cosines[key] - cosine) < 1e-6
        others = [cosine for k, cosine in cosines.items() if answer(k) != answer(key)]
        assert abs(other - max(others, default=0.0)) < 1e-6


def test_the_oldest_is_the_one_that_came_first_and_other_lengths_stay_out() -> None:
    near = Neighbours(6)
    for number in range(20):
        near.add(str(number).encode(), unit(number))
    near.remove(b"0")
    assert near.oldest() == b"1"
    near.add(b"short", unit(1, width=3))
    assert len(near) == 19


def test_a_lead_counts_and_an_empty_neighbourhood_is_no_certainty() -> None:
    assert score(0.9, 0.89) < score(0.9, 0.7) < score(0.95, 0.7)
    assert score(0.9, 0.0) == score(0.9, NOTHING_NEAR)
