"""The navigation's order, its clashes, and which line a page belongs to."""

from __future__ import annotations

import pytest

from penstock.console.navigation import active_href, arrange
from penstock.kernel.web import NavItem


def item(label: str, href: str, section: str = "Observe", order: int = 100, shortcut: str = "") -> NavItem:
    return NavItem(label, href, "calls", section, order, shortcut)


def test_sections_come_in_their_order_and_items_in_theirs() -> None:
    sections = arrange(
        [item("Keys", "/k", "Govern"), item("Zeta", "/z", "Extra"), item("B", "/b"), item("A", "/a"), item("Last", "/l", order=200)]
    )
    assert [(s.label, [i.label for i in s.items]) for s in sections] == [
        ("Observe", ["A", "B", "Last"]),
        ("Govern", ["Keys"]),
        ("Extra", ["Zeta"]),
    ]


@pytest.mark.parametrize(("second", "what"), [(item("Two", "/2", shortcut="c"), "shortcut 'c'"), (item("Two", "/1"), "address '/1'")])
def test_two_items_cannot_share_a_shortcut_or_an_address(second: NavItem, what: str) -> None:
    with pytest.raises(ValueError, match=f"'Two' and 'One' share the {what}"):
        arrange([item("One", "/1", shortcut="c"), second])


@pytest.mark.parametrize(
    ("path", "active"),
    [
        ("/console/", "/console/"),
        ("/console/calls", "/console/calls"),
        ("/console/calls/7f3a", "/console/calls"),
        ("/console/callsheet", "/console/"),
        ("/elsewhere", ""),
    ],
)
def test_the_longest_address_that_holds_the_path_is_active(path: str, active: str) -> None:
    assert active_href(arrange([item("Overview", "/console/"), item("Calls", "/console/calls")]), path) == active
