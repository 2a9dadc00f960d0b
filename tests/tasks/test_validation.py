"""What is wrong with a declaration is said: where, what, and what to do."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.people import declared

from penstock.kernel.call import Target
from penstock.kernel.candidates import Traits, misplaced
from penstock.kernel.errors import UnknownModel
from penstock.tasks.declaration import Declaration, task_of
from penstock.tasks.validation import faults, misfits


class Here:
    """Candidates: ``up`` is this machine, ``own`` another, ``far`` a vendor, ``eu`` one in a region."""

    version = 0
    _PLACES: dict[str, Traits] = {
        "up": Traits(place="device"),
        "own": Traits(place="own"),
        "far": Traits(place="vendor"),
        "eu": Traits(place="region", region="eu-west-1"),
    }

    def resolve(self, name: str) -> Target:
        provider, _, model = name.partition("/")
        if provider not in self._PLACES or not model:
            raise UnknownModel(f"no provider serves a model named {name!r}; did you mean 'up/a'?")
        return Target(provider, model, name)

    def traits(self, target: Target, organisation: str = "") -> Traits:
        return self._PLACES[target.provider]


def told(**more: Any) -> Declaration:
    """As over the wire."""
    return msgspec.convert({"owner": "support", "candidates": ["up/a", "up/b"], **more}, Declaration)


JUDGE = {"kind": "exact"}


@pytest.mark.parametrize(
    ("more", "where", "what"),
    [
        ({"owner": "  "}, "owner", "is blank"),
        ({"owner": "a\0"}, "owner", "NUL"),
        ({"candidates": []}, "candidates", "nobody could do the work"),
        ({"candidates": ["task:other"]}, "candidates[0]", "is a task"),
        ({"candidates": ["up/a", "up/a"]}, "candidates[1]", "twice"),
        ({"default": "up/bb"}, "default", "did you mean 'up/b'?"),
        ({"default": "zzz"}, "default", "it is one of up/a, up/b"),
        ({"mode": "cascade", "candidates": ["up/a"]}, "mode", "two candidates"),
        ({"floor": {"level": 0.9, "reference": "up/aa"}}, "floor.reference", "not among the candidates; did you mean 'up/a'?"),
        ({"floor": {"level": 0.9, "kind": "absolute", "reference": "up/a"}}, "floor.reference", "refers to nobody"),
        ({"floor": {"level": 1}}, "floor.level", "can never be shown"),
        ({"floor": {"level": 0.9, "confidence": 0.99999999}}, "floor.confidence", "0.95 is usual"),
        ({"slices": [{"by": "language", "level": 1}]}, "slices[0].level", "can never be shown"),
        ({"slices": [{"by": "team", "level": 0.5}, {"by": "team", "level": 0.6}]}, "slices[1].by", "already"),
        ({"judge": {"kind": "regex"}}, "judge.pattern", "needs it"),
        ({"judge": {"kind": "rubric", "model": "up/a"}}, "judge.rubric", "needs it"),
        ({"judge": {"kind": "pairwise"}}, "judge.model", "needs it"),
        ({"judge": {"kind": "outcome"}}, "judge.outcome", "needs it"),
        ({"judge": {"kind": "json_schema"}}, "judge.schema", "needs it"),
        ({"judge": {"kind": "exact", "model": "up/a"}}, "judge.model", "no use for it"),
        ({"judge": {"kind": "code", "tolerance": 0.1}}, "judge.tolerance", "takes no fields of its own"),
        ({"judge": {"kind": "regex", "pattern": "("}}, "judge.pattern", "is no regular expression"),
        ({"judge": {"kind": "numeric", "pattern": "(a+)+$"}}, "judge.pattern", "repeats a repetition"),
        ({"judge": {"kind": "json_schema", "schema": {"type": "objekt"}}}, "judge.schema", "is no JSON Schema"),
        (
            {"judge": {"kind": "json_schema", "schema": {"properties": {"a": {"pattern": "(a+)+$"}}}}},
            "judge.schema",
            "/properties/a/pattern",
        ),
        ({"judge": {"kind": "json_schema", "schema": {"$ref": "http://x/y"}}}, "judge.schema", "nothing is fetched"),
        ({"budget": {"amount": 0}}, "budget.amount", "refuses every call"),
        ({"explore": 0.1, "judge": JUDGE}, "explore", "give explore_budget"),
        ({"explore_budget": 5.0}, "explore_budget", "nothing is explored"),
        ({"explore": 0.1, "explore_budget": 5.0}, "explore", "there is no judge"),
        ({"explore": 0.1, "explore_budget": 5.0, "judge": {"kind": "human"}}, "explore", "never sees"),
        ({"explore": 0.1, "explore_budget": 5.0, "judge": JUDGE, "candidates": ["up/a"]}, "explore", "no other candidate"),
        ({"recertify": {"labels": 100}, "judge": JUDGE}, "recertify", "no floor is stated"),
        ({"recertify": {"labels": 100}, "floor": {"level": 0.9}}, "recertify", "nobody judges"),
        ({"recertify": {"labels": 100}, "floor": {"level": 0.9}, "judge": JUDGE, "mode": "default"}, "recertify", "the mode is default"),
        ({"data_class": "restricted", "places": ["vendor", "own"]}, "places", "never goes to a vendor"),
        ({"places": ["own", "own"]}, "places[1]", "twice"),
        ({"places": ["own", "region"]}, "regions", "no region is named"),
        ({"regions": ["EU West"]}, "regions[0]", "is no region"),
    ],
)
def test_each_fault_says_where_and_what_to_do(more: dict[str, Any], where: str, what: str) -> None:
    found = list(faults("t", told(**more)))
    assert [one.where for one in found] == [where]
    assert what in found[0].said()


@pytest.mark.parametrize("name", ["", "a b", "a/b", ".a", "a" * 129, "ä", "task:x", "a\n"])
def test_what_is_no_name(name: str) -> None:
    assert [one.where for one in faults(name, told())] == ["name"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"judge": {"kind": "json_schema", "schema": {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string", "pattern": "^[a-z]+$"}}}}},
        {"floor": {"level": 1, "kind": "relative"}},
        {"data_class": "restricted", "places": ["device", "own"]},
        {"regions": ["eu", "us-east-1", "eu*"], "places": ["region"]},
        {"slices": [{"by": "label:product.line", "level": 0.8}, {"by": "language", "level": 0.8}]},
    ],
)
def test_what_is_right_is_left_alone(more: dict[str, Any]) -> None:
    assert list(faults("support.intent", told(**more))) == []


@pytest.mark.parametrize(
    ("more", "where", "what"),
    [
        ({"candidates": ["up/a", "upp/b"]}, "candidates[1]", "did you mean 'up/a'?"),
        ({"candidates": [], "default": "gone/a"}, "default", "no provider serves"),
        ({"candidates": ["far/a", "eu/b"], "data_class": "restricted"}, "places", "no candidate may do this work: far/a: restricted data"),
        ({"candidates": ["far/a", "up/b"], "data_class": "confidential"}, "default", "choose another default, such as up/b"),
        ({"candidates": ["far/a"], "regions": ["eu"], "places": ["vendor"]}, "places", "in a region that nobody named"),
        (
            {"data_class": "restricted", "judge": {"kind": "rubric", "model": "far/judge", "rubric": "r"}},
            "judge.model",
            "far/judge would read the answers: restricted data",
        ),
        ({"judge": {"kind": "rubric", "model": "gone/judge", "rubric": "r"}}, "judge.model", "no provider serves"),
    ],
)
def test_candidates_that_cannot_be(more: dict[str, Any], where: str, what: str) -> None:
    found = list(misfits("org", "t", told(**more), Here()))
    assert [one.where for one in found] == [where]
    assert what in found[0].said()


def test_a_candidate_that_may_not_serve_is_no_fault_while_another_may() -> None:
    assert list(misfits("org", "t", told(candidates=["up/a", "far/b"], data_class="restricted"), Here())) == []


BAD: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"owner": st.text(max_size=5)},
    optional={
        "candidates": st.lists(st.sampled_from(["up/a", "far/b", "eu/c", "x", "task:a", ""]), max_size=4),
        "default": st.sampled_from(["up/a", "far/b", "q", ""]),
        "mode": st.sampled_from(["default", "route", "cascade", "other"]),
        "data_class": st.sampled_from(["public", "internal", "confidential", "restricted", "secret"]),
        "places": st.lists(st.sampled_from(["device", "own", "region", "vendor"]), max_size=4),
        "regions": st.lists(st.sampled_from(["eu", "eu-west-1", "*", "", "EU"]), max_size=2),
        "explore": st.sampled_from([0, 0.1, 1, 2]),
        "explore_budget": st.sampled_from([0, 1.5, -1]),
        "floor": st.fixed_dictionaries(
            {"level": st.floats(allow_nan=True)}, optional={"reference": st.sampled_from(["up/a", "q"]), "confidence": st.floats()}
        ),
        "judge": st.fixed_dictionaries(
            {"kind": st.sampled_from(["exact", "regex", "numeric", "json_schema", "rubric", "outcome", "vibes"])},
            optional={"pattern": st.text(max_size=8), "model": st.sampled_from(["up/j", "far/j", ""]), "rubric": st.text(max_size=3)},
        ),
        "budget": st.fixed_dictionaries({"amount": st.floats()}),
    },
)


@given(st.text(max_size=10) | st.just("t"), BAD)
def test_whatever_is_declared_is_refused_in_words_or_can_be_served(name: str, sent: dict[str, Any]) -> None:
    try:
        given_task = msgspec.convert(msgspec.json.decode(msgspec.json.encode(sent)), Declaration)
    except (msgspec.ValidationError, ValueError):
        return
    here = Here()
    found = [*faults(name, given_task)] or [*misfits("org", name, given_task, here)]
    if found:
        assert all(one.where and one.what and one.mend for one in found)
        return
    task = task_of("org", name, given_task)
    assert misplaced(task, here.traits(here.resolve(task.default))) is None
    assert task.default in task.candidates
    assert re.fullmatch(r"[0-9a-f]{16}", task.digest)
    assert declared().owner
