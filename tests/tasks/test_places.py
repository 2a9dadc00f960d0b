"""Whatever a task says, however it is called and whoever fails: its data reaches only what may have it."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.people import rig

from penstock.kernel.ports import Authenticator, ModelAsk, ModelClient

STANDS: dict[str, tuple[str, str]] = {
    "up/a": ("device", ""),
    "up/b": ("device", ""),
    "own/d": ("own", ""),
    "eu/e": ("region", "eu-west-1"),
    "us/f": ("region", "us-east-1"),
    "far/big": ("vendor", ""),
}
MODELS = {name.partition("/")[2]: name for name in STANDS}
ENDPOINTS: dict[str, Any] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
    "/v1/responses": {"input": "hi"},
}
WAYS = (*ENDPOINTS, "inside", "batch", "cached")
CHAINS = {"chain": ("far/big", "us/f", "up/a"), "hedged": ("us/f", "own/d")}
SETTINGS = """
[gateway.models.chain]
targets = ["far/big", "us/f", "up/a"]
[gateway.models.hedged]
targets = ["us/f", "own/d"]
hedge_seconds = 0.01
"""


def may(name: str, told: dict[str, Any]) -> bool:
    """What the page on tasks says, put down once more."""
    place, region = STANDS[name]
    secret, places, regions = told["data_class"], told.get("places", []), told.get("regions", [])
    if secret == "restricted" and place in ("region", "vendor"):
        return False
    if places:
        near = place in places or (place == "region" and "vendor" in places)
    elif regions:
        near = place != "vendor"
    else:
        near = secret in ("public", "internal") or place in ("device", "own")
    return near and (not regions or place in ("device", "own") or region.startswith(tuple(f"{one}-" for one in regions)))


Case = tuple[dict[str, Any], str, str, frozenset[str]]


def cases() -> list[Case]:
    """A declaration, a way in, a name that is asked for, and who is down; drawn before the house is asked."""
    found: list[Case] = []
    names = sorted(STANDS)
    declarations: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {
            "candidates": st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True),
            "data_class": st.sampled_from(["public", "internal", "confidential", "restricted"]),
        },
        optional={
            "places": st.lists(st.sampled_from(["device", "own", "region", "vendor"]), max_size=3, unique=True),
            "regions": st.lists(st.sampled_from(["eu", "us"]), max_size=2, unique=True),
        },
    )

    @settings(max_examples=80, database=None, derandomize=True)
    @given(
        declarations,
        st.sampled_from(WAYS),
        st.sampled_from(["task", *names, *CHAINS]),
        st.frozensets(st.sampled_from(sorted(MODELS)), max_size=2),
    )
    def draw(told: dict[str, Any], way: str, name: str, down: frozenset[str]) -> None:
        found.append((told, way, name, down))

    draw()
    return found


@pytest.mark.timeout(120)
async def test_data_reaches_only_what_may_have_it(tmp_path: Path) -> None:
    more = '\n[[cache.rules]]\ntasks = ["cached*"]\n[gateway.resilience]\nfailures = 100000\nfailure_share = 1.0\n'
    numbers, seen = count(), {"served": 0, "refused": 0, "undeclared": 0}
    async with rig(tmp_path, SETTINGS + more, places={name.partition("/")[0]: where for name, where in STANDS.items()}) as house:
        principal = house.house.app.ports.get(Authenticator).authenticate(house.house.admin)
        client = house.house.app.ports.get(ModelClient)

        async def ask(way: str, model: str, task: str) -> int:
            body = msgspec.json.encode({"model": model, **ENDPOINTS.get(way, ENDPOINTS["/v1/chat/completions"])})
            if way in ("inside", "batch"):
                priority = "batch" if way == "batch" else "interactive"
                call = ModelAsk(path="/v1/chat/completions", body=body, principal=principal, task=task, priority=priority)
                return (await client.call(call)).status
            path = way if way in ENDPOINTS else "/v1/chat/completions"
            return (await house.house.ask("POST", path, body, x_penstock_task=task)).status

        for told, way, name, down in cases():
            task = f"{'cached' if way == 'cached' else 't'}{next(numbers)}"
            declared = await house.declare(task, **told)
            if declared.status == 400:
                assert not may(told["candidates"][0], told) or "region" in told.get("places", []) or told["data_class"] == "restricted"
                seen["undeclared"] += 1
                continue
            assert declared.status == 201, declared.text
            house.down, before = set(down), len(house.served)
            model = f"task:{task}" if name == "task" else name
            status = await ask(way, model, task)
            again = await ask(way, model, task) if way == "cached" else status
            reached = {MODELS[served] for served in house.served[before:]}
            asked = set(told["candidates"] if name == "task" else CHAINS.get(name, (name,)))
            assert reached <= {one for one in asked if may(one, told)}, (told, way, name, reached)
            if name == "task":
                order = ["vendor", "region", "own", "device"]
                least = order.index(STANDS[told["candidates"][0]][0])
                assert all(order.index(STANDS[one][0]) >= least for one in reached), "no fallback is less trusted than the default"
            seen["served" if 200 in (status, again) else "refused"] += 1
            assert reached or status in (403, 200), (status, told, name)
    assert min(seen.values()) > 0, seen
