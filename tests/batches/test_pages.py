"""Batches in the console."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.batches.house import batch_house, ended, line, started, until

pytestmark = pytest.mark.timeout(60)


async def test_the_pages_show_how_far_a_batch_is_cancel_it_and_give_its_results(tmp_path: Path) -> None:
    async with batch_house(tmp_path, "[batches]\nmax_in_flight = 2\n") as (house, provider):
        empty = await house.ask("GET", "/console/batches", accept="text/html")
        assert "No batches yet" in empty.text
        provider.answer = lambda text: None if provider.seen.total() < 4 else provider.held.clear()
        broken = line("broken")
        broken["body"]["model"] = "unknown"
        made = await started(house, broken, *(line(f"r{i}") for i in range(9)))
        await until(lambda: not provider.held.is_set())
        listed = await house.ask("GET", "/console/batches", accept="text/html")
        assert made["id"] in listed.text
        path = f"/console/batches/{made['id']}"

        async def counted() -> bool:
            text = (await house.ask("GET", path, accept="text/html")).text
            return "model_not_found" in text

        await until(counted)
        page = (await house.ask("GET", path, accept="text/html")).text
        assert 'role="progressbar"' in page
        assert "in progress" in page
        assert "Cancel this batch?" in page
        assert f"{path}/results" not in page
        caller, _ = await house.key(name="reader", scopes=["read"])
        assert "Cancel this batch?" not in (await house.ask("GET", path, key=caller, accept="text/html")).text
        assert (await house.ask("POST", f"{path}/cancel", key=caller)).status == 403
        assert (await house.ask("POST", f"{path}/cancel")).status == 303
        provider.answer = lambda text: None
        provider.held.set()
        await ended(house, made["id"])
        page = (await house.ask("GET", path, accept="text/html")).text
        assert "cancelled" in page
        assert 'hx-trigger="every 2s"' not in page
        results = await house.ask("GET", f"{path}/results")
        assert results.headers["content-disposition"].startswith("attachment")
        errors = await house.ask("GET", f"{path}/errors")
        assert len(results.text.splitlines()) + len(errors.text.splitlines()) == 10
        assert (await house.ask("GET", "/console/batches/nope", accept="text/html")).status == 404


async def test_what_is_wrong_with_the_input_is_shown(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, _):
        made = await started(house, b"<script>alert(1)</script>", {"custom_id": "<b>"})
        await ended(house, made["id"])
        page = (await house.ask("GET", f"/console/batches/{made['id']}", accept="text/html")).text
        assert "invalid_json_line" in page
        assert "missing_method" in page
        assert "<script>alert" not in page
