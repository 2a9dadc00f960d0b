"""Tokens of Entra from a managed identity, as App Service and Container Apps offer it
(https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference), through azure-identity's own chain."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.gateway.upstream import Conversation, serving

from penstock.gateway.providers.entra_tokens import entra_bearer
from penstock.kernel.errors import ProviderCredentials

VARIABLES = ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "MSI_ENDPOINT", "MSI_SECRET")


@pytest.fixture(autouse=True)
def no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")


def identity(heads: list[str], status: str = "200 OK") -> Callable[[Conversation], object]:
    async def script(peer: Conversation) -> None:
        while True:
            head, _ = await peer.request()
            heads.append(head.decode())
            ends = str(int(time.time()) + 3600)
            given = {"access_token": f"eyJ.{len(heads)}", "expires_on": ends, "resource": "r", "token_type": "Bearer"}
            refused = {"statusCode": 400, "message": "secret words"}
            await peer.json(json.dumps(given if status.startswith("200") else refused).encode(), status)

    return script


@pytest.mark.parametrize("client", [None, "11111111-2222-3333-4444-555555555555"])
async def test_a_managed_identity_gets_one_token_for_many_calls(monkeypatch: pytest.MonkeyPatch, client: str | None) -> None:
    heads: list[str] = []
    async with serving(identity(heads)) as azure:  # type: ignore[arg-type]
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{azure.port}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "let-me-in")
        bearer = entra_bearer("a", client)
        assert [await bearer.headers("POST", "/", b"") for _ in range(3)] == [[("authorization", "Bearer eyJ.1")]] * 3
        await bearer.close()
    (head,) = heads
    asked = parse_qs(urlsplit(head.split(" ")[1]).query)
    assert asked["resource"] == ["https://cognitiveservices.azure.com"]
    assert asked.get("client_id") == ([client] if client else None)
    assert "let-me-in" in head


async def test_a_refusal_is_told_without_azures_words(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[str] = []
    async with serving(identity(heads, "400 Bad Request")) as azure:  # type: ignore[arg-type]
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{azure.port}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "let-me-in")
        bearer = entra_bearer("a", None)
        with pytest.raises(ProviderCredentials, match="a: azure-identity's default credentials: no credentials to be had") as caught:
            await bearer.headers("POST", "/", b"")
        await bearer.close()
    assert heads
    assert "secret words" not in caught.value.message
