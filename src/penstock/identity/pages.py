"""Identity in the console: signing in, keys, the organisation."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.console import Console, toast
from penstock.identity.door import Door
from penstock.identity.keys import Keys, NewKey
from penstock.identity.model import Organisation, Person, Project, Team
from penstock.identity.owners import Owners
from penstock.identity.sessions import BrowserSessions
from penstock.kernel.errors import MalformedRequest, PenstockError
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Limits, Principal, Scope
from penstock.kernel.vendor import SESSION_COOKIE
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

HOME = "/console/"
MANY = 1000


def pages(ports: Ports, owners: Owners, service: Keys, sessions: BrowserSessions, door: Door) -> Sequence[Page]:
    """Sign-in, sign-out, Keys, Organisation."""

    def console() -> Console:
        return ports.get(Console)

    async def sign_in(request: Request, principal: Principal) -> Response:
        after, token = _local(request.query_params.get("next", "")), request.cookies.get(SESSION_COOKIE)
        # Also when the session was opened a moment ago by another process, which sent the browser on to this one.
        known = await sessions.recall(token) if token else None
        if known is not None and known.may(Scope.READ):
            return _redirect(after or HOME)
        return _door(request, console(), after, None)

    async def enter(request: Request, principal: Principal) -> Response:
        form = await request.form()
        after = _local(str(form.get("next", "")))
        peer = request.client.host if request.client is not None else None
        caller = door.caller(peer, request.headers.getlist("x-forwarded-for"))
        try:
            token, expires = await door.open(caller, str(form.get("key", "")).strip())
        except PenstockError as fault:
            return _door(request, console(), after, fault)
        response = _redirect(after or HOME)
        response.set_cookie(
            SESSION_COOKIE,
            token,
            max_age=max(1, int(expires - time.time())),
            path="/",
            httponly=True,
            samesite="strict",
            secure=door.is_encrypted(peer, request.url.scheme, request.headers.get("x-forwarded-proto")),
        )
        return response

    async def leave(request: Request, principal: Principal) -> Response:
        token = request.cookies.get(SESSION_COOKIE)
        if token:
            await sessions.close(token)
        response = _redirect("/console/sign-in")
        response.delete_cookie(SESSION_COOKIE, path="/")
        return response

    async def keys(request: Request, principal: Principal) -> Response:
        return await _keys_page(request, principal, None)

    async def _keys_page(request: Request, principal: Principal, secret: str | None) -> Response:
        query = request.query_params
        state, search, cursor = query.get("state") or None, query.get("q", ""), query.get("cursor") or None
        if state not in (None, "live", "expired", "revoked"):
            raise MalformedRequest("state is live, expired or revoked", param="state")
        page = await service.list(principal, state=state, search=search, cursor=cursor, limit=50)
        directory = ports.get(Directory)
        rows = [
            {
                "key": key,
                "owner": " / ".join(directory.name(i) for i in (key.organisation, key.team, key.project, key.person) if i),
                "limits": _limits(key.limits),
            }
            for key in page.data
        ]
        projects = await owners.list(Project, principal, limit=MANY)
        people = await owners.list(Person, principal, limit=MANY)
        return console().page(
            request,
            "identity/keys.html",
            title="Keys",
            rows=rows,
            state=state or "",
            search=search,
            next_cursor=page.next_cursor,
            projects=[(p.id, p.name) for p in projects.data],
            people=[(p.id, p.name) for p in people.data],
            may_change=principal.may(Scope.ADMIN),
            secret=secret,
        )

    async def create(request: Request, principal: Principal) -> Response:
        form: dict[str, Any] = dict(await request.form())
        scopes = tuple(scope for scope in Scope if form.get(f"scope_{scope.value}"))
        limits = Limits(**{f: _whole(form, f) for f in Limits.__struct_fields__})
        days = _whole(form, "days")
        made = await service.create(
            principal,
            NewKey(
                name=str(form.get("name", "")),
                project=str(form.get("project", "")) or None,
                person=str(form.get("person", "")) or None,
                scopes=scopes,
                models=tuple(str(form.get("models", "")).split()),
                limits=limits,
                expires_at=time.time() + days * 86_400 if days else None,
            ),
        )
        # Drawn in this response and nowhere else: the secret must not be in an address or a store.
        return await _keys_page(request, principal, made.secret)

    async def rotate(request: Request, principal: Principal) -> Response:
        made = await service.rotate(principal, request.path_params["id"])
        return await _keys_page(request, principal, made.secret)

    async def revoke(request: Request, principal: Principal) -> Response:
        await service.revoke(principal, request.path_params["id"])
        return toast(_redirect("/console/keys"), "Key revoked")

    async def organisation(request: Request, principal: Principal) -> Response:
        return console().page(
            request,
            "identity/organisation.html",
            title="Organisation",
            organisations=(await owners.list(Organisation, principal, limit=MANY)).data,
            teams=(await owners.list(Team, principal, limit=MANY)).data,
            projects=(await owners.list(Project, principal, limit=MANY)).data,
            people=(await owners.list(Person, principal, limit=MANY)).data,
            may_change=principal.may(Scope.ADMIN),
        )

    async def add(request: Request, principal: Principal) -> Response:
        form: dict[str, Any] = dict(await request.form())
        name, team = str(form.get("name", "")), str(form.get("team", "")) or None
        if form.get("kind") == "team":
            await owners.add_team(principal, name)
        elif form.get("kind") == "project":
            await owners.add_project(principal, name, team=team)
        elif form.get("kind") == "person":
            await owners.add_person(principal, name, str(form.get("email", "")) or None, team=team)
        else:
            raise MalformedRequest("kind is team, project or person", param="kind")
        return toast(_redirect("/console/organisation"), "Added")

    admin = Scope.ADMIN
    return (
        Page(path="/console/sign-in", handler=sign_in, scope=None),
        Page(path="/console/sign-in", handler=enter, scope=None, methods=("POST",)),
        Page(path="/console/sign-out", handler=leave, scope=None, methods=("POST",)),
        Page(path="/console/keys", handler=keys),
        Page(path="/console/keys", handler=create, scope=admin, methods=("POST",)),
        Page(path="/console/keys/{id}/rotate", handler=rotate, scope=admin, methods=("POST",)),
        Page(path="/console/keys/{id}/revoke", handler=revoke, scope=admin, methods=("POST",)),
        Page(path="/console/organisation", handler=organisation),
        Page(path="/console/organisation", handler=add, scope=admin, methods=("POST",)),
    )


def _door(request: Request, console: Console, after: str, fault: PenstockError | None) -> Response:
    page = console.page(
        request,
        "console/sign_in.html",
        title="Sign in",
        status=fault.status if fault is not None else 200,
        error=fault.message if fault is not None else None,
        next_path=after,
    )
    if fault is not None and fault.retry_after is not None:
        page.headers["retry-after"] = str(max(1, math.ceil(fault.retry_after)))
    return page


def _local(path: str) -> str:
    # Only a path of ours: two slashes or a backslash would lead a browser to another host.
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else ""


def _redirect(path: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(path, 303)


def _whole(form: dict[str, Any], name: str) -> int | None:
    text = str(form.get(name, "")).strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 12:
        raise MalformedRequest(f"{name} is a whole number, or empty for no limit", param=name)
    return int(text)


def _limits(limits: Limits) -> str:
    words = {"requests_per_minute": "requests/min", "tokens_per_minute": "tokens/min", "concurrency": "at once"}
    given = msgspec.structs.asdict(limits)
    return ", ".join(f"{given[field]:,} {word}" for field, word in words.items() if given[field] is not None) or "none"
