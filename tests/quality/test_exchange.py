"""Evaluations of Inspect AI come in over the API and the command, and ours go out."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.batches.house import uploaded
from tests.quality.house import answers, dataset, evaluation, item, of, quality_house
from tests.quality.test_commands import command
from tests.quality.test_inspect_logs import log, made, written

from penstock.quality.inspect_logs import read, value_of

pytestmark = pytest.mark.timeout(90)


async def test_logs_come_in_and_go_out(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, _):
        theirs = log("sums.json")
        other = theirs.replace(b"mockllm/model", b"mockllm/other").replace(b'"value":"I"', b'"value":"C"')
        assert other != theirs
        files = [await uploaded(house, theirs), await uploaded(house, other)]
        told = await house.made("/v1/evaluations/import", {"files": files})
        assert (told["status"], told["name"], told["terms"]["origin"]) == ("done", "sums", "inspect")
        assert of(told, "mockllm/model")["mean"] == pytest.approx(2 / 3)
        (compared,) = told["results"]["comparisons"]
        assert compared["difference"]["items"] == 3
        first = (await answers(house, told["id"]))[0]
        assert (first["item"], first["judge"], first["text"], first["input_tokens"]) == ("a", "inspect:match", "4", 5)
        items = (await house.ask("GET", f"/v1/datasets/{told['dataset']}/items")).json["data"]
        assert [one["item"]["id"] for one in items] == ["a", "b", "c"]
        assert (items[0]["item"]["groups"], items[2]["item"]["choices"]) == ({"team": "x"}, ["no", "yes"])

        bad = await uploaded(house, b"{}")
        answer = await house.ask("POST", "/v1/evaluations/import", {"files": [bad]})
        assert (answer.status, answer.json["error"]["code"]) == (400, "inspect_log_refused")
        apart = await uploaded(house, made(written("a", input="something else")))
        answer = await house.ask("POST", "/v1/evaluations/import", {"files": [files[0], apart]})
        assert "asks something else" in answer.json["error"]["message"]

        await dataset(house, [item("a"), item("b", target="no")])
        ours = await evaluation(house, dataset="set", candidates=["up/m"], judge={"kind": "exact"})
        out = tmp_path / "out.json"
        assert await command(house, "quality", "export", "inspect", ours["id"], "--candidate", "up/m", "-o", str(out)) == (0, "")
        back = read(out.read_bytes())
        assert [value_of(one.scores["exact"]) for one in back.samples or () if one.scores] == [1.0, 0.0]
        code, said = await command(house, "quality", "import", "inspect", str(out), "--name", "again")
        assert code == 0, said
        assert said.splitlines()[2].split()[:2] == ["up/m", "0.500"]
        them, _ = await house.outsider()
        assert (await house.ask("GET", f"/v1/evaluations/{ours['id']}/inspect?candidate=up/m", key=them)).status == 404
