from __future__ import annotations

from typing import Any

import pytest

from penstock.agents.inbox.model import Need, Proposal, Quorum, Sum, both
from penstock.agents.inbox.policies import Policies
from penstock.agents.inbox.policy import Policy, Rule, check
from penstock.agents.tools import Amount
from penstock.kernel.errors import RequestError


def call(**terms: Any) -> Proposal:
    given: dict[str, Any] = {"tool": "pay", "effect": "irreversible", "agent": "desk", **terms}
    return Proposal(run="r", organisation="org", call="r/call/1", arguments={}, **given)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"tools": ("pa*",)}, True),
        ({"tools": ("send",)}, False),
        ({"agents": ("desk",), "owners": ("finance",)}, True),
        ({"owners": ("sales",)}, False),
        ({"effects": ("write",)}, False),
        ({"labels": ("untrusted", "x")}, True),
        ({"argument_labels": ("untrusted",)}, False),
        ({"unit": "EUR", "above": 50}, False),
        ({"unit": "EUR", "above": 49.9}, True),
        ({"unit": "EUR", "at_most": 50}, True),
        ({"unit": "USD", "above": 1000}, True),  # what cannot be compared is above every bound
        ({"unit": "USD", "at_most": 1000}, False),  # and within none
    ],
)
def test_a_rule_fits_what_it_names(rule: dict[str, Any], fits: bool) -> None:
    proposed = call(owner="finance", labels=("untrusted",), amount=Sum(50.0, "EUR"))
    assert Rule(name="r", **rule).fits(proposed) is fits


@pytest.mark.parametrize("given", ["12", None, True, float("nan"), float("inf"), [1]])
def test_an_amount_that_is_no_number_is_above_every_bound(given: object) -> None:
    amount = Amount("cents", unit="EUR", per=100).read({"cents": given})
    assert Rule(name="r", unit="EUR", above=1e12).fits(call(amount=amount))
    assert not Rule(name="r", unit="EUR", at_most=1e12).fits(call(amount=amount))
    assert Amount("cents", unit_argument="in", per=100).read({"cents": -500, "in": "EUR"}) == Sum(5.0, "EUR")


def test_the_first_that_fits_or_all_of_them() -> None:
    rules = (Rule(name="a", people=1, expires_seconds=10), Rule(name="b", validators=("v",), valid_seconds=5), Rule(name="c", tools=("x",)))
    first, strictest = Policy(rules=rules).need(call()), Policy(rules=rules, match="strictest").need(call())
    assert first is not None
    assert strictest is not None
    assert (first.rules, first.validators) == (("a",), ())
    assert (strictest.rules, strictest.validators, len(strictest.quorums)) == (("a", "b"), ("v",), 1)
    assert (strictest.expires, strictest.valid) == (10, 5)
    assert Policy().need(call()) is None


def test_what_satisfies_more_satisfies_less() -> None:
    two, one = Need(quorums=(Quorum(people=2),)), Need(quorums=(Quorum(people=1),))
    assert two.covers(one)
    assert not one.covers(two)
    assert not one.covers(Need(refused=True))
    assert not Need(quorums=(Quorum(by=("anyone",)),)).covers(one)
    assert both(two, Need()) == two
    assert "2 people" in two.told()


@pytest.mark.parametrize(
    "rule",
    [
        {"above": 5.0},
        {"people": 1, "by": ("nobody",)},
        {"people": 1, "by": ()},
        {"validators": ("unknown",)},
        {"people": 1, "escalate_seconds": 5.0},
        {"refuse": True, "people": 1},
    ],
)
def test_a_policy_that_cannot_mean_what_it_says_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"policy\.rules\.0"):
        check(Policy(rules=(Rule(name="r", **rule),)), ())
    with pytest.raises(RequestError, match="one name"):
        check(Policy(rules=(Rule(name="r"), Rule(name="r"))), ())


def test_nobody_gets_below_the_settings_and_irreversible_calls_need_a_person() -> None:
    class Stored(Policies):
        stored = Policy()

        def current(self, connection: Any, organisation: str) -> Any:
            from penstock.agents.inbox.policy import PolicyVersion

            return PolicyVersion(organisation=organisation, version=1, policy=self.stored)

    nothing: Any = None
    policies = Stored(Policy(rules=(Rule(name="much", unit="EUR", above=100, people=2),)), lambda: "org")
    assert policies.needs(nothing, call()).need.quorums == (Quorum(people=1),)
    assert policies.needs(nothing, call(effect="write")).need.nothing
    policies.stored = Policy(rules=(Rule(name="anything goes"),))
    assert policies.needs(nothing, call()).need.nothing
    assert policies.needs(nothing, call(amount=Sum(101.0, "EUR"))).need.quorums == (Quorum(people=2),)
    elsewhere = Stored(Policy(), lambda: "home")
    elsewhere.stored = policies.stored
    assert elsewhere.needs(nothing, call()).need.quorums == (Quorum(people=1),), "the default is not another organisation's to lift"
