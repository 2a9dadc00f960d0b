"""What-ifs judge a policy on traffic that its fit has not seen, and say when the record cannot tell."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec.structs import replace
from tests.routing.simulated import CHEAP, DEAR, SETTINGS, directions, drawn, first, material, outcome, policy, task

from penstock.kernel.evidence import Outcome
from penstock.routing.trial import tried
from penstock.routing.whatif import what_if

SHELL = policy(state="fitting", kind=None, chosen=None)


def lived(n: int, explored: float, *, at: float = 5.0, rates: Any = None) -> list[Outcome]:
    """Calls that the dear one served, all judged, some put to the cheap one as well."""
    rng, found = np.random.default_rng(7), list[Outcome]()
    rates = rates or {CHEAP: 0.9, DEAR: 0.95}
    for number in range(n):
        known: dict[str, Any] = {"at": at, "prompt": f"live {number}"}
        found.append(outcome(f"call_{number}", DEAR, float(rng.random() < rates[DEAR]), source="live", **known))
        if rng.random() < explored:
            shadow = {"source": "shadow", "propensity": explored}
            found.append(outcome(f"call_{number}", CHEAP, float(rng.random() < rates[CHEAP]), **shadow, **known))
    return found


def held(traffic: list[Outcome], of: Any = None, **more: Any) -> Any:
    return material(of or task(), [*drawn({CHEAP: 0.95, DEAR: 0.97}, 300), *traffic], **more)


def test_what_the_evidence_supports_is_replayed() -> None:
    found = what_if(held(lived(800, 0.5)), SHELL, None, None, SETTINGS)
    assert (found.supported, found.policy.chosen) == (True, CHEAP)
    assert found.then is not None
    assert found.then.low is not None
    assert found.then.high is not None
    assert found.then.low <= 0.9 <= found.then.high
    assert found.now.quality is not None
    assert (found.then.cost, found.now.cost) == (10.0, 1000.0)
    assert "it got" in found.why
    assert found.then.calls < 800  # those that fitted do not judge


def test_a_floor_that_nothing_meets_supports_nothing() -> None:
    of = task(floor=replace(task().floor, level=0.999))  # type: ignore[type-var]
    found = what_if(held(lived(100, 0.5), of), SHELL, None, None, SETTINGS)
    assert (found.supported, found.then) == (False, None)
    assert "cannot certify" in found.why


def test_without_exploration_the_record_cannot_tell() -> None:
    found = what_if(held(lived(400, 0.0)), SHELL, None, None, SETTINGS)
    assert found.then is not None
    assert (found.then.enough, found.then.quality) == (False, None)
    assert "overlap is too small" in found.why
    nothing = what_if(held([]), SHELL, None, None, SETTINGS)
    assert nothing.then is not None
    assert (nothing.then.calls, nothing.now.calls) == (0, 0)


def test_calls_served_by_who_has_left_the_task_are_left_out() -> None:
    gone = [outcome(f"call_g{n}", "gone/model", 1.0, source="live", prompt=f"gone {n}") for n in range(100)]
    assert what_if(held(gone), SHELL, None, None, SETTINGS).now.calls == 0


def test_a_stored_policy_of_a_later_series_is_judged_on_what_came_after_its_fit() -> None:
    stored = policy(series=2, since=4.0, chosen=CHEAP, quality=0.9, cost=10.0)
    assert what_if(held(lived(60, 1.0, at=5.0)), SHELL, stored, None, SETTINGS).now.calls == 60
    assert what_if(held(lived(60, 1.0, at=4.0)), SHELL, stored, None, SETTINGS).now.calls == 0
    first_series = policy(series=1, fitted_until=4.0)
    assert what_if(held(lived(60, 1.0, at=5.0)), SHELL, first_series, None, SETTINGS).now.calls == 60
    assert 10 < what_if(held(lived(60, 1.0, at=4.0)), SHELL, first_series, None, SETTINGS).now.calls < 50


def test_a_router_is_replayed_with_its_arrays_and_not_without_them() -> None:
    rows = [*drawn({CHEAP: 0.6, DEAR: 0.97}, 300), *lived(300, 0.5)]
    live = list(dict.fromkeys(one.prompt for one in rows if one.source != "evaluation"))
    known = material(task(), rows)
    vectors = directions(len(known.labels))
    known = replace(known, vectors=vectors, embedder="minilm", of_prompt=dict(zip(live, directions(len(live), 3), strict=True)))
    made, packed = tried(SHELL, known, first(), None, SETTINGS)
    assert made.frozen is not None
    router = replace(made, kind="router", state="active", worth=made.frozen.worths[5], fitted_until=1.0)
    found = what_if(known, SHELL, router, packed, SETTINGS).then
    assert found is not None
    assert found.enough
    for arrays, of, said in [
        (b"other", known, "not those that were certified"),
        (packed, replace(known, embedder="another"), "another embedding model"),
        (packed, replace(known, of_prompt={}, unembedded="no embedding model"), "no embedding model"),
    ]:
        told = what_if(of, SHELL, router, arrays, SETTINGS).then
        assert told is not None
        assert (told.enough, told.quality) == (False, None)
        assert said in told.why
