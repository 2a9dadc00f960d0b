"""An authorization server and an MCP server behind it, made with the SDK's own parts; who asks for a code is given one."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from tests.agents.toolbox.tickets import bound, served, tickets


class Authority:
    """`mcp.server.auth.provider.OAuthAuthorizationServerProvider`, in memory. Each refresh token is good for once."""

    def __init__(self) -> None:
        self.url = ""
        self.clients: dict[str, Any] = {}
        self.codes: dict[str, Any] = {}
        self.live: dict[str, Any] = {}
        self.fresh: dict[str, Any] = {}
        self.renewals = 0
        self.revoked: list[str] = []
        self.expires = 3600

    async def get_client(self, client_id: str) -> Any:
        return self.clients.get(client_id)

    async def register_client(self, client_info: Any) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: Any, params: Any) -> str:
        from mcp.server.auth.provider import AuthorizationCode, construct_redirect_uri

        code = secrets.token_urlsafe(24)
        self.codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(self, client: Any, authorization_code: str) -> Any:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client: Any, authorization_code: Any) -> Any:
        del self.codes[authorization_code.code]
        return self._made(client.client_id, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client: Any, refresh_token: str) -> Any:
        return self.fresh.get(refresh_token)

    async def exchange_refresh_token(self, client: Any, refresh_token: Any, scopes: list[str]) -> Any:
        self.renewals += 1
        del self.fresh[refresh_token.token]
        return self._made(client.client_id, scopes or refresh_token.scopes, f"{self.url}/mcp")

    async def load_access_token(self, token: str) -> Any:
        return self.live.get(token)

    async def revoke_token(self, token: Any) -> None:
        self.revoked.append(token.token)
        self.live.clear()
        self.fresh.pop(token.token, None)

    async def verify_token(self, token: str) -> Any:
        return self.live.get(token)

    def _made(self, client: str, scopes: list[str], resource: str | None) -> Any:
        from mcp.server.auth.provider import AccessToken, RefreshToken
        from mcp.shared.auth import OAuthToken

        access, fresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.live[access] = AccessToken(token=access, client_id=client, scopes=scopes, resource=resource)
        self.fresh[fresh] = RefreshToken(token=fresh, client_id=client, scopes=scopes)
        return OAuthToken(access_token=access, expires_in=self.expires, scope=" ".join(scopes), refresh_token=fresh)


@asynccontextmanager
async def authorised() -> AsyncGenerator[tuple[str, Authority]]:
    """The address of the MCP server on a free port, and who gives tokens for it."""
    from mcp.server.auth.routes import create_auth_routes
    from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
    from pydantic import AnyHttpUrl

    authority, held = Authority(), bound()
    authority.url = f"http://127.0.0.1:{held.getsockname()[1]}"
    url = f"{authority.url}/mcp"
    auth = AuthSettings.model_validate(
        {"issuer_url": authority.url, "resource_server_url": url, "required_scopes": ["tickets"], "validate_token_resource": True}
    )
    app = tickets(token_verifier=authority, auth=auth).streamable_http_app()
    app.router.routes += create_auth_routes(
        authority,  # type: ignore[arg-type]
        AnyHttpUrl(authority.url),
        client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=["tickets"]),
        revocation_options=RevocationOptions(enabled=True),
    )
    async with served(app, held):
        yield url, authority
