"""Where a task's data may go."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.kernel.call import Target
from penstock.kernel.candidates import Traits, in_order, misplaced, within
from penstock.kernel.errors import UnknownModel
from penstock.kernel.tasks import Place, Task


def task(**more: Any) -> Task:
    return Task(organisation="o", name="support.intent", owner="Ada", default="a/b", candidates=("a/b",), **more)


@pytest.mark.parametrize("data_class", ["public", "internal"])
@pytest.mark.parametrize("place", ["device", "own", "region", "vendor"])
def test_what_is_not_confidential_goes_anywhere(data_class: Any, place: Place) -> None:
    assert misplaced(task(data_class=data_class), Traits(place=place)) is None


def test_confidential_data_goes_to_vendors_that_the_task_names() -> None:
    secret = task(data_class="confidential")
    assert misplaced(secret, Traits(place="own")) is None
    found = misplaced(secret, Traits(place="vendor"))
    assert found == "confidential data of the task 'support.intent' may go to device or own, and this is a vendor"
    assert misplaced(task(data_class="confidential", places=("vendor",)), Traits(place="vendor")) is None
    assert misplaced(task(data_class="confidential", places=("vendor",)), Traits(place="own")) is not None, (
        "what is not named is not allowed"
    )
    regional = task(data_class="confidential", regions=("eu",))
    assert misplaced(regional, Traits(place="region", region="eu-west-1")) is None
    assert misplaced(regional, Traits(place="own")) is None
    assert "may go to the regions eu" in (misplaced(regional, Traits(place="region", region="us-east-1")) or "")


def test_restricted_data_never_goes_to_a_vendor_whatever_the_task_says() -> None:
    assert misplaced(task(data_class="restricted", places=("vendor", "own")), Traits(place="vendor")) is not None
    assert misplaced(task(data_class="restricted", regions=("eu",)), Traits(place="region", region="eu")) is not None
    assert misplaced(task(data_class="restricted"), Traits(place="device")) is None
    assert "no place at all" in (misplaced(task(data_class="restricted", places=("vendor",)), Traits(place="own")) or "")


def test_a_vendor_whose_region_nobody_named_is_in_none() -> None:
    eu = task(places=("vendor", "own"), regions=("eu",))
    assert "a region that nobody named" in (misplaced(eu, Traits(place="vendor")) or "")
    assert misplaced(eu, Traits(place="own")) is None
    assert misplaced(eu, Traits(place="own", region="us-east-1")) is not None, "an own machine elsewhere is elsewhere"


@pytest.mark.parametrize(
    ("region", "inside"), [("eu", True), ("eu-west-1", True), ("europe-west4", False), ("EU", False), ("", False), ("neu", False)]
)
def test_regions_by_name_and_by_part(region: str, inside: bool) -> None:
    assert within(region, ("eu",)) is inside


def test_regions_by_pattern() -> None:
    assert within("europe-west4", ("eu*",))
    assert not within("us-east5", ("eu*",))


class Known:
    """Candidates by name, each somewhere."""

    version = 0

    def __init__(self, **places: Place) -> None:
        self.places = places

    def resolve(self, name: str) -> Target:
        if name not in self.places:
            raise UnknownModel(f"no {name}")
        return Target(name, "m", name)

    def traits(self, target: Target, organisation: str = "") -> Traits:
        return Traits(place=self.places[target.provider])


def test_the_default_serves_and_those_at_least_as_trusted_stand_in_for_it() -> None:
    found = Task(organisation="o", name="t", owner="a", default="big", candidates=("far", "big", "near", "gone"), data_class="internal")
    chain, left = in_order(found, Known(big="own", far="vendor", near="device"), "o")
    assert [(t.name, t.rank) for t in chain] == [("big", 0), ("near", 1)]
    assert left == {"far": "no fallback: it stands at a vendor, less trusted than the default big", "gone": "no gone"}


def test_a_default_that_may_not_serve_leaves_the_others_that_may() -> None:
    found = Task(organisation="o", name="t", owner="a", default="far", candidates=("far", "near"), data_class="restricted")
    chain, left = in_order(found, Known(far="vendor", near="device"), "o")
    assert [t.name for t in chain] == ["near"]
    assert "restricted data" in left["far"]
