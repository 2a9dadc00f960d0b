"""Datasets over HTTP: whole or not at all, versions that never change."""

from __future__ import annotations

from pathlib import Path

from tests.batches.house import jsonl, uploaded
from tests.quality.house import dataset, item, quality_house


async def test_versions_files_and_refusals(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, _):
        first = await dataset(house, [item("a"), item("b")], "claims")
        assert (first["version"], first["items"], first["provenance"]) == (1, 2, {"source": "inline"})
        assert (await dataset(house, [item("a"), item("b")], "claims"))["id"] == first["id"]
        second = await dataset(house, [item("a")], "claims")
        assert (second["version"], second["digest"] != first["digest"]) == (2, True)

        file = await uploaded(house, jsonl(*(item(f"q{n}", groups={"team": "x"}) for n in range(450))))
        made = await house.made("/v1/datasets", {"name": "large", "file": file, "provenance": {"by": "ada"}})
        assert (made["items"], made["provenance"]["source"], made["provenance"]["by"]) == (450, "file", "ada")
        page = (await house.ask("GET", f"/v1/datasets/{made['id']}/items?limit=200&after=199")).json
        assert [one["position"] for one in page["data"]] == list(range(200, 400))
        assert (page["next"], page["data"][0]["item"]["groups"]) == (399, {"team": "x"})

        bad = await uploaded(house, jsonl(item("a"), b"{", item("a")))
        answer = await house.ask("POST", "/v1/datasets", {"name": "bad", "file": bad})
        assert (answer.status, answer.json["error"]["code"], answer.json["error"]["param"]) == (400, "dataset_refused", "file")
        assert "line 2: not valid JSON" in answer.json["error"]["message"]
        assert "line 3: the id 'a' stands on line 1 already" in answer.json["error"]["message"]
        listed = (await house.ask("GET", "/v1/datasets?limit=2")).json
        assert ([one["name"] for one in listed["data"]], listed["next"]) == (["large", "claims"], second["id"])
        older = (await house.ask("GET", f"/v1/datasets?before={listed['next']}")).json
        assert ([one["id"] for one in older["data"]], older["next"]) == ([first["id"]], None)

        assert (await house.ask("POST", "/v1/datasets", {"name": "x"})).status == 400
        assert (await house.ask("POST", "/v1/datasets", {"name": "x", "file": "file-none"})).status == 404
        them, _ = await house.outsider()
        assert (await house.ask("POST", "/v1/datasets", {"name": "x", "file": file}, key=them)).status == 404
        assert (await house.ask("DELETE", f"/v1/datasets/{first['id']}", key=them)).status == 404
        assert (await house.ask("DELETE", f"/v1/datasets/{first['id']}")).status == 204
        assert (await house.ask("GET", f"/v1/datasets/{first['id']}")).status == 404
