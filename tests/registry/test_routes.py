"""Every route of the registry answers what the document says of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tests.edge.contract import Contract
from tests.registry.people import key_pair, rig, weights

SIGNING = importlib.util.find_spec("model_signing") is not None


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
async def test_the_document_is_true(tmp_path: Path) -> None:
    registry = f'weights = "{tmp_path}/weights"\n'
    if SIGNING:
        private, public = key_pair(tmp_path)
        registry += f'trusted_keys = ["{public}"]\n'
    folder = weights(tmp_path / "weights" / "tiny")
    (tmp_path / "house").mkdir()
    async with rig(tmp_path / "house", registry) as house:
        contract = await Contract.of(house.house)

        async def ask(method: str, path: str, body: Any = None, *, status: int = 200, second: bool = False) -> Any:
            answer = await house.house.ask(method, f"/v1/registry/{path}", body, key=house.second if second else None)
            contract.check(method, f"/v1/registry/{path}", body, answer)
            assert answer.status == status, answer.text
            return answer.json

        model = (await ask("POST", "models", {"name": "tiny"}, status=201))["id"]
        await ask("POST", "models", {"name": "tiny"}, status=409)
        facts = {"origin": "trained", "path": "tiny", "targets": ["up/a"], "base_model": "none", "speed": {"tokens_per_second": 41.5}}
        id = (await ask("POST", f"models/{model}/versions", facts, status=201))["id"]
        await ask("PUT", f"versions/{id}", {**facts, "context": 2048})
        assert (await ask("POST", f"versions/{id}/scan"))["state"] == "scanned"
        if SIGNING:
            from penstock.registry.signing import sign

            sign(folder, private)
            assert (await ask("POST", f"versions/{id}/signature"))["state"] == "signed"
            await ask("POST", f"versions/{id}/verification")
        else:
            assert (await ask("POST", f"versions/{id}/signature", status=409))["error"]["code"] == "signature_invalid"
        other = (await ask("POST", f"models/{model}/versions", {"origin": "vendor", "targets": ["up/b"]}, status=201))["id"]
        await ask("POST", f"versions/{other}/evaluations", {"metric": "exact", "value": 0.5, "examples": 10})
        await ask("POST", f"versions/{other}/approvals", {"reason": "mine"}, status=403)
        await ask("POST", f"versions/{other}/approvals", {"reason": "good"}, second=True)
        await ask("POST", f"versions/{other}/revocation", {"reason": "worse"})
        assert [v["number"] for v in (await ask("GET", f"models/{model}"))["versions"]] == [2, 1]
        assert (await ask("GET", f"versions/{id}"))["facts"]["context"] == 2048
        assert len((await ask("GET", "models"))["data"]) == 1
        assert (await ask("GET", "audit?limit=2"))["broken_at"] is None
        await ask("GET", "versions/nobody", status=404)
        mine = {o["operationId"] for _, path, o in contract.operations() if path.startswith("/v1/registry/")}
        untried = set() if SIGNING else {"post_v1_registry_versions_id_signature", "post_v1_registry_versions_id_verification"}
        assert mine - untried - contract.succeeded == set()
