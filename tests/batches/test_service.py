"""A batch from its file to its results, in one process."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.batches.house import batch_house, content, ended, line, started, until

pytestmark = pytest.mark.timeout(60)


async def test_every_line_has_its_result(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, provider):
        made = await started(house, *(line(f"r{i}") for i in range(40)), metadata={"why": "test"})
        assert (made["object"], made["status"], made["metadata"]) == ("batch", "validating", {"why": "test"})
        batch = await ended(house, made["id"])
        assert batch["status"] == "completed", batch
        assert batch["request_counts"] == {"total": 40, "completed": 40, "failed": 0}
        assert batch["created_at"] <= batch["in_progress_at"] <= batch["finalizing_at"] <= batch["completed_at"] <= batch["expires_at"]
        assert batch["error_file_id"] is None
        assert batch["penstock"]["cost_micros"] == 40 * 13
        results = await content(house, batch["output_file_id"])
        assert sorted(r["custom_id"] for r in results) == sorted(f"r{i}" for i in range(40))
        for result in results:
            assert result["error"] is None
            assert result["response"]["status_code"] == 200
            assert result["response"]["body"]["choices"][0]["message"]["content"] == result["custom_id"]
        assert set(provider.seen.values()) == {1}
        assert not list((tmp_path / "data" / "batches").glob("*"))
        assert (await until(lambda: house.ask("GET", "/v1/batches"))).json["data"][0]["id"] == made["id"]
