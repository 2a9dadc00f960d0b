"""The sample organisation: teams, projects, keys and budgets, made through the API as an administrator makes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec

from penstock.demo.asks import BURST_LIMIT, CHECK, RESILIENT
from penstock.demo.samples import MIXTRAL
from penstock.kernel.errors import PenstockError

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 0.2
TEAMS = ("Support", "Research", "Finance")


class KeyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One application's key: its team and project, and what it is held to."""

    name: str
    team: str
    project: str
    models: tuple[str, ...] = ()
    limits: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])


KEYS = (
    KeyPlan(name="helpdesk", team="Support", project="Help desk"),
    KeyPlan(name="mobile-app", team="Support", project="Mobile app"),
    KeyPlan(name="search-index", team="Support", project="Help desk"),
    KeyPlan(name="learning-app", team="Research", project="Tutor", limits={"requests_per_minute": 60_000, "concurrency": 200}),
    KeyPlan(name="sandbox", team="Research", project="Sandbox"),
    KeyPlan(name="trial", team="Research", project="Tutor", limits={"requests_per_minute": BURST_LIMIT}),
    KeyPlan(name="ledger-bot", team="Finance", project="Reconciliation", models=(MIXTRAL, CHECK, RESILIENT)),
)
MICRO = 1_000_000
SANDBOX_LIMIT = 60_000
"""Micro-dollars a month: enough for some of the sandbox's calls and not for all."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A limit on money: of a team or a project, for each month."""

    name: str
    team: str | None = None
    project: str | None = None
    limit: int


BUDGETS = (
    Budget(name="Support, monthly", team="Support", limit=50 * MICRO),
    Budget(name="Finance, monthly", team="Finance", limit=20 * MICRO),
    Budget(name="Research, monthly", team="Research", limit=80 * MICRO),
    Budget(name="Sandbox, monthly", project="Sandbox", limit=SANDBOX_LIMIT),
)


class ApiFault(PenstockError):
    """Penstock's API answered something else than was asked for."""

    default_code = "demo_api_fault"


class Api:
    """Penstock's own API under ``/v1``, with one key."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"authorization": f"Bearer {key}"}

    async def get(self, path: str, **query: str | int) -> Any:
        """The JSON at ``path``. Raises `ApiFault` for any status but 2xx."""
        async with self._session.get(self._url + path, params=query, headers=self._headers) as response:
            return await _said(response)

    async def text(self, path: str) -> str:
        """The text at ``path``. Raises `ApiFault` for any status but 2xx."""
        async with self._session.get(self._url + path, headers=self._headers) as response:
            text = await response.text()
            if response.status >= 300:
                raise ApiFault(f"GET {path} answered {response.status}: {text[:500]}")
            return text

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that came back for ``body``. Raises `ApiFault` for any status but 2xx."""
        async with self._session.post(self._url + path, json=body, headers=self._headers) as response:
            return await _said(response)

    async def delete(self, path: str) -> Any:
        """What came back. Raises `ApiFault` for any status but 2xx."""
        async with self._session.delete(self._url + path, headers=self._headers) as response:
            return await _said(response)

    async def pages(self, path: str, **query: str | int) -> list[Any]:
        """All items of a list, page by page."""
        found: list[Any] = []
        while True:
            page = await self.get(path, **query)
            found += page["data"]
            if not page.get("next_cursor"):
                return found
            query["cursor"] = page["next_cursor"]


async def until(look: Callable[[], Awaitable[T]], enough: Callable[[T], bool], seconds: float | None = PATIENCE_SECONDS) -> T:
    """What is found, once it is enough. Raises `ApiFault` after that many seconds; None waits for as long as it takes."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while not enough(found := await look()):
        if deadline is not None and time.monotonic() > deadline:
            raise ApiFault(f"Penstock took longer than {seconds:g} s")
        await asyncio.sleep(_LOOK_SECONDS)
    return found


class Organisation(msgspec.Struct, frozen=True, kw_only=True):
    """What was made: secrets of keys by name (kept in memory alone), and ids by name."""

    secrets: dict[str, str]
    keys: dict[str, str]
    teams: dict[str, str]
    projects: dict[str, str]
    budgets: dict[str, str]


async def found(api: Api) -> Organisation:
    """Make the teams, projects, keys and budgets."""
    teams = {name: (await api.post("/v1/teams", {"name": name}))["id"] for name in TEAMS}
    projects: dict[str, str] = {}
    secrets: dict[str, str] = {}
    keys: dict[str, str] = {}
    for plan in KEYS:
        if plan.project not in projects:
            projects[plan.project] = (await api.post("/v1/projects", {"name": plan.project, "team": teams[plan.team]}))["id"]
        body: dict[str, Any] = {"name": plan.name, "project": projects[plan.project], "scopes": ["call"]}
        if plan.models:
            body["models"] = list(plan.models)
        if plan.limits:
            body["limits"] = dict(plan.limits)
        made = await api.post("/v1/keys", body)
        secrets[plan.name] = made["secret"]
        keys[plan.name] = made["key"]["id"]
    budgets: dict[str, str] = {}
    for budget in BUDGETS:
        kind, owner = ("team", teams[budget.team]) if budget.team else ("project", projects[budget.project or ""])
        body = {"name": budget.name, "limit": budget.limit, "period": "month", "subject_kind": kind, "subject": owner, "hard": True}
        made = await api.post("/v1/budgets", body)
        budgets[budget.name] = made["budget"]["id"]
    return Organisation(secrets=secrets, keys=keys, teams=teams, projects=projects, budgets=budgets)


async def _said(response: aiohttp.ClientResponse) -> Any:
    data = await response.read()
    if response.status >= 300:
        raise ApiFault(f"{response.method} {response.url.path} answered {response.status}: {data[:500].decode('utf-8', 'replace')}")
    return msgspec.json.decode(data) if data else None
