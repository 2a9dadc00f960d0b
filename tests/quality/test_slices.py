"""Groups of answers."""

from __future__ import annotations

import pytest

from penstock.quality.examples import Item
from penstock.quality.slices import group_of, groups, known, language, length


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Which gate puts the river to work before the turbine turns?", "en"),
        ("Welches Tor lässt den Fluss arbeiten, und wie tief ist das Rohr?", "de"),
        ("Quelle est la profondeur de la conduite dans le barrage?", "fr"),
        ("¿Cuál es la profundidad de la tubería en el embalse?", "es"),
        ("Qual è la profondità della condotta del lago?", "it"),
        ("Какая глубина у водовода?", "ru"),
        ("水路の深さはどれくらいですか", "ja"),
        ("水道有多深", "zh"),
        ("12 * 4", "other"),
        ("", "other"),
    ],
)
def test_languages_are_guessed(text: str, wanted: str) -> None:
    assert language(text) == wanted


def test_groups() -> None:
    one = Item(id="a", input="Which is it?", target="yes", groups={"team": "claims", "product": "car", "language": "xx"})
    assert [group_of(kind, one) for kind in ("class", "language", "length", "team", "label:product", "label:none")] == [
        *("yes", "xx", "short", "claims", "car"),
        None,
    ]
    assert group_of("class", Item(id="a", input="x", target=["yes", "no"])) is None
    assert [length("x" * n) for n in (299, 300, 2999, 3000)] == ["short", "medium", "medium", "long"]
    assert [known(kind) for kind in ("class", "label:x", "label:", "colour")] == [True, True, False, False]


def test_too_many_groups_are_none() -> None:
    assert groups("class", {str(n): Item(id=str(n), input="x", target=str(n)) for n in range(51)}) == {}
    assert len(groups("class", {str(n): Item(id=str(n), input="x", target=str(n % 50)) for n in range(60)})) == 60
