"""The lists: no word on two sides, no name in two groups, none that is an ordinary word."""

from __future__ import annotations

from itertools import chain

from penstock.quality.bias.words import COUNTRIES, GENDERED, NAMES, REFERENCE
from penstock.quality.grounded.words import FUNCTION, OPINION


def test_no_word_is_of_both_sides() -> None:
    female, male = zip(*GENDERED, strict=True)
    assert not set(female) & set(male)
    assert all(word == word.lower() for word in chain(female, male))


def test_every_name_stands_once() -> None:
    names = [name for kinds in NAMES.values() for names in kinds.values() for name in names.split()]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    ordinary = FUNCTION | OPINION | {word for pair in GENDERED for word in pair}
    assert not {name.lower() for name in names} & ordinary
    assert all(name[0].isupper() for name in names)


def test_every_group_has_what_a_swap_needs() -> None:
    assert NAMES.keys() == COUNTRIES.keys()
    assert REFERENCE in NAMES
    for kinds in NAMES.values():
        assert kinds.keys() == {"female", "male", "family"}
        assert all(len(names.split()) >= 8 for names in kinds.values())
    lands = [word for lands in COUNTRIES.values() for land in lands for word in land]
    assert len(lands) == len(set(lands))
