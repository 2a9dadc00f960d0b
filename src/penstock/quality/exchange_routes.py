"""The JSON routes through which evaluations come from Inspect AI and go there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route
from penstock.quality.exchange import Exchange
from penstock.quality.routes import EvaluationObject, rendered


class Brought(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Logs of Inspect AI in ``/v1/files``: of several models on the same samples, where there are several."""

    files: Annotated[list[Annotated[str, Meta(min_length=1, max_length=200)]], Meta(min_length=1, max_length=20)]
    name: Annotated[str, Meta(max_length=200)] = ""


class Taken(Struct, frozen=True, kw_only=True):
    """Whose answers, and as which kind of file."""

    candidate: Annotated[str, Meta(min_length=1, max_length=300)]
    format: Literal["eval", "json"] = "eval"


def routes(exchange: Exchange) -> Sequence[Route]:
    """The routes."""

    async def bring(ask: Ask) -> EvaluationObject:
        body = ask.body(Brought)
        return rendered(await exchange.bring(ask.principal, body.files, body.name))

    async def take(ask: Ask) -> Any:
        # Starlette takes a tenth of a second to import; a command that only lists routes does not need it.
        from starlette.responses import Response

        query = ask.query(Taken)
        id = ask.path["id"]
        data = await exchange.take(ask.principal.reach, id, query.candidate, eval=query.format == "eval")
        headers = {"content-disposition": f'attachment; filename="{id}.{query.format}"', "cache-control": "no-store"}
        return Response(data, headers=headers, media_type="application/octet-stream")

    return (
        Route(
            method="POST",
            path="/v1/evaluations/import",
            handler=bring,
            summary="Bring in logs of Inspect AI as an evaluation.",
            scope=Scope.CALL,
            body=Brought,
            returns=EvaluationObject,
            status=201,
        ),
        Route(
            method="GET",
            path="/v1/evaluations/{id}/inspect",
            handler=take,
            summary="One candidate's answers as a log of Inspect AI.",
            scope=Scope.READ,
            query=Taken,
            returns=str,
            media="application/octet-stream",
        ),
    )
