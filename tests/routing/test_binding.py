"""A certificate holds for the models that it was measured on, and for no other that comes under their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.routing.rig import LARGE, SMALL, rig
from tests.routing.simulated import CHEAP, DEAR, policy, task

from penstock.kernel.call import Target
from penstock.kernel.candidates import Traits
from penstock.kernel.errors import UnknownModel
from penstock.kernel.evidence import ClaimSuspended
from penstock.kernel.tasks import Floor
from penstock.routing import patience, store
from penstock.routing.binding import Bindings, Bound, bound_to, moved, of_task, seen, unbound
from penstock.routing.memory import Live, Policies
from penstock.routing.policy import VERSION, WATCH, Policy, claim_of
from penstock.routing.service import bind, suspend
from penstock.storage.records import Records

WAS = {"quick": ("cheap/small", ""), DEAR: (DEAR, "version_1")}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"quick": ("cheap/other", "")}, "quick was cheap/small when it was certified, and is cheap/other now"),
        ({DEAR: (DEAR, "version_2")}, "the registered version version_1 when it was certified, and is version_2 now"),
        ({"quick": ("cheap/small", "version_9")}, None),
        ({DEAR: (DEAR, "")}, None),
        ({}, None),
    ],
    ids=["another model", "another version", "registered since", "registered no more", "leads nowhere"],
)
def test_what_counts_as_another_model(now: dict[str, tuple[str, str]], said: str | None) -> None:
    found = moved(WAS, {**WAS, **now})
    assert found == said if said is None else said in (found or "")


class Names:
    """`Candidates` of two names, one of them an alias."""

    version = 1

    def __init__(self) -> None:
        self.alias = "cheap/small"
        self.version_of = "version_1"

    def resolve(self, name: str) -> Target:
        if name not in ("quick", DEAR):
            raise UnknownModel("no")
        provider, model = (self.alias if name == "quick" else name).split("/")
        return Target(provider, model, name)

    def traits(self, target: Target, organisation: str = "") -> Traits:
        return Traits(place="vendor", version=self.version_of if target.provider == "dear" else "")


def test_names_that_lead_nowhere_are_left_out() -> None:
    assert bound_to(Names(), ("quick", DEAR, "gone"), "o") == WAS


@pytest.mark.parametrize(
    ("terms", "suspended"),
    [
        ({"state": "active"}, True),
        ({"state": "suspended", "changed_by": WATCH}, True),
        ({"state": "suspended", "changed_by": VERSION}, False),
        ({"state": "suspended", "changed_by": "key_1"}, False),
        ({"state": "active", "task": "gone"}, False),
    ],
)
async def test_whose_names_lead_elsewhere_is_suspended(terms: dict[str, str], suspended: bool) -> None:
    names, found = Names(), list[tuple[str, str]]()
    of = task()

    async def suspend(policy: Policy, why: str, by: str) -> None:
        found.append((why, by))

    known = policy(**{"models": WAS, "candidates": ("quick", DEAR), "singles": (DEAR,), "chosen": "quick", **terms})

    async def bind(policy: Policy, models: Bound) -> None:
        raise AssertionError(models)

    bindings = Bindings(lambda: [known], of_task(lambda organisation, name: of if name == of.name else None, names), suspend, bind)
    await bindings.round()
    assert found == []
    names.alias = "cheap/other"
    await bindings.round()
    assert [by for _, by in found] == [VERSION] * suspended


async def test_where_names_lead_is_written_down_at_first_sight_and_holds_from_then_on(records: Records) -> None:
    names, of, policies = Names(), task(), Policies(records, 1.0)
    names.version_of = ""
    terms: dict[str, Any] = {"candidates": ("quick", DEAR), "singles": (DEAR,), "chosen": "quick"}
    await records.write(lambda c: store.add(c, policy(**terms)))
    await policies.fresh.now()

    async def write(policy: Policy, models: Bound) -> None:
        await bind(records, policies, policy.id, models)

    async def end(policy: Policy, why: str, by: str) -> None:
        await suspend(records, policies, policy.id, why, 9.0, by)

    bindings = Bindings(policies.certified, of_task(lambda organisation, name: of, names), end, write)

    async def look() -> Policy:
        await bindings.round()
        (found,) = policies.certified()
        return found

    assert unbound(policies.certified()[0]) == ["quick", DEAR]
    assert (await look()).models == {"quick": ("cheap/small", ""), DEAR: (DEAR, "")}
    names.version_of = "version_1"  # registered, or the registry was not read yet
    found = await look()
    assert (found.state, found.models[DEAR], set(found.presumed)) == ("active", (DEAR, "version_1"), {"quick", DEAR})
    names.version_of = "version_2"
    found = await look()
    assert (found.state, found.changed_by, found.models[DEAR]) == ("suspended", VERSION, (DEAR, "version_1"))


def test_no_more_is_written_down_than_is_missing() -> None:
    known = policy(candidates=("quick", DEAR), singles=(DEAR,), chosen="quick", models={"quick": ("cheap/small", "")})
    assert seen(known, WAS) == {DEAR: WAS[DEAR]}
    assert seen(policy(singles=(), chosen="quick", models=WAS), {DEAR: (DEAR, "version_2"), "quick": ("cheap/other", "v")}) == {}


async def test_one_policy_that_cannot_be_suspended_keeps_no_other() -> None:
    names, found = Names(), list[str]()
    terms: dict[str, Any] = {"models": WAS, "candidates": ("quick", DEAR), "singles": (DEAR,), "chosen": "quick"}

    async def suspend(policy: Policy, why: str, by: str) -> None:
        found.append(policy.id)
        if policy.id == "first":
            raise ValueError("its row cannot be read")

    async def bind(policy: Policy, models: Bound) -> None: ...

    both = [policy(id="first", **terms), policy(id="second", **terms)]
    names.alias = "cheap/other"
    with pytest.raises(ValueError, match="cannot be read"):
        await Bindings(lambda: both, of_task(lambda organisation, name: task(), names), suspend, bind).round()
    assert found == ["first", "second"]


def test_no_call_is_routed_by_it_from_then_on() -> None:
    of = task(candidates=("quick", DEAR))
    claim = claim_of(of)
    live = Live(policy(claim=claim, candidates=("quick", DEAR), models=WAS), None)
    assert live.unusable(of, claim, WAS) is None
    other = {**WAS, "quick": (CHEAP, "")}
    assert live.unusable(of, claim, other) is None  # the same model
    said = live.unusable(of, claim, {**WAS, "quick": ("cheap/other", "")})
    assert "was certified for another model: quick was cheap/small" in (said or "")
    assert live.unusable(of, claim) is None


@pytest.mark.timeout(120)
async def test_an_alias_that_is_turned_suspends_the_claim_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(tmp_path, f'[gateway.models.quick]\ntargets = ["{LARGE}"]\n') as made:
        (life,) = made.house.app.offers["routing"].services
        for name, led in (("turned", SMALL), ("stayed", LARGE)):  # as they were certified when the alias led there
            of = made.task(name, candidates=("quick", LARGE), floor=Floor(level=0.5, kind="absolute"))
            terms: dict[str, Any] = {"organisation": of.organisation, "task": name, "claim": claim_of(of), "floor": of.floor}
            held = policy(
                id=f"policy_{name}", **terms, chosen="quick", candidates=of.candidates, singles=("quick",), models={"quick": (led, "")}
            )
            await made.house.app.store.write(lambda c, held=held: (store.add(c, held), store.bump(c)))
        await life._policies.fresh.now()  # type: ignore[attr-defined]
        told: list[ClaimSuspended] = []
        made.house.app.events.subscribe(ClaimSuspended, told.append)
        why = await made.why(await made.call("hi", "stayed"))
        assert (why["mode"], why["chosen"]) == ("proof", "quick")
        why = await made.why(await made.call("hi", "turned"))
        assert (why["mode"], why["chosen"]) == ("default", LARGE)
        assert "quick was cheap/small" in why["why"]
        base = "/v1/tasks/turned/policies/policy_turned"
        await life._bindings.round()  # type: ignore[attr-defined]
        assert (await made.house.ask("GET", base)).json["state"] == "active"  # it may turn back: not every model was found yet
        monkeypatch.setattr(patience, "SETTLE_SECONDS", 0.0)
        await life._bindings.round()  # type: ignore[attr-defined]
        now = (await made.house.ask("GET", base)).json
        assert (now["state"], now["changed_by"]) == ("suspended", VERSION)
        assert [one.policy for one in told] == ["policy_turned"]
        page = await made.house.ask("GET", "/console/tasks/turned/policies")
        assert "and is dear/large now" in page.text
