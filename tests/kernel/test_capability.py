"""Parts of a room make one offer."""

from __future__ import annotations

import pytest

from penstock.kernel.capability import Offer, joined
from penstock.kernel.web import NavItem


def test_parts_are_joined_in_their_order() -> None:
    first, second = (NavItem(name, f"/console/{name}", "calls", "Observe", 1, "x") for name in ("one", "two"))
    whole = joined(Offer(nav=(first,), ports={int: 1}), Offer(), Offer(nav=(second,), ports={str: "two"}))
    assert (whole.nav, whole.ports, whole.routes) == ((first, second), {int: 1, str: "two"}, ())


def test_no_two_parts_offer_one_port() -> None:
    with pytest.raises(AssertionError):
        joined(Offer(ports={int: 1}), Offer(ports={int: 2}))
