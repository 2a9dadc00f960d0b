from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from penstock.console.icons import ICONS, icon
from penstock.inspect import closed_house


@pytest.mark.parametrize("name", ICONS)
def test_every_icon_is_a_drawing_that_takes_the_texts_colour(name: str) -> None:
    drawing = ET.fromstring(str(icon(name)))
    assert drawing.get("viewBox") == "0 0 16 16"
    assert list(drawing)
    # A colour of its own would not follow the theme; style attributes are forbidden by the policy.
    for part in drawing.iter():
        assert part.get("style") is None
        assert part.get("fill") in (None, "currentColor")
        assert part.get("stroke") is None


def test_with_a_label_it_is_an_image_and_without_one_it_is_silent() -> None:
    assert 'aria-hidden="true"' in icon("keys")
    named = icon("keys", '"><script>')
    assert 'role="img"' in named
    assert "<script>" not in named
    assert ET.fromstring(str(named)).get("aria-label") == '"><script>'


def test_an_unknown_name_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        icon("unicorn")


def test_the_navigation_uses_icons_that_exist() -> None:
    assert {item.icon for offer in closed_house(None).offers.values() for item in offer.nav} <= set(ICONS)
