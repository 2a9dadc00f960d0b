"""The JSON routes of the registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route
from penstock.registry.model import Coverage, Entry, Evidence, Facts, Model, Version
from penstock.registry.service import Registry

Reason = Annotated[str, Meta(max_length=1000)]


class NewModel(Struct, frozen=True, kw_only=True):
    """A model to be registered."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Annotated[str, Meta(max_length=2000)] = ""


class ModelQuery(Struct, frozen=True, kw_only=True):
    """A page of models."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class Models(Struct, frozen=True, kw_only=True):
    """A page of models, newest first."""

    data: list[Model]
    next_cursor: str | None = None


class OneModel(Struct, frozen=True, kw_only=True):
    """A model with its versions, newest first."""

    model: Model
    versions: list[Version]


class NewApproval(Struct, frozen=True, kw_only=True):
    """What is approved: ``all``, or the ``task`` or ``data_class`` that ``name`` says."""

    reason: Reason
    coverage: Coverage = "all"
    name: Annotated[str, Meta(max_length=200)] = ""


class Revocation(Struct, frozen=True, kw_only=True):
    """Why a version is revoked."""

    reason: Reason


class TrailQuery(Struct, frozen=True, kw_only=True):
    """Lines of the audit trail: of one version, of one model or prompt, or of all, from behind the line ``after``."""

    version: str | None = None
    model: str | None = None
    after: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Trail(Struct, frozen=True, kw_only=True):
    """Lines of the audit trail, oldest first. ``broken_at`` is the first line that does not follow from the one before it, of all of the
    asker's organisation; None when nothing was changed or taken out."""

    data: list[Entry]
    broken_at: int | None = None


def routes(registry: Registry) -> Sequence[Route]:
    """All routes of the registry."""

    async def models(ask: Ask) -> Models:
        query = ask.query(ModelQuery)
        data, cursor = await registry.models(ask.principal, query.cursor, query.limit)
        return Models(data=data, next_cursor=cursor)

    async def register(ask: Ask) -> Model:
        new = ask.body(NewModel)
        return await registry.register(ask.principal, new.name, new.description)

    async def model(ask: Ask) -> OneModel:
        found, versions = await registry.model(ask.principal, ask.path["id"])
        return OneModel(model=found, versions=versions)

    async def add(ask: Ask) -> Version:
        return await registry.add_version(ask.principal, ask.path["id"], ask.body(Facts))

    async def version(ask: Ask) -> Version:
        return await registry.version(ask.principal, ask.path["id"])

    async def change(ask: Ask) -> Version:
        return await registry.change(ask.principal, ask.path["id"], ask.body(Facts))

    async def scan(ask: Ask) -> Version:
        return await registry.scan(ask.principal, ask.path["id"])

    async def sign(ask: Ask) -> Version:
        return await registry.sign(ask.principal, ask.path["id"])

    async def verify(ask: Ask) -> Version:
        return await registry.verify(ask.principal, ask.path["id"])

    async def evaluate(ask: Ask) -> Version:
        return await registry.evaluate(ask.principal, ask.path["id"], ask.body(Evidence))

    async def approve(ask: Ask) -> Version:
        new = ask.body(NewApproval)
        return await registry.approve(ask.principal, ask.path["id"], new.coverage, new.name.strip(), new.reason)

    async def revoke(ask: Ask) -> Version:
        return await registry.revoke(ask.principal, ask.path["id"], ask.body(Revocation).reason)

    async def trail(ask: Ask) -> Trail:
        query = ask.query(TrailQuery)
        lines = await registry.trail(ask.principal, query.version, query.after, query.limit, model=query.model)
        return Trail(data=lines, broken_at=await registry.first_broken(ask.principal))

    def post(
        path: str, handler: Callable[[Ask], Awaitable[Version]], summary: str, body: type[Any] | None = None, status: int = 200
    ) -> Route:
        where = f"/v1/registry/{path}"
        return Route(
            method="POST", path=where, handler=handler, summary=summary, scope=Scope.ADMIN, body=body, returns=Version, status=status
        )

    read, admin, base = Scope.READ, Scope.ADMIN, "/v1/registry"
    return (
        Route(method="GET", path=f"{base}/models", handler=models, summary="List models.", scope=read, query=ModelQuery, returns=Models),
        Route(
            method="POST",
            path=f"{base}/models",
            handler=register,
            summary="Register a model.",
            scope=admin,
            body=NewModel,
            returns=Model,
            status=201,
        ),
        Route(method="GET", path=f"{base}/models/{{id}}", handler=model, summary="Show a model.", scope=read, returns=OneModel),
        post("models/{id}/versions", add, "Add a version of a model, as a draft.", Facts, 201),
        Route(method="GET", path=f"{base}/versions/{{id}}", handler=version, summary="Show a version.", scope=read, returns=Version),
        Route(
            method="PUT",
            path=f"{base}/versions/{{id}}",
            handler=change,
            summary="Change what a version is; it becomes a draft again.",
            scope=admin,
            body=Facts,
            returns=Version,
        ),
        post("versions/{id}/scan", scan, "Scan a version's weights."),
        post("versions/{id}/signature", sign, "Verify the signature beside a version's weights."),
        post("versions/{id}/verification", verify, "Verify a version again; it is revoked when its weights were changed."),
        post("versions/{id}/evaluations", evaluate, "Add what an evaluation of a version found.", Evidence),
        post("versions/{id}/approvals", approve, "Approve a version; not for who made it.", NewApproval),
        post("versions/{id}/revocation", revoke, "Revoke a version for good.", Revocation),
        Route(
            method="GET", path=f"{base}/audit", handler=trail, summary="Read the audit trail.", scope=read, query=TrailQuery, returns=Trail
        ),
    )
