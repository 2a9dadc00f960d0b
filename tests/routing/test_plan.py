from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.routing.choice import pick
from penstock.routing.plan import worthiest

_few = st.sampled_from((0.0, 0.25, 0.5, 0.75, 1.0))


@given(st.lists(st.tuples(_few, st.sampled_from((1.0, 2.0, 3.0))), min_size=1, max_size=20), st.sampled_from((0.0, 1.0, 4.0, 50.0)))
def test_the_line_picks_as_the_certificate_did(rows: list[tuple[float, float]], worth: float) -> None:
    chances, costs = zip(*rows, strict=True)
    picked = worthiest({f"m{k}": chance for k, chance in enumerate(chances)}, costs, worth)
    assert picked == f"m{int(pick(np.array(chances), np.array(costs), worth))}"
