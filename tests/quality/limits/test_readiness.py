"""A detector whose file is not there: words judge in its place, and everybody who looks is told so."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.quality.grounded.classifier import CONTEXT, GROUNDED
from tests.quality.house import dataset, evaluation, item, quality_house
from tests.quality.limits.test_calibrations import PATH

from penstock.kernel.evidence import Evidence

pytestmark = pytest.mark.timeout(60)


async def test_without_its_file_words_judge_and_everybody_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    more = f'[quality]\ndetector = "tokens"\ndetector_folder = "{tmp_path}/nothing"\n'
    more += '[tasks.rag]\nowner = "ada"\ncandidates = ["up/m"]\njudge = { kind = "groundedness" }\n'
    async with quality_house(tmp_path, more) as (house, provider):
        provider.say = lambda model, messages: GROUNDED
        held = await dataset(house, [item("e", "tell", context=" ".join(CONTEXT))], "replaced")
        run = await evaluation(house, dataset=held["id"], task="rag")
        (answer,) = (await house.ask("GET", f"/v1/evaluations/{run['id']}/answers")).json["data"]
        assert (answer["score"], answer["judge"], answer["detail"]["instead_of"]) == (1.0, "groundedness:lexical", "tokens")
        assert answer["reason"].startswith(
            "words alone judged, not tokens (detector_unavailable: the detector's folder nothing has no model.onnx"
        )
        checked = (await house.ask("GET", "/v1/tasks/rag/check")).json["findings"]
        (told,) = [one for one in checked if one["name"] == "groundedness detector"]
        assert told["status"] == "warn"
        assert "words alone judge in its place, which is no evidence: detector_unavailable: " in told["what"]
        (check,) = house.app.offers["quality"].checks
        assert [one.status for one in await check()] == ["warn"]
        refused = await house.ask("POST", PATH, {"task": "rag"})
        assert (refused.status, refused.json["error"]["code"]) == (503, "detector_unavailable")
        assert 'penstock_groundedness_instead_total{wanted="tokens"} 1.0' in (await house.ask("GET", "/metrics")).text
        # What was judged by another is shown, and proves nothing.
        evidence = house.app.ports.get(Evidence)
        assert await evidence.outcomes(run["organisation"], "rag") == []
    assert "detector_unavailable" in {getattr(record, "code", "") for record in caplog.records}
