"""What the shell needs to know of a page and of the person who looks at it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from penstock.kernel.web import NavItem

SECTIONS = ("Observe", "Build", "Govern", "Operate")
"""The navigation's headings, in order. A section that is not here follows these, in the order of its first item."""


class Viewer(msgspec.Struct, frozen=True):
    """Whoever is signed in, as far as the shell shows them."""

    name: str
    role: str
    organisation: str = ""
    sign_out: str = "/console/sign-out"
    """Where the sign-out button posts to."""


class NavSection(msgspec.Struct, frozen=True):
    """A heading of the navigation and its lines, in order."""

    label: str
    items: tuple[NavItem, ...]


def arrange(items: Iterable[NavItem]) -> tuple[NavSection, ...]:
    """Group items by section and put both in order.

    Raises `ValueError` when two items claim the same shortcut or address, since one of them could never be reached.
    """
    sections: dict[str, list[NavItem]] = {name: [] for name in SECTIONS}
    shortcuts: dict[str, NavItem] = {}
    addresses: dict[str, NavItem] = {}
    for item in items:
        for kind, key, taken in (("shortcut", item.shortcut, shortcuts), ("address", item.href, addresses)):
            if key and key in taken:
                raise ValueError(f"navigation: {item.label!r} and {taken[key].label!r} share the {kind} {key!r}")
            taken[key] = item
        sections.setdefault(item.section, []).append(item)
    return tuple(
        NavSection(name, tuple(sorted(members, key=lambda item: (item.order, item.label)))) for name, members in sections.items() if members
    )


def active_href(sections: Iterable[NavSection], path: str) -> str:
    """Return the address of the item that `path` lies under, the longest when several do; empty when none does."""
    best = ""
    for section in sections:
        for item in section.items:
            under = path == item.href or path.startswith(item.href.rstrip("/") + "/")
            if under and len(item.href) > len(best):
                best = item.href
    return best
