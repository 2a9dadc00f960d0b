"""One attempt after another: no label fits and certifies, none certifies two claims, and all attempts together claim as promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.routing.simulated import CHEAP, DEAR, SETTINGS, directions, drawn, first, material, policy, task

from penstock.kernel.tasks import Floor
from penstock.routing.policy import Policy, claim_of
from penstock.routing.series import Attempt, next_attempt
from penstock.routing.trial import parts, tried

SHELL = policy(state="fitting", kind=None, chosen=None)


def test_certifying_again_and_again_never_spends_more_than_alpha() -> None:
    """Both candidates are exactly at the edge, where every claim is false; labels come in, and one asks again after each lot."""
    of = task(floor=Floor(level=0.8, kind="absolute", confidence=0.8))
    lots, size, claimed, careless = 6, 50, 0, 0
    whole = material(of, [one for k in range(lots) for one in drawn({CHEAP: 1.0, DEAR: 1.0}, size, seed=k, at=k + 1.0)])
    for run in range(60):
        scores = (np.random.default_rng(run).random((lots * size, 2)) < 0.7999).astype(float)
        before: list[Policy] = []
        false = naive = False
        for lot in range(1, lots + 1):
            known = replace(whole.labels, scores=scores).part(whole.labels.at <= lot)
            attempt = next_attempt(before, claim_of(of), of.candidates, 0.8)
            done, _ = tried(SHELL, replace(whole, labels=known), attempt, None, SETTINGS)
            assert (done.attempt, done.series) == (lot, 1)
            naive |= tried(SHELL, replace(whole, labels=known), replace(attempt, alpha=0.2), None, SETTINGS)[0].state == "active"
            before.insert(0, done)
            if done.state == "active":
                false = True
                break
        claimed += false
        careless += naive
    assert claimed <= 21  # 20 % of 60 is 12; more than 21 come by chance once in 400
    assert careless > claimed  # the whole of alpha each time claims more, and would be seen here


@examples(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["refused", "active", "claim", "candidates", "failed"]), min_size=1, max_size=8), st.randoms())
def test_no_label_fits_and_certifies_and_none_certifies_two_claims(story: list[str], random: Any) -> None:
    of, claim, names = task(), "claim-0", (CHEAP, DEAR)
    now, before = 0.0, list[Policy]()
    fitted: dict[int, set[str]] = {}
    certified: dict[int, set[str]] = {}
    spent: dict[int, float] = {}
    outcomes: list[Any] = []
    for step, what in enumerate(story):
        now += 1
        outcomes += drawn(dict.fromkeys(names, 1.0), random.randint(0, 12), seed=step, at=now)
        held = material(replace(of, candidates=names), outcomes)
        attempt = next_attempt(before, claim, names, 0.95)
        fits, proves = parts(held, attempt, 0.5)
        series = attempt.series
        spent[series] = spent.get(series, 0.0) + attempt.alpha
        if attempt.again is None:
            fitted[series] = {p for p, taken in zip(held.labels.prompts, fits, strict=True) if taken}
        proven = {p for p, taken in zip(held.labels.prompts, proves, strict=True) if taken}
        certified.setdefault(series, set()).update(proven)
        assert not proven & fitted[series]
        done, _ = tried(SHELL, held, attempt, None, SETTINGS)
        state = {"active": "active", "failed": "failed"}.get(what, "refused")
        if state == "failed":
            spent[series] -= attempt.alpha  # nothing came out, so nothing was claimed
        before.insert(0, replace(done, claim=claim, state=state))
        if what == "claim":
            claim = f"claim-{step + 1}"
        if what == "candidates":
            names = (*names, f"more/model-{step}")
            # The new one is judged on the prompts that there are, which does not make them fresh.
            outcomes += [replace(one, candidate=names[-1], at=now + 0.5) for one in outcomes if one.candidate == DEAR]
    rest = list(certified.values())
    for at, one in enumerate(rest):
        assert not any(one & other for other in rest[at + 1 :])
    assert all(alpha <= 0.05 + 1e-9 for alpha in spent.values())


def test_a_refused_claim_is_tried_again_with_its_own_fit() -> None:
    of = task()
    rows = drawn({CHEAP: 0.81, DEAR: 0.82}, 160)
    vectors = directions(400)
    held = material(of, rows, vectors[:160])
    done, packed = tried(SHELL, held, first(), None, SETTINGS)
    assert (done.state, bool(done.digest)) == ("refused", True)
    more = material(of, rows + drawn({CHEAP: 1.0, DEAR: 1.0}, 240, at=2.0), vectors)
    attempt = next_attempt([done], claim_of(of), of.candidates, 0.95)
    assert attempt.again is done
    after, _ = tried(SHELL, more, attempt, packed, SETTINGS)
    assert (after.frozen, after.fitted_on, after.fitted_until) == (done.frozen, done.fitted_on, done.fitted_until)
    assert (after.attempt, after.state) == (2, "active")
    assert "attempt 2 of series 1" in after.why


def test_another_embedding_model_leaves_what_was_fitted_by_prompt_alone() -> None:
    of = task()
    rows = drawn({CHEAP: 0.81, DEAR: 0.82}, 160)
    done, packed = tried(SHELL, material(of, rows, directions(160)), first(), None, SETTINGS)
    attempt = next_attempt([done], claim_of(of), of.candidates, 0.95)
    other = material(of, rows, directions(160, size=5), embedder="another")
    after, _ = tried(SHELL, other, attempt, packed, SETTINGS)
    assert [one.kind for one in after.considered] == ["single"]


def test_a_new_series_without_fresh_labels_says_so() -> None:
    of = task()
    held = material(of, drawn({CHEAP: 0.9, DEAR: 0.95}, 200), directions(200))
    attempt = Attempt(series=2, number=1, alpha=0.03, since=5.0)
    done, _ = tried(SHELL, held, attempt, None, SETTINGS)
    assert (done.state, done.labels, done.fitted_on) == ("refused", 0, 200)
    assert "no label is newer than those that have certified before: judge fresh prompts" in done.why


def test_nothing_at_all_is_refused_with_words() -> None:
    done, packed = tried(SHELL, material(task(), []), first(), None, SETTINGS)
    assert (done.state, done.kind, packed) == ("refused", None, None)
    assert "there are no labels" in done.why


def test_what_came_out_is_written_down() -> None:
    of = task()
    held = material(of, drawn({CHEAP: 0.97, DEAR: 0.99}, 300), left_out={"gone/model": "no known price"}, unembedded="no model")
    done, packed = tried(SHELL, held, first(0.04), None, SETTINGS)
    assert (done.state, done.kind, done.chosen, done.alpha, packed) == ("active", "single", CHEAP, 0.04, None)
    assert (done.claim, done.until, done.fitted_until, done.evidence) == (claim_of(of), 1.0, 1.0, held.labels.digest)
    assert done.labels + done.fitted_on == 300
    assert done.cost == 10.0
    assert done.quality == pytest.approx(0.97, abs=0.03)
    assert "gone/model has no part in it: no known price" in done.why
    assert "no model" in done.why


def test_a_policy_is_bound_to_the_models_that_it_serves_by_and_a_refusal_to_all() -> None:
    of = task(candidates=(CHEAP, DEAR, "spare/one"))
    models = {name: (name, "") for name in of.candidates}
    known = drawn({CHEAP: 0.97, DEAR: 0.99, "spare/one": 0.3}, 300)
    made, _ = tried(SHELL, material(of, known, models=models), first(), None, SETTINGS)
    assert (made.kind, made.chosen, sorted(made.models)) == ("single", CHEAP, [CHEAP, DEAR])
    refused, _ = tried(SHELL, material(of, drawn(dict.fromkeys(of.candidates, 0.3), 300), models=models), first(), None, SETTINGS)
    assert (refused.state, sorted(refused.models)) == ("refused", sorted(models))


def test_without_older_labels_the_fresh_ones_are_parted() -> None:
    of = task()
    known = material(of, drawn({CHEAP: 0.97, DEAR: 0.99}, 300, at=9.0))
    fits, proves = parts(known, Attempt(series=2, number=1, alpha=0.05, since=5.0), 0.5)
    assert fits.any()
    assert (fits != proves).all()
