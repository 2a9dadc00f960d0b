"""``/v1/models``: what can be called, in the shape that both vendors' SDKs read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from penstock.gateway.choose import Catalogue
from penstock.gateway.resolver import Resolver
from penstock.kernel.errors import UnknownModel
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.tasks import TASK_PREFIX
from penstock.kernel.web import Ask, Route

LISTING = "/v1/models"
EPOCH = "1970-01-01T00:00:00Z"


class Model(Struct, frozen=True, kw_only=True):
    """One model. The fields of OpenAI's and of Anthropic's model object together; creation times are not known and say so by being zero."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str
    type: Literal["model"] = "model"
    display_name: str
    created_at: str = EPOCH


class ModelList(Struct, frozen=True, kw_only=True):
    """All models that the key may call. The paging fields are Anthropic's; there is always one page."""

    object: Literal["list"] = "list"
    data: list[Model]
    has_more: bool = False
    first_id: str | None
    last_id: str | None


class ModelListQuery(Struct, frozen=True, kw_only=True):
    """Anthropic's SDK sends paging parameters; the list is short and comes whole."""

    limit: int | None = None
    after_id: str | None = None
    before_id: str | None = None


def listing(catalogue: Catalogue, resolver: Resolver) -> Sequence[Route]:
    """The routes that list models, the asker's tasks among them, and show one."""

    async def everything(ask: Ask) -> ModelList:
        models = [_model(name, owner) for name, owner in listed(catalogue, resolver, ask.principal)]
        return ModelList(data=models, first_id=models[0].id if models else None, last_id=models[-1].id if models else None)

    async def one(ask: Ask) -> Model:
        name = ask.path["model"]
        if not ask.principal.may_use_model(name):
            raise UnknownModel(f"key {ask.principal.name!r} may use no model named {name[:200]!r}", param="model")
        owner = dict(listed(catalogue, resolver, ask.principal)).get(name)
        if owner is None:
            owner = resolver.of(name, ask.principal.organisation)[0].provider
        return _model(name, owner)

    return (
        Route(
            method="GET",
            path=LISTING,
            handler=everything,
            summary="List the models that the key may call.",
            scope=Scope.CALL,
            query=ModelListQuery,
            returns=ModelList,
        ),
        Route(method="GET", path=f"{LISTING}/{{model:path}}", handler=one, summary="Show one model.", scope=Scope.CALL, returns=Model),
    )


def listed(catalogue: Catalogue, resolver: Resolver, asker: Principal) -> list[tuple[str, str]]:
    """Every name that the asker may call, with its owner, by name."""
    tasks = (name for name in resolver.tasks(asker.organisation) if asker.may_use_task(name.removeprefix(TASK_PREFIX)))
    names = {**dict(catalogue.names()), **dict.fromkeys(tasks, "penstock")}
    return sorted((name, owner) for name, owner in names.items() if asker.may_use_model(name))


def _model(name: str, owner: str) -> Model:
    return Model(id=name, owned_by=owner, display_name=name)
