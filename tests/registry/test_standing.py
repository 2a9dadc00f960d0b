"""The answer from memory is the one that the rules give, for every state, policy and call; and it takes microseconds."""

from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.registry.model import Approval, Facts, Version
from penstock.registry.standing import SIGNED, Standing


def version(
    state: str,
    target: str = "p/m",
    *,
    origin: str = "vendor",
    covers: tuple[tuple[str, str], ...] = (("all", ""),),
    organisation: str = "org",
    home: bool = False,
    number: int = 1,
) -> Version:
    approvals = tuple(Approval(coverage=c, name=n, by="key", person=None, at=1.0, reason="x") for c, n in covers)  # type: ignore[arg-type]
    return Version(
        id=f"mver_{organisation}_{target}_{number}",
        model="mdl",
        organisation=organisation,
        home=home,
        number=number,
        state=state,  # type: ignore[arg-type]
        facts=Facts(origin=origin, targets=(target,)),  # type: ignore[arg-type]
        digest="",
        scan={},
        signature={},
        evidence=(),
        approvals=approvals if state in ("approved", "revoked") else (),
        makers=(),
        created_at=1.0,
        changed_at=1.0,
    )


def code(standing: Standing, *, organisation: str = "org", task: str | None = None, data_class: str | None = None) -> str:
    found = standing.refusal("p", "m", organisation=organisation, task=task, data_class=data_class)
    return found.code if found is not None else "allowed"


def told(policy: str, *versions: Version) -> Standing:
    standing = Standing(policy)
    standing.apply(versions)
    return standing


def test_before_anything_is_known_everything_is_refused() -> None:
    standing = Standing("open")
    assert not standing.idle
    assert code(standing) == "model_not_approved"


@pytest.mark.parametrize(
    ("policy", "plain"), [("open", "allowed"), ("listed", "model_not_registered"), ("approved", "model_not_registered")]
)
def test_what_nobody_registered_is_up_to_the_policy(policy: str, plain: str) -> None:
    assert code(told(policy)) == code(told(policy), task="t") == plain
    assert told(policy).idle == (policy == "open")


@pytest.mark.parametrize(("policy", "plain"), [("open", "allowed"), ("listed", "allowed"), ("approved", "model_not_approved")])
def test_a_registered_vendors_model_needs_an_approval_for_a_task(policy: str, plain: str) -> None:
    standing = told(policy, version("evaluated"))
    assert code(standing) == plain
    assert code(standing, task="t") == "model_not_approved"
    assert code(standing, data_class="public") == "model_not_approved"


def test_an_approval_covers_what_it_says() -> None:
    standing = told("approved", version("approved", covers=(("task", "t"), ("data_class", "public"))))
    assert code(standing) == "model_not_approved"
    assert code(standing, task="t") == "allowed"
    assert code(standing, task="other") == "model_not_approved"
    assert code(standing, task="other", data_class="public") == "allowed"
    assert code(standing, organisation="others") == "model_not_registered"


@pytest.mark.parametrize("origin", ["hub", "file", "trained"])
@pytest.mark.parametrize("state", ["draft", "scanned", "signed", "evaluated"])
def test_weights_are_never_used_unapproved(origin: str, state: str) -> None:
    assert code(told("open", version(state, origin=origin))) == "model_not_approved"
    assert code(told("open", version("approved", origin=origin))) == "allowed"


def test_a_new_version_takes_a_revoked_ones_place_and_home_revokes_for_all() -> None:
    old, new = version("revoked"), version("approved", number=2)
    assert code(told("open", old)) == "model_revoked"
    assert code(told("open", old, new)) == code(told("open", new, old)) == "allowed"
    house = version("revoked", organisation="house", home=True)
    assert code(told("open", house, new)) == "model_revoked"
    assert code(told("approved", version("approved", organisation="house", home=True))) == "allowed"
    assert code(told("approved", version("approved", organisation="else"))) == "model_not_registered"


STATES = st.sampled_from(["draft", "scanned", "signed", "evaluated", "approved", "revoked"])
COVERS = st.lists(st.sampled_from([("all", ""), ("task", "t"), ("task", "u"), ("data_class", "public")]), max_size=3).map(tuple)
VERSIONS = st.lists(
    st.builds(version, STATES, origin=st.sampled_from(["vendor", "file"]), covers=COVERS, organisation=st.sampled_from(["org", "els"])),
    max_size=1,
)


@given(VERSIONS, st.sampled_from(["open", "listed", "approved"]), st.sampled_from([None, "t", "u"]), st.sampled_from([None, "public"]))
def test_nothing_unapproved_is_allowed(versions: list[Version], policy: str, task: str | None, data_class: str | None) -> None:
    allowed = code(told(policy, *versions), task=task, data_class=data_class) == "allowed"
    mine = [v for v in versions if v.organisation == "org"]
    if not mine:
        assert allowed == (policy == "open")
        return
    (one,) = mine
    wanted = {("all", ""), ("task", task), ("data_class", data_class)}
    approved = one.state == "approved" and any((a.coverage, a.name) in wanted for a in one.approvals)
    if allowed and not approved:
        assert (one.facts.origin, task, data_class) == ("vendor", None, None)
        assert one.state != "revoked"
        assert policy != "approved"
    assert allowed or not approved


@given(VERSIONS, st.sampled_from(["open", "listed", "approved"]), st.sampled_from([None, "t"]), st.sampled_from([None, "public"]))
def test_a_trial_reaches_what_is_on_its_way_and_no_more(
    versions: list[Version], policy: str, task: str | None, data_class: str | None
) -> None:
    standing = told(policy, *(msgspec.structs.replace(one, signature={"key": "k"} if one.state in SIGNED else {}) for one in versions))
    plain = code(standing, task=task, data_class=data_class)
    found = standing.refusal("p", "m", organisation="org", task=task, data_class=data_class, trial=True)
    tried = "allowed" if found is None else found.code
    mine = [one for one in versions if one.organisation == "org"]
    on_its_way = bool(mine) and mine[0].state != "revoked" and (mine[0].facts.origin == "vendor" or mine[0].state in SIGNED)
    assert tried == ("allowed" if on_its_way else plain)
    assert code(standing, task=task, data_class=data_class) == plain, "a trial's answer is remembered apart"


def test_no_trial_of_what_home_revoked_or_of_weights_without_a_signature() -> None:
    def tried(standing: Standing) -> str:
        found = standing.refusal("p", "m", organisation="org", trial=True)
        return found.code if found is not None else "allowed"

    home = version("revoked", organisation="house", home=True)
    assert tried(told("open", home, version("draft", number=2))) == "model_revoked"
    assert tried(told("open", version("signed", origin="file"))) == "model_not_approved"
    assert tried(told("approved", version("draft", organisation="house", home=True))) == "allowed"
    assert tried(Standing("open")) == "model_not_approved"


def test_an_answer_takes_microseconds() -> None:
    standing = told("approved", *(version("approved", f"p/{n}", number=n) for n in range(1000)))
    began = time.perf_counter()
    for n in range(10_000):
        standing.refusal("p", str(n % 1000), organisation="org")
    assert (time.perf_counter() - began) / 10_000 < 50e-6


def test_names_that_callers_choose_do_not_fill_the_memory() -> None:
    standing = told("approved")
    for n in range(25_000):
        standing.refusal("p", str(n), organisation="org")
    assert len(standing._answers) <= 10_000
