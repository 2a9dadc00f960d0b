"""The rooms that answer for circumstances keep to the ports, as the line finds them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from tests.house import SETTINGS, open_house

from penstock.kernel.circumstances import Installments, Purse, Wellbeing


@pytest.mark.parametrize("port", [Wellbeing, Purse, Installments])
async def test_a_house_offers_each_with_its_methods(tmp_path: Path, port: Any) -> None:
    async with open_house(tmp_path, SETTINGS) as house:
        found = next(offer.ports[port] for offer in house.app.offers.values() if port in offer.ports)
    for name, wanted in inspect.getmembers(port, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(getattr(found, name)).parameters) == list(inspect.signature(wanted).parameters)[1:]
            assert inspect.iscoroutinefunction(getattr(found, name)) == inspect.iscoroutinefunction(wanted)
