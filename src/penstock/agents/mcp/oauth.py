"""OAuth 2.1 with a person's consent, as MCP has it: who gives tokens is discovered, clients are registered or given, codes bound (PKCE)."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
import msgspec
from mcp.client.auth.exceptions import OAuthFlowError
from mcp.client.auth.oauth2 import OAuthContext, PKCEParameters, check_registration_usable
from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    create_client_registration_request,
    create_oauth_metadata_request,
    extract_resource_metadata_from_www_auth,
    extract_scope_from_www_auth,
    get_client_metadata_scopes,
    handle_auth_metadata_response,
    handle_protected_resource_response,
    handle_registration_response,
    handle_token_response_scopes,
    issuers_match,
    validate_authorization_response_iss,
)
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthMetadata, ProtectedResourceMetadata
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from msgspec import Struct

from penstock.agents.faults import Permanent
from penstock.agents.toolbox.mcp_client import McpServer
from penstock.agents.toolbox.mcp_reading import Bounded
from penstock.agents.toolbox.references import resolved
from penstock.kernel.errors import PenstockError, UpstreamUnreachable
from penstock.logs import redact

MOST = 2**20
GRANTS = ["authorization_code", "refresh_token"]


class Given(Struct, kw_only=True):
    """Tokens, the client that they were given to, and where they are renewed and revoked. Kept sealed."""

    access: str
    refresh: str
    scope: str
    expires_at: float | None
    client: dict[str, Any]
    metadata: dict[str, Any]
    resource: str
    url: str
    """Of the server that they are for: at another one they are never shown."""


class Begun(Struct, kw_only=True):
    """What ends a consent that was begun. Kept sealed."""

    verifier: str
    client: dict[str, Any]
    metadata: dict[str, Any]
    resource: str
    scope: str
    redirect: str
    url: str


class NotRenewed(Exception):
    """The authorization server does not take the token for renewal any more."""


class Found(Struct, kw_only=True):
    """Who gives tokens for a server, and what for."""

    metadata: OAuthMetadata
    issuer: str
    resource: str
    scope: str


async def discover(server: McpServer, issuer: str, scope: str) -> Found:
    """Ask the server who gives tokens for it, and that one where. ``issuer`` and ``scope``, where they are not empty, are what the operator
    wants. Raises `PenstockError`."""
    async with _client() as client, _faults(server):
        reply = await client.get(server.url, headers={"accept": "application/json, text/event-stream"})
        told = extract_resource_metadata_from_www_auth(reply) if reply.status_code in (401, 403) else None
        wanted = extract_scope_from_www_auth(reply) if reply.status_code in (401, 403) else None
        resource: ProtectedResourceMetadata | None = None
        for url in build_protected_resource_metadata_discovery_urls(told, server.url):
            if resource := await handle_protected_resource_response(await _sent(client, create_oauth_metadata_request(url), server)):
                break
        own = resource_url_from_server_url(server.url)
        if resource is not None:
            advertised = [str(one) for one in resource.authorization_servers]
            if not check_resource_allowed(requested_resource=own, configured_resource=str(resource.resource)):
                raise OAuthFlowError(f"it is described as {resource.resource}, which is another one")
            if issuer and not any(issuers_match(issuer, one) for one in advertised):
                raise OAuthFlowError(f"it names {', '.join(advertised)[:300]}, and the settings {issuer}")
            chosen = next((one for one in advertised if not issuer or issuers_match(issuer, one)), advertised[0])
            own = str(resource.resource)
        else:
            parts = urlsplit(server.url)
            chosen = issuer or f"{parts.scheme}://{parts.netloc}"
        metadata: OAuthMetadata | None = None
        for url in build_oauth_authorization_server_metadata_discovery_urls(chosen, server.url):
            going, metadata = await handle_auth_metadata_response(await _sent(client, create_oauth_metadata_request(url), server))
            if metadata is not None or not going:
                break
        if metadata is None:
            raise OAuthFlowError(f"{chosen} does not describe itself as an authorization server")
        if not issuers_match(str(metadata.issuer), chosen):
            raise OAuthFlowError(f"{chosen} describes itself as {metadata.issuer}")
        if metadata.code_challenge_methods_supported is not None and "S256" not in metadata.code_challenge_methods_supported:
            raise OAuthFlowError(f"{chosen} does not bind its codes (PKCE with S256)")
        for place in (metadata.authorization_endpoint, metadata.token_endpoint, metadata.registration_endpoint):
            _secure(str(place) if place is not None else "", server)
        return Found(
            metadata=metadata,
            issuer=chosen,
            resource=own,
            scope=scope or get_client_metadata_scopes(wanted, resource, metadata, GRANTS) or "",
        )


async def register(server: McpServer, found: Found, redirect: str) -> dict[str, Any]:
    """Register a client with the authorization server. Raises `PenstockError`."""
    async with _client() as client, _faults(server):
        if found.metadata.registration_endpoint is None:
            raise OAuthFlowError(f"{found.issuer} registers nobody by itself: give a client_id")
        wanted = OAuthClientMetadata.model_validate(
            {
                "client_name": "Penstock",
                "redirect_uris": [redirect],
                "grant_types": GRANTS,
                "scope": found.scope or None,
                "application_type": "web",
                "token_endpoint_auth_method": _method(found.metadata),
            }
        )
        made = await handle_registration_response(
            await _sent(client, create_client_registration_request(found.metadata, wanted, found.issuer), server)
        )
        check_registration_usable(made)
        return made.model_dump(mode="json", exclude_none=True)


def known(client_id: str, client_secret: str, redirect: str, found: Found) -> dict[str, Any]:
    """A client that the operator has registered. ``client_secret`` is a reference; empty for a public client."""
    secret = resolved(client_secret, "consent.client_secret") if client_secret else None
    return {
        "client_id": client_id,
        "client_secret": secret,
        "redirect_uris": [redirect],
        "token_endpoint_auth_method": _method(found.metadata) if secret else "none",
    }


def authorization(server: McpServer, found: Found, client: Mapping[str, Any], redirect: str) -> tuple[str, str, Begun]:
    """Where the person is sent, the state that comes back, and what ends it."""
    pkce, state = PKCEParameters.generate(), secrets.token_urlsafe(32)
    asked = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": redirect,
        "state": state,
        "code_challenge": pkce.code_challenge,
        "code_challenge_method": "S256",
        "resource": found.resource,
    }
    if found.scope:
        asked["scope"] = found.scope
        if "offline_access" in found.scope.split():
            asked["prompt"] = "consent"
    place = str(found.metadata.authorization_endpoint)
    begun = Begun(
        verifier=pkce.code_verifier,
        client=dict(client),
        metadata=found.metadata.model_dump(mode="json", exclude_none=True),
        resource=found.resource,
        scope=found.scope,
        redirect=redirect,
        url=server.url,
    )
    return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}", state, begun


async def exchange(server: McpServer, begun: Begun, code: str, iss: str | None) -> Given:
    """The tokens for a code. Raises `PenstockError`."""
    async with _client() as client, _faults(server):
        metadata = OAuthMetadata.model_validate(begun.metadata)
        validate_authorization_response_iss(iss, metadata)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": begun.redirect,
            "code_verifier": begun.verifier,
            "resource": begun.resource,
        }
        reply = await _asked(client, server, begun.client, str(metadata.token_endpoint), form)
        if reply.status_code not in (200, 201):
            raise OAuthFlowError(f"no token was given ({reply.status_code} {_error(reply)})")
        token = await handle_token_response_scopes(reply)
        return Given(
            access=token.access_token,
            refresh=token.refresh_token or "",
            scope=token.scope or begun.scope,
            expires_at=None if token.expires_in is None else time.time() + float(token.expires_in),
            client=begun.client,
            metadata=begun.metadata,
            resource=begun.resource,
            url=begun.url,
        )


async def renew(server: McpServer, given: Given) -> Given:
    """New tokens for the old. Raises `NotRenewed`, and `PenstockError` where the authorization server cannot be asked."""
    if not given.refresh:
        raise NotRenewed
    async with _client() as client, _faults(server):
        metadata = OAuthMetadata.model_validate(given.metadata)
        form = {"grant_type": "refresh_token", "refresh_token": given.refresh, "resource": given.resource}
        reply = await _asked(client, server, given.client, str(metadata.token_endpoint), form)
        if reply.status_code in (400, 401):
            raise NotRenewed
        if reply.status_code != 200:
            raise OAuthFlowError(f"the token was not renewed ({reply.status_code} {_error(reply)})")
        token = await handle_token_response_scopes(reply)
        return msgspec.structs.replace(
            given,
            access=token.access_token,
            refresh=token.refresh_token or given.refresh,
            scope=token.scope or given.scope,
            expires_at=None if token.expires_in is None else time.time() + float(token.expires_in),
        )


async def revoke(server: McpServer, given: Given) -> bool:
    """Tell the authorization server that the tokens are used no more; False where it has no place for that, or did not take it."""
    metadata = OAuthMetadata.model_validate(given.metadata)
    if metadata.revocation_endpoint is None:
        return False
    try:
        async with _client() as client, _faults(server):
            reply = await _asked(client, server, given.client, str(metadata.revocation_endpoint), {"token": given.refresh or given.access})
            return reply.status_code == 200
    except PenstockError:
        return False


class PersonAuth(httpx2.Auth):
    """Signs requests in with a person's token; one that is not taken is renewed once. Where there is none any more, the server's own no is
    what comes back."""

    def __init__(self, current: Callable[[], Awaitable[str]], renewed: Callable[[str], Awaitable[str]]) -> None:
        self._current = current
        self._renewed = renewed

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        try:
            token = await self._current()
            request.headers["authorization"] = f"Bearer {token}"
            reply = yield request
            if reply.status_code != 401:
                return
            request.headers["authorization"] = f"Bearer {await self._renewed(token)}"
        except (Permanent, PenstockError):  # nothing is raised through the SDK, whose callers would wait for an answer
            request.headers.pop("authorization", None)
        yield request


def _method(metadata: OAuthMetadata) -> str:
    """How a client signs in: the first way of the server's that we have. Basic where it does not say (RFC 8414)."""
    told = metadata.token_endpoint_auth_methods_supported or []
    return next((one for one in told if one in ("client_secret_basic", "client_secret_post", "none")), "client_secret_basic")


async def _asked(client: httpx2.AsyncClient, server: McpServer, who: Mapping[str, Any], url: str, form: dict[str, str]) -> httpx2.Response:
    info = OAuthClientInformationFull.model_validate(dict(who))
    # The SDK's own way to sign a client in at this place, whatever way was agreed on.
    context = OAuthContext(server.url, None, None, None, None, client_info=info)  # type: ignore[arg-type]
    form, headers = context.prepare_token_auth({**form, "client_id": info.client_id}, {})
    return await _sent(client, httpx2.Request("POST", url, data=form, headers=headers), server)


async def _sent(client: httpx2.AsyncClient, request: httpx2.Request, server: McpServer) -> httpx2.Response:
    _secure(str(request.url), server)
    return await client.send(request)


def _secure(url: str, server: McpServer) -> None:
    """Who gives tokens is found out by asking strangers: over a line that others read only where the server itself is reached so."""
    if url and not url.startswith("https://") and not server.url.startswith("http://"):
        raise OAuthFlowError(f"{url[:200]} is no https:// address")


def _error(reply: httpx2.Response) -> str:
    try:
        return str(msgspec.json.decode(reply.content)["error"])[:100]
    except (msgspec.DecodeError, KeyError, TypeError):
        return "and no reason"


def _client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=Bounded(MOST, lambda: None), timeout=20.0)


@asynccontextmanager
async def _faults(server: McpServer) -> AsyncGenerator[None]:
    """What goes wrong, without what was sent."""
    try:
        yield
    except OAuthFlowError as fault:
        raise UpstreamUnreachable(f"the sign-in to {server.name} failed: {redact(str(fault))[:500]}") from fault
    except (httpx2.HTTPError, ValueError) as fault:
        raise UpstreamUnreachable(f"the sign-in to {server.name} failed: {type(fault).__name__}") from fault
