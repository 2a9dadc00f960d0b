"""The JSON routes of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct, structs

from penstock.alerts.announce import KINDS
from penstock.alerts.hooks import Hook
from penstock.alerts.subscribing import Subscribing
from penstock.alerts.targets import shown
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Ask, Nothing, Route

Kinds = Annotated[tuple[str, ...], Meta(max_length=50)]


class HookBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address, and the types of events that it is told of; ``*`` at the end of one stands for any rest."""

    url: str
    events: Kinds = ("*",)
    everywhere: bool = False


class HookChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed."""

    url: str | None = None
    events: Kinds | None = None
    enabled: bool | None = None


class HookMade(Struct, frozen=True, kw_only=True):
    """A webhook and its secret, which is told this once."""

    webhook: Hook
    secret: str


class Secret(Struct, frozen=True, kw_only=True):
    """A new secret, in force at once, told this once."""

    secret: str


class HookList(Struct, frozen=True, kw_only=True):
    """Webhooks, the oldest first, and the types of events that there are with what they mean."""

    data: list[Hook]
    types: dict[str, str]


class Tested(Struct, frozen=True, kw_only=True):
    """The delivery to look for."""

    delivery: str


def seen(reader: Principal, hook: Hook) -> Hook:
    """A webhook as its reader may see it: who cannot change it sees scheme and host, since the rest of an address is often its secret."""
    return hook if reader.may(Scope.ADMIN) else structs.replace(hook, url=shown(hook.url))


def routes(subscribing: Subscribing) -> Sequence[Route]:
    """All routes about webhooks."""

    async def listed(ask: Ask) -> HookList:
        return HookList(data=[seen(ask.principal, one) for one in await subscribing.listed(ask.principal)], types=dict(KINDS))

    async def create(ask: Ask) -> HookMade:
        body = ask.body(HookBody)
        hook, secret = await subscribing.create(ask.principal, body.url, body.events, everywhere=body.everywhere)
        return HookMade(webhook=hook, secret=secret)

    async def get(ask: Ask) -> Hook:
        return seen(ask.principal, await subscribing.one(ask.principal, ask.path["id"]))

    async def change(ask: Ask) -> Hook:
        body = ask.body(HookChange)
        return await subscribing.change(ask.principal, ask.path["id"], url=body.url, events=body.events, enabled=body.enabled)

    async def delete(ask: Ask) -> Nothing:
        await subscribing.delete(ask.principal, ask.path["id"])
        return Nothing()

    async def rotate(ask: Ask) -> Secret:
        return Secret(secret=await subscribing.rotate(ask.principal, ask.path["id"]))

    async def test(ask: Ask) -> Tested:
        return Tested(delivery=await subscribing.test(ask.principal, ask.path["id"]))

    read, admin = Scope.READ, Scope.ADMIN
    all_of, one = "/v1/webhooks", "/v1/webhooks/{id}"
    return (
        Route(method="GET", path=all_of, handler=listed, summary="List webhooks and types of events.", scope=read, returns=HookList),
        Route(
            method="POST",
            path=all_of,
            handler=create,
            summary="Subscribe an address to events.",
            scope=admin,
            body=HookBody,
            returns=HookMade,
            status=201,
        ),
        Route(method="GET", path=one, handler=get, summary="One webhook.", scope=read, returns=Hook),
        Route(method="PATCH", path=one, handler=change, summary="Change a webhook.", scope=admin, body=HookChange, returns=Hook),
        Route(method="DELETE", path=one, handler=delete, summary="Unsubscribe.", scope=admin, returns=Nothing, status=204),
        Route(method="POST", path=f"{one}/rotate", handler=rotate, summary="Give a webhook another secret.", scope=admin, returns=Secret),
        Route(
            method="POST",
            path=f"{one}/test",
            handler=test,
            summary="Send a test event.",
            scope=admin,
            returns=Tested,
            status=202,
        ),
    )
