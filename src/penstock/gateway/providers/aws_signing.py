"""Requests signed for Amazon (Signature Version 4) with botocore's own signer, and credentials from its chain.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html; the chain (environment, shared files, single sign-on, web identity,
container, instance) is that of every AWS SDK: https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from penstock.gateway.providers.tokens import Lease, Renewed
from penstock.kernel.call import Headers
from penstock.kernel.errors import ProviderCredentials, SettingsError

SERVICE = "bedrock"
LOOK_SECONDS = 60.0
"""How often credentials that may change are asked for again; botocore renews them itself when they near their end."""


def ready_for_streams(name: str) -> None:
    """Import what reads Bedrock's streams, so that none waits for it. Raises `SettingsError` when botocore is missing."""
    if find_spec("botocore") is None:
        raise SettingsError(f"gateway.providers.{name}: Amazon Bedrock needs botocore; install penstock[bedrock]", param=name)
    # A seventh of a second; only whoever has configured Bedrock waits for it.
    import_module("botocore.eventstream")


class AwsSigner:
    """An `Authoriser` for one origin (scheme and authority) and region. ``profile`` names a profile of the shared AWS files."""

    def __init__(self, name: str, origin: str, region: str, profile: str | None) -> None:
        self.source = f"the AWS profile {profile}" if profile else "the AWS credential chain"
        self._origin = origin
        self._signers: Renewed[Any] = Renewed(f"{name}: {self.source}", _Chain(profile, region))

    async def headers(self, method: str, path: str, body: bytes) -> Headers:
        """See `Authoriser.headers`; what is signed is the host, the time, the body and the session's token."""
        signer = await self._signers.get()
        # Imported by now, with the first credentials.
        from botocore.awsrequest import AWSRequest

        request: Any = AWSRequest(method, self._origin + path, data=body)
        signer.add_auth(request)
        return [(name.lower(), value) for name, value in request.headers.items()]

    async def close(self) -> None:
        """See `Authoriser.close`."""
        await self._signers.close()


class _Chain:
    """The chain, walked with the first credentials; gives signers that hold them."""

    def __init__(self, profile: str | None, region: str) -> None:
        self._profile = profile
        self._region = region
        self._found: Any = None

    def __call__(self) -> Lease[Any]:
        # A sixth of a second to import; only a call that is signed needs it, and this runs in a thread.
        import botocore.session
        from botocore.auth import SigV4Auth
        from botocore.credentials import RefreshableCredentials

        if self._found is None:
            session: Any = botocore.session.Session(profile=self._profile)
            self._found = session.get_credentials()
        if self._found is None:
            raise ProviderCredentials("no AWS credentials found; set AWS_ACCESS_KEY_ID, a profile or a role, or AWS_BEARER_TOKEN_BEDROCK")
        signer = SigV4Auth(self._found.get_frozen_credentials(), SERVICE, self._region)
        return Lease(signer, LOOK_SECONDS) if isinstance(self._found, RefreshableCredentials) else Lease(signer)
