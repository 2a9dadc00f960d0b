"""Tokens for Google Cloud from google-auth: a service account's file, workload identity, a machine's own account, ``gcloud``'s sign-in.

https://cloud.google.com/docs/authentication/application-default-credentials tells where it looks when no file is named.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

from penstock.gateway.providers.tokens import Bearer, Lease, Renewed
from penstock.kernel.errors import SettingsError

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
            found, _ = finder.load_credentials_from_file(self._file, scopes=[SCOPE]) if self._file else finder.default(scopes=[SCOPE])
            self._credentials = found
        found.refresh(Request())
        # google-auth tells the end in UTC, without saying so.
        left = (found.expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() if found.expiry is not None else 300.0
        return Lease(str(found.token), left)
