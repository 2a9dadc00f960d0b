"""Tokens of Microsoft Entra for Azure OpenAI, from azure-identity's chain: the environment, workload identity, managed identity, ``az``.

https://learn.microsoft.com/python/api/azure-identity/azure.identity.defaultazurecredential tells which variables it reads.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

from penstock.gateway.providers.tokens import Bearer, Lease, Renewed
from penstock.kernel.errors import SettingsError

if TYPE_CHECKING:
    from azure.identity import DefaultAzureCredential

SCOPE = "https://cognitiveservices.azure.com/.default"


def entra_bearer(name: str, identity: str | None) -> Bearer:
    """Tokens for the managed identity with this client id, else from the usual places. Raises `SettingsError` without azure-identity."""
    if find_spec("azure") is None or find_spec("azure.identity") is None:
        raise SettingsError(f"gateway.providers.{name}: Entra's tokens need azure-identity; install penstock[azure]", param=name)
    source = f"the managed identity {identity}" if identity else "azure-identity's default credentials"
    return Bearer(source, Renewed(f"{name}: {source}", _Entra(identity)))


class _Entra:
    """One chain of credentials, made with the first token."""

    def __init__(self, identity: str | None) -> None:
        self._identity = identity
        self._credential: DefaultAzureCredential | None = None

    def __call__(self) -> Lease[str]:
        # A quarter of a second to import; only a call with Entra's tokens needs it, and this runs in a thread.
        from azure.identity import DefaultAzureCredential

        if self._credential is None:
            more = {"managed_identity_client_id": self._identity} if self._identity else {}
            self._credential = DefaultAzureCredential(**more)
        found = self._credential.get_token(SCOPE)
        return Lease(found.token, found.expires_on - time.time())
