"""The gateway's page: the playground, where two models answer side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.console import Console
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def pages(ports: Ports) -> Sequence[Page]:
    """The playground; its calls go to the same endpoints that every client uses."""

    async def playground(request: Request, principal: Principal) -> Response:
        return ports.get(Console).page(request, "console/playground.html", title="Playground")

    return (Page(path="/console/playground", handler=playground, scope=Scope.CALL),)
