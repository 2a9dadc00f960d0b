"""The JSON routes of routing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from penstock.kernel.journal import JOURNAL
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route
from penstock.routing.policy import Policy
from penstock.routing.service import Change, RoutingOf
from penstock.routing.views import Frontier, WhatIf


class PolicyList(Struct, frozen=True, kw_only=True):
    """Policies of a task, the newest first."""

    data: list[Policy]


class SuspensionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the claim is not believed any more; calls say it while the default serves them."""

    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class Empty(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing needs to be said."""


def routes(routing: RoutingOf) -> Sequence[Route]:
    """All routes of routing."""

    async def policies(ask: Ask) -> PolicyList:
        return PolicyList(data=await routing.policies(ask.principal, ask.path["name"]))

    async def policy(ask: Ask) -> Policy:
        return await routing.policy(ask.principal, ask.path["name"], ask.path["id"])

    async def certify(ask: Ask) -> Policy:
        return await routing.certify(ask.principal, ask.path["name"])

    async def suspend(ask: Ask) -> Policy:
        return await routing.suspend(ask.principal, ask.path["name"], ask.path["id"], ask.body(SuspensionBody).reason)

    async def frontier(ask: Ask) -> Frontier:
        return await routing.frontier(ask.principal, ask.path["name"])

    async def what_if(ask: Ask) -> WhatIf:
        return await routing.what_if(ask.principal, ask.path["name"], ask.body(Change))

    read, admin, path = Scope.READ, Scope.ADMIN, "/v1/tasks/{name}/policies"
    return (
        Route(
            method="GET",
            path="/v1/tasks/{name}/frontier",
            handler=frontier,
            summary="Show cost against quality.",
            scope=read,
            returns=Frontier,
            failures={"409": "The task states no floor, or what its reference costs or is worth is not known."},
        ),
        Route(
            method="POST",
            path="/v1/tasks/{name}/what-if",
            handler=what_if,
            summary="Replay recorded traffic under a change.",
            scope=read,
            body=Change,
            returns=WhatIf,
        ),
        Route(method="GET", path=path, handler=policies, summary="List a task's policies.", scope=read, returns=PolicyList),
        Route(
            method="POST",
            path=path,
            handler=certify,
            summary="Certify a task's cheapest policy.",
            scope=admin,
            body=Empty,
            returns=Policy,
            status=202,
            holding=JOURNAL,
        ),
        Route(method="GET", path=path + "/{id}", handler=policy, summary="Show a policy.", scope=read, returns=Policy),
        Route(
            method="POST",
            path=path + "/{id}/suspension",
            handler=suspend,
            summary="Suspend a policy's claim.",
            scope=admin,
            body=SuspensionBody,
            returns=Policy,
        ),
    )
