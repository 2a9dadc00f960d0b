"""``/v1beta/models`` and, for Google's clients, ``/v1/models``: what can be called (https://ai.google.dev/api/models)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from penstock.gateway.address import MODEL, VERSIONS, Address, is_googles, key_in_query
from penstock.gateway.choose import Catalogue
from penstock.gateway.models import LISTING, listed
from penstock.gateway.providers.profile import BATCH_EMBED, EMBED, GENERATE, GOOGLE_COUNT
from penstock.gateway.resolver import Resolver
from penstock.gateway.shapes import google_error
from penstock.kernel.errors import Forbidden, NotFound, PenstockError, UnknownModel
from penstock.kernel.ports import Authenticator
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.vendor import credential
from penstock.kernel.web import Description, EdgeProtocol, EdgeScope, Endpoint

_METHODS = (
    ("generateContent", GENERATE),
    ("streamGenerateContent", GENERATE),
    ("countTokens", GOOGLE_COUNT),
    ("embedContent", EMBED),
    ("batchEmbedContents", BATCH_EMBED),
)
_Find = Callable[[Principal, EdgeScope], dict[str, Any]]
_log = logging.getLogger("penstock.gateway")


def _describe(single: bool) -> Description:
    # Kilobytes of schemas, which only whoever asks for the document needs.
    from penstock.gateway.schemas import models_description

    return models_description(single=single)


def _is_a_method(scope: EdgeScope) -> bool:
    return ":" in scope.path


class GoogleModels:
    """Lists models and shows one, to whoever holds a key that may call. ``open`` must be called before the first request."""

    def __init__(self, catalogue: Catalogue, resolver: Resolver) -> None:
        self._catalogue = catalogue
        self._resolver = resolver
        self._authenticator: Authenticator | None = None

    def open(self, authenticator: Authenticator) -> None:
        """Say who knows the keys."""
        self._authenticator = authenticator

    def endpoints(self) -> Sequence[Endpoint]:
        """The list and the single model."""

        def everything(principal: Principal, scope: EdgeScope) -> dict[str, Any]:
            return {"models": [self._model(name, principal) for name, _ in listed(self._catalogue, self._resolver, principal)]}

        def one(address: Address) -> _Find:
            def find(principal: Principal, scope: EdgeScope) -> dict[str, Any]:
                name = address.model(scope)
                if not principal.may_use_model(name):
                    raise UnknownModel(f"key {principal.name!r} may use no model named {name[:200]!r}", param="model")
                self._resolver.of(name, principal.organisation)
                return self._model(name, principal)

            return find

        def lost(principal: Principal, scope: EdgeScope) -> dict[str, Any]:
            raise NotFound(f"there is nothing at POST {scope.path[:200]}", code="unknown_url")

        made: list[Endpoint] = []
        for version in VERSIONS:
            path = f"/{version}/models"
            shared = is_googles if path == LISTING else None  # other vendors' clients list models there too
            for place, find, summary in (
                (path, everything, "List models as Google does."),
                (f"{path}/{MODEL}", one(Address.of(f"{path}/{MODEL}")), "Show a model as Google does."),
            ):
                handler = self._answer(find)
                describe = partial(_describe, MODEL in place)
                made.append(Endpoint(method="GET", path=place, handler=handler, summary=summary, describe=describe, when=shared))
            # Behind the methods that there are: any other is missed in Google's words. Nothing to be documented, hence the condition.
            handler, describe = self._answer(lost), partial(_describe, True)
            place, summary = f"{path}/{MODEL}", "No method of Gemini's that is served here."
            made.append(Endpoint(method="POST", path=place, handler=handler, summary=summary, describe=describe, when=_is_a_method))
        return made

    def _answer(self, find: _Find) -> Callable[[EdgeScope, EdgeProtocol], Awaitable[None]]:
        async def answer(scope: EdgeScope, protocol: EdgeProtocol) -> None:
            status, headers = 200, [("content-type", "application/json"), ("cache-control", "no-store")]
            try:
                body = msgspec.json.encode(find(self._principal(scope), scope))
            except PenstockError as fault:
                status, body = google_error.render(fault)
            except Exception:  # the last resort, as in `Edge`: a fault of ours is an answer too, without its trace
                _log.exception("listing models failed")
                status, body = google_error.render(PenstockError("internal error; the operator finds it in the log"))
            try:
                protocol.response_bytes(status, headers, body)
            except RuntimeError:
                _log.debug("client left before its answer")

        return answer

    def _principal(self, scope: EdgeScope) -> Principal:
        assert self._authenticator is not None
        principal = self._authenticator.authenticate(credential(scope.headers.get) or key_in_query(scope))
        if not principal.may(Scope.CALL):
            raise Forbidden(f"key {principal.name!r} lacks the scope {Scope.CALL.value!r}")
        return principal

    def _model(self, name: str, principal: Principal) -> dict[str, Any]:
        providers = self._catalogue.providers
        try:
            targets = self._resolver.of(name, principal.organisation)
        except PenstockError:
            targets = ()  # a name that leads to nothing configured, or to nobody allowed, is listed, and can do nothing
        served = [provider for target in targets if (provider := providers.get(target.provider)) is not None]
        methods = [method for method, shape in _METHODS if any(provider.speaks(shape) for provider in served)]
        return {"name": f"models/{name}", "version": "", "displayName": name, "supportedGenerationMethods": methods}
