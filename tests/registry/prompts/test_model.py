"""What a version's name means: a number, a label, the newest, or what is in production."""

from __future__ import annotations

import pytest

from penstock.kernel.errors import NotFound
from penstock.registry.prompts.model import LABEL, resolved

LABELS = {"production": 2, "staging": 3}


@pytest.mark.parametrize(
    ("version", "number"), [(None, 2), ("production", 2), ("staging", 3), ("latest", 4), ("1", 1), ("4", 4), ("04", 4)]
)
def test_names_of_versions(version: str | None, number: int) -> None:
    assert resolved("p", LABELS, 4, version) == number


@pytest.mark.parametrize("version", ["0", "5", "", "nobody", "١", "9" * 5000, "-1", "1.0"])
def test_what_is_not_there_is_told_with_what_is(version: str) -> None:
    with pytest.raises(NotFound, match="there are 1 to 4, latest, production, staging"):
        resolved("p", LABELS, 4, version)


def test_without_a_label_nothing_is_guessed() -> None:
    with pytest.raises(NotFound, match="no version labelled 'production'"):
        resolved("p", {}, 1, None)


@pytest.mark.parametrize(
    ("label", "is_one"), [("production", True), ("a-1.b_c", True), ("latest", False), ("1", False), ("A", False), ("a" * 64, False)]
)
def test_labels(label: str, is_one: bool) -> None:
    assert (LABEL.fullmatch(label) is not None) is is_one
