"""Tokens for Vertex AI from a service account, fetched from a server that checks who asks."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.gateway.upstream import Conversation, serving

from penstock.gateway.providers.google_tokens import SCOPE, google_bearer
from penstock.kernel.errors import ProviderCredentials

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def account(folder: Path, token_uri: str, **more: str) -> str:
    """A file of a service account, as the Google Cloud console gives it out."""
    pem = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    kind = {"type": "service_account", "client_email": "a@p-1.iam.gserviceaccount.com", "private_key_id": "k1", "private_key": pem}
    file = folder / "account.json"
    file.write_text(json.dumps({**kind, "token_uri": token_uri, "project_id": "p-1", **more}))
    return str(file)


def claims_of(body: bytes) -> dict[str, object]:
    """What the signed assertion says; raises when the signature is not that of `KEY`."""
    form = parse_qs(body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    signed, _, signature = form["assertion"][0].rpartition(".")

    def decoded(part: str) -> bytes:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    KEY.public_key().verify(decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return json.loads(decoded(signed.partition(".")[2]))


def server(seen: list[dict[str, object]], status: str = "200 OK") -> Callable[[Conversation], object]:
    async def script(peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            seen.append(claims_of(body))
            given = {"access_token": f"ya29.{len(seen)}", "expires_in": 3600, "token_type": "Bearer"}
            refused = {"error": "invalid_grant", "error_description": "secret words"}
            await peer.json(json.dumps(given if status.startswith("200") else refused).encode(), status)

    return script


async def test_a_service_account_gets_one_token_for_many_calls(tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []
    async with serving(server(seen)) as google:  # type: ignore[arg-type]
        bearer = google_bearer("v", account(tmp_path, f"http://127.0.0.1:{google.port}/token"))
        assert [await bearer.headers("POST", "/", b"") for _ in range(3)] == [[("authorization", "Bearer ya29.1")]] * 3
        await bearer.close()
    (claims,) = seen
    assert (claims["iss"], claims["scope"]) == ("a@p-1.iam.gserviceaccount.com", SCOPE)


async def test_the_usual_places_are_looked_at_when_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, object]] = []
    async with serving(server(seen)) as google:  # type: ignore[arg-type]
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", account(tmp_path, f"http://127.0.0.1:{google.port}/token"))
        bearer = google_bearer("v", None)
        assert await bearer.headers("POST", "/", b"") == [("authorization", "Bearer ya29.1")]
        await bearer.close()


async def test_a_refusal_is_told_without_googles_words_and_without_the_key(tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []
    async with serving(server(seen, "400 Bad Request")) as google:  # type: ignore[arg-type]
        bearer = google_bearer("v", account(tmp_path, f"http://127.0.0.1:{google.port}/token"))
        with pytest.raises(ProviderCredentials, match=r"v: the credentials in .*account\.json: .* \(RefreshError\)") as caught:
            await bearer.headers("POST", "/", b"")
        await bearer.close()
    assert "secret words" not in caught.value.message


async def test_workload_identity_trades_a_token_that_lies_in_a_file(tmp_path: Path) -> None:
    """https://cloud.google.com/iam/docs/workload-identity-federation-with-other-providers: a cluster's token for Google's."""
    seen: list[dict[str, list[str]]] = []

    async def sts(peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            seen.append(parse_qs(body.decode()))
            kinds = {"issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer"}
            await peer.json(json.dumps({"access_token": "ya29.sts", "expires_in": 3600, **kinds}).encode())

    (tmp_path / "subject").write_text("eyJ.cluster")
    async with serving(sts) as google:
        told = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"http://127.0.0.1:{google.port}/v1/token",
            "credential_source": {"file": str(tmp_path / "subject")},
        }
        file = tmp_path / "pool.json"
        file.write_text(json.dumps(told))
        bearer = google_bearer("v", str(file))
        assert await bearer.headers("POST", "/", b"") == [("authorization", "Bearer ya29.sts")]
        await bearer.close()
    assert seen[0]["subject_token"] == ["eyJ.cluster"]


async def test_a_file_of_an_unknown_kind_is_told(tmp_path: Path) -> None:
    bearer = google_bearer("v", account(tmp_path, "http://127.0.0.1:9", type="surprise"))
    with pytest.raises(ProviderCredentials, match="of type 'surprise', which nobody here knows"):
        await bearer.headers("POST", "/", b"")
    await bearer.close()


async def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    bearer = google_bearer("v", str(tmp_path / "nowhere.json"))
    with pytest.raises(ProviderCredentials, match=r"nowhere\.json: no credentials to be had"):
        await bearer.headers("POST", "/", b"")
    await bearer.close()
