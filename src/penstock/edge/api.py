"""Routes and pages become a Starlette application: authorisation, validation and error shapes in one place."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast
from urllib.parse import quote

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.routing import Route as HttpRoute

from penstock.kernel.errors import Forbidden, MalformedRequest, MethodNotAllowed, NotFound, PenstockError, Unauthenticated
from penstock.kernel.ports import Authenticator, Sessions
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.vendor import SESSION_COOKIE, credential
from penstock.kernel.web import Ask, Nothing, Page, Route

_log = logging.getLogger("penstock.edge")

SIGN_IN = "/console/sign-in"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
ANONYMOUS = Principal(key_id="", name="", organisation="", scopes=frozenset())
ErrorPage = Callable[[Request, PenstockError], Response]


class Doors:
    """Who comes in: a key in the usual headers, or a signed-in browser whose request comes from our own pages."""

    def __init__(self, authenticator: Authenticator, sessions: Sessions | None, greet: Callable[[Request, Principal], None]) -> None:
        self._authenticator = authenticator
        self._sessions = sessions
        self.greet = greet
        """Told who looks at a page, before the page is drawn."""

    def principal(self, request: Request, scope: Scope | None) -> Principal:
        """The caller, who holds ``scope``. Raises `Unauthenticated` or `Forbidden`; without a scope anyone may come (`ANONYMOUS`)."""
        token = request.cookies.get(SESSION_COOKIE)
        key = credential(request.headers.get)
        principal: Principal | None = None
        if key is not None:
            principal = self._authenticator.authenticate(key)
        elif token and self._sessions is not None:
            principal = self._sessions.principal(token)
            if principal is not None and request.method not in _SAFE and not _same_origin(request):
                raise Forbidden("this change was asked for by another site's page", code="cross_site_request")
        if scope is None:
            return principal or ANONYMOUS
        if principal is None:
            raise Unauthenticated("no API key: send it as 'Authorization: Bearer ...'", code="missing_api_key")
        if not principal.may(scope):
            raise Forbidden(f"key {principal.name!r} lacks the scope {scope.value!r}")
        return principal


def application(
    routes: Sequence[Route], pages: Sequence[Page], extra: Sequence[BaseRoute], doors: Doors, error_page: ErrorPage
) -> Starlette:
    """All JSON routes, pages and static files as one ASGI application."""
    mounted: list[BaseRoute] = list(extra)
    for page in pages:
        mounted.append(HttpRoute(page.path, _page(page, doors, error_page), methods=list(page.methods)))
    for path, methods in _by_path(routes).items():
        mounted.append(HttpRoute(path, _json(methods, doors), methods=list(methods)))

    async def lost(request: Request, fault: Exception) -> Response:
        missing = NotFound(f"there is nothing at {request.method} {request.url.path[:200]}", code="unknown_url")
        return error_page(request, missing) if _wants_html(request) else error_response(missing)

    async def wrong_method(request: Request, fault: Exception) -> Response:
        response = error_response(MethodNotAllowed(f"{request.method} is not allowed at {request.url.path[:200]}"))
        if isinstance(fault, HTTPException):
            response.headers.update(fault.headers or {})
        return response

    handlers = cast("dict[Any, Callable[[Request, Exception], Awaitable[Response]]]", {404: lost, 405: wrong_method})
    return Starlette(routes=mounted, exception_handlers=handlers)


def error_response(fault: PenstockError) -> Response:
    """Our own error shape: ``{"error": {"code", "message", "param"}}`` with the fault's status."""
    body = msgspec.json.encode({"error": {"code": fault.code, "message": fault.message, "param": fault.param}})
    headers = {"x-content-type-options": "nosniff"}
    if fault.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(fault.retry_after)))
    if fault.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(body, fault.status, headers, media_type="application/json")


def _by_path(routes: Sequence[Route]) -> dict[str, dict[str, Route]]:
    paths: dict[str, dict[str, Route]] = {}
    for route in routes:
        methods = paths.setdefault(route.path, {})
        if route.method in methods:
            raise RuntimeError(f"two routes answer {route.method} {route.path}")
        methods[route.method] = route
    return paths


def _json(methods: dict[str, Route], doors: Doors) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        route = methods.get(request.method) or methods["GET"]  # Starlette answers HEAD through GET
        try:
            principal = doors.principal(request, route.scope)
            ask = Ask(principal, dict(request.path_params), _query(route, request), await _body(route, request))
            result = await route.handler(ask)
        except PenstockError as fault:
            return error_response(fault)
        if isinstance(result, Response):
            return result
        if route.returns is Nothing:
            return Response(status_code=204)
        headers = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
        return Response(msgspec.json.encode(result), route.status, headers, media_type="application/json")

    return answer


def _query(route: Route, request: Request) -> object:
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise MalformedRequest(f"query parameter {name!r} is given twice", param=name)
        given[name] = value
    known = {f.encode_name for f in msgspec.structs.fields(route.query)}
    for name in given:
        if name not in known:
            raise MalformedRequest(f"unknown query parameter {name[:100]!r}; known: {', '.join(sorted(known)) or 'none'}", param=name)
    try:
        return msgspec.convert(given, route.query, strict=False)
    except msgspec.ValidationError as fault:
        message, _, where = str(fault).partition(" - at `$.")
        raise MalformedRequest(f"query: {message}", param=where.rstrip("`") or None) from fault


async def _body(route: Route, request: Request) -> object:
    if route.body is None:
        return None
    raw = await request.body()
    try:
        return msgspec.json.decode(raw, type=route.body)
    except msgspec.ValidationError as fault:
        message, _, where = str(fault).partition(" - at `$")
        raise MalformedRequest(f"body: {message}", param=where.strip(".`") or None) from fault
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise MalformedRequest("the body is not valid JSON") from fault


def _page(page: Page, doors: Doors, error_page: ErrorPage) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            if page.scope is None and request.method not in _SAFE and not _same_origin(request):
                # Else another site could sign its reader in with a key of its own, and read along.
                raise Forbidden("this form must be sent from Penstock's own page")
            principal = doors.principal(request, page.scope)
            if principal is not ANONYMOUS:
                doors.greet(request, principal)
            return await page.handler(request, principal)
        except Unauthenticated as fault:
            if request.headers.get("hx-request"):
                return Response(status_code=401, headers={"hx-redirect": SIGN_IN})
            if request.method in _SAFE and _wants_html(request):
                return RedirectResponse(f"{SIGN_IN}?next={_next(request)}", 303)
            return error_page(request, fault)
        except PenstockError as fault:
            return error_page(request, fault) if _wants_html(request) else error_response(fault)

    return answer


def _next(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return quote(request.url.path + query, safe="")


def _same_origin(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or origin.split("://", 1)[-1] == request.headers.get("host")


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
