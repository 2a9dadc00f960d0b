"""Tokens for Google Cloud from google-auth: a service account's file, workload identity, a machine's own account, ``gcloud``'s sign-in.

https://cloud.google.com/docs/authentication/application-default-credentials tells where it looks when no file is named.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from penstock.gateway.providers.tokens import Bearer, Lease, Renewed
from penstock.kernel.errors import ProviderCredentials, SettingsError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def google_bearer(name: str, file: str | None) -> Bearer:
    """Tokens from the credentials in ``file``, else from the usual places. Raises `SettingsError` when google-auth is missing."""
    if find_spec("google") is None or find_spec("google.auth") is None or find_spec("requests") is None:
        raise SettingsError(f"gateway.providers.{name}: Google's tokens need google-auth; install penstock[vertex]", param=name)
    source = f"the credentials in {file}" if file else "Google's application default credentials"
    return Bearer(source, Renewed(f"{name}: {source}", _Google(file)))


class _Google:
    """One set of credentials, found with the first token."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        # google-auth has no common type for what its finders return.
        self._credentials: Any = None

    def __call__(self) -> Lease[str]:
        # A tenth of a second and more to import; only a call to Vertex needs it, and this runs in a thread.
        import google.auth
        from google.auth.transport.requests import Request

        found = self._credentials
        if found is None:
            finder: Any = google.auth
            found = _from_file(self._file) if self._file else finder.default(scopes=[SCOPE])[0]
            self._credentials = found
        found.refresh(Request())
        # google-auth tells the end in UTC, without saying so.
        left = (found.expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() if found.expiry is not None else 300.0
        return Lease(str(found.token), left)


# google-auth wants the kind to be said by whoever reads a file; each has a loader of its own.
_LOADERS = {
    "service_account": ("google.oauth2.service_account", "from_service_account_info"),
    "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
    "impersonated_service_account": ("google.auth.impersonated_credentials", "from_impersonated_service_account_info"),
    "external_account": ("google.auth.identity_pool", "from_info"),
}
_FROM_AWS = ("google.auth.aws", "from_info")


def _from_file(file: str) -> Any:
    told: dict[str, Any] = msgspec.json.decode(Path(file).read_bytes(), type=dict[str, Any])
    kind = str(told.get("type"))
    if kind not in _LOADERS:
        raise ProviderCredentials(f"the credentials file is of type {kind[:40]!r}, which nobody here knows")
    # Workload identity from AWS signs a request where others send a token.
    by_aws = str(told.get("subject_token_type", "")).endswith("aws4_request")
    module, loader = _FROM_AWS if by_aws else _LOADERS[kind]
    return getattr(import_module(module).Credentials, loader)(told, scopes=[SCOPE])
