"""What is said of a task's certificate agrees with what calls are routed by."""

from __future__ import annotations

from typing import Any

from tests.routing.simulated import CHEAP, DEAR, policy, task

from penstock.kernel.tasks import Task
from penstock.routing import store
from penstock.routing.binding import Bound
from penstock.routing.memory import Policies
from penstock.routing.policy import claim_of
from penstock.routing.readiness import Readiness
from penstock.storage.records import Records

OF = task(mode="route")
MODELS = {CHEAP: (CHEAP, ""), DEAR: (DEAR, "v1")}


async def found(records: Records, now: Bound, **terms: Any) -> list[tuple[str, str, str]]:
    policies = Policies(records, 1.0)
    await records.write(lambda c: store.add(c, policy(**{"claim": claim_of(OF), "models": MODELS, **terms})))
    await policies.fresh.now()

    def models(of: Task) -> Bound:
        return now

    said = await Readiness(policies, lambda: object(), models).check(OF)  # type: ignore[arg-type,return-value]
    return [(one.name, one.status, one.what) for one in said]


async def test_a_policy_of_another_model_does_not_hold_the_floor(records: Records) -> None:
    ((name, status, what),) = await found(records, {**MODELS, CHEAP: ("cheap/other", "")})
    assert (name, status) == ("certificate", "fail")
    assert "certified for another model" in what


async def test_one_that_serves_is_told_with_what_it_does_not_say_of_its_models(records: Records) -> None:
    ((_, status, _),) = await found(records, MODELS)
    assert status == "ok"


async def test_one_that_says_nothing_of_its_models_is_told(records: Records) -> None:
    (_, (name, status, what)) = await found(records, MODELS, models={DEAR: MODELS[DEAR]})
    assert (name, status, CHEAP in what, DEAR in what) == ("models", "warn", True, False)


async def test_one_whose_models_were_written_down_later_is_told(records: Records) -> None:
    (_, (name, status, what)) = await found(records, MODELS, presumed=(CHEAP,))
    assert (name, status, "certify anew to be sure" in what) == ("models", "warn", True)
