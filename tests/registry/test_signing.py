"""Weights are signed with keys of our own and believed only as they were signed; a version whose files change is revoked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.registry.people import key_pair, rig, weights

from penstock.kernel.errors import Conflict

pytest.importorskip("model_signing", reason="the extra 'signing' is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def unsigned_too(folder: Path) -> None:
    (folder / "notes.txt").write_text("more", "utf-8")


TAMPERED: dict[str, Callable[[Path], object]] = {
    "a bit of the weights": lambda f: flip(f / "model.safetensors"),
    "a config": lambda f: (f / "config.json").write_text('{"model_type": "tinx"}', "utf-8"),
    "a file more": unsigned_too,
    "a hidden folder more": lambda f: ((f / ".git").mkdir(), (f / ".git" / "hook.txt").write_text("x", "utf-8")),
    "a file less": lambda f: (f / "config.json").unlink(),
    "a file renamed": lambda f: (f / "config.json").rename(f / "other.json"),
    "no signature": lambda f: (f / "model.sig").unlink(),
    "a broken signature": lambda f: (f / "model.sig").write_text("{}", "utf-8"),
    "a bit of the signature": lambda f: (f / "model.sig").write_text(
        (f / "model.sig").read_text("utf-8").replace('"sig":"ME', '"sig":"MF'), "utf-8"
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_changed_is_noticed(how: str, tmp_path: Path) -> None:
    from penstock.registry.signing import sign, verify

    private, public = key_pair(tmp_path)
    folder = weights(tmp_path / "m")
    sign(folder, private)
    verify(folder, [public])
    TAMPERED[how](folder)
    with pytest.raises(Conflict) as found:
        verify(folder, [public])
    assert found.value.code == "signature_invalid"


def test_only_trusted_keys_are_believed(tmp_path: Path) -> None:
    from penstock.registry.signing import sign, verify

    private, public = key_pair(tmp_path)
    _, other = key_pair(tmp_path, "other")
    folder = weights(tmp_path / "m")
    sign(folder, private)
    with pytest.raises(Conflict, match="no trusted key"):
        verify(folder, [other])
    with pytest.raises(Conflict, match="trusted_keys"):
        verify(folder, [])
    assert verify(folder, [other, public]) != verify(folder, [public])[::-1]
    with pytest.raises(Conflict, match="cannot sign"):
        sign(folder, public)


@pytest.mark.timeout(60)
async def test_a_version_goes_all_the_way_and_falls_when_its_files_change(tmp_path: Path) -> None:
    from penstock.registry.signing import sign

    private, public = key_pair(tmp_path)
    folder = weights(tmp_path / "weights" / "tiny")
    registry = f'weights = "{tmp_path}/weights"\ntrusted_keys = ["{public}"]\n'
    (tmp_path / "house").mkdir()
    async with rig(tmp_path / "house", registry) as house:

        async def step(name: str, body: Any = None, *, second: bool = False) -> Any:
            answer = await house.step(id, name, body, key=house.second if second else None)
            return answer.json.get("state") or answer.json["error"]["code"]

        id = await house.version("up/a", origin="file", path="tiny")
        assert (await house.call("up/a")).status == 403, "weights are used only when they are approved, under every policy"
        assert await step("signature") == "wrong_state"
        assert await step("scan") == "scanned"
        assert await step("signature") == "signature_invalid"
        sign(folder, private)
        assert await step("signature") == "signed"
        assert await step("evaluations", {"metric": "exact", "value": 0.9}) == "evaluated"
        flip(folder / "model.safetensors")
        assert await step("approvals", {"reason": "good"}, second=True) == "signature_invalid"
        sign(folder, private)
        assert await step("approvals", {"reason": "good"}, second=True) == "weights_changed", "signed anew, and not what was scanned"
        flip(folder / "model.safetensors")
        sign(folder, private)
        assert await step("approvals", {"reason": "good"}, second=True) == "approved"
        assert (await house.call("up/a")).status == 200
        assert await step("verification") == "approved"
        flip(folder / "model.safetensors")
        assert await step("verification") == "revoked"
        refused = await house.call("up/a")
        assert (refused.status, refused.json["error"]["code"]) == (403, "model_revoked")
        trail = (await house.house.ask("GET", f"/v1/registry/audit?version={id}")).json["data"]
        assert trail[-1]["action"] == "revoked: not as it was signed"
        assert "Hash mismatch" in trail[-1]["why"]
        (folder / "evil.pkl").write_bytes(b"cposix\nsystem\n(S'penstock-inert'\ntR.")
        other = await house.version("up/b", origin="trained", path="tiny")
        told = (await house.step(other, "scan")).json
        assert (told["state"], told["scan"]["accepted"]) == ("draft", False)
        assert "posix.system" in told["scan"]["findings"][0]["message"]
