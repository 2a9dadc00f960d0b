"""Which models may serve a call: names, aliases, fallback chains.

A task that is declared comes first (`resolver`). Any other name is resolved in this order: an entry of ``[gateway.models]``;
``provider/model``; a model that a provider declares or was found to serve; a provider whose profile recognises the name; the only
provider there is. Where evidence decides instead of a name, the routing capability stands in the same slot.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping

from penstock.gateway.balance import Entry, entries
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.providers.provider import Provider
from penstock.gateway.resolver import Resolver
from penstock.gateway.settings import ModelSettings
from penstock.kernel.call import Call, Reply, Target
from penstock.kernel.errors import Forbidden, UnknownModel
from penstock.kernel.stage import Proceed, Slot
from penstock.kernel.tasks import TASK_PREFIX

_REMEMBERED = 10_000


class Catalogue:
    """All names under which something can be called. Providers may be added while calls run (discovery)."""

    def __init__(self, providers: Mapping[str, Provider], models: Mapping[str, ModelSettings]) -> None:
        self.providers: dict[str, Provider] = dict(providers)
        self.version = 0
        """Grows whenever a provider is added."""
        self.models = dict(models)
        self._entries: dict[str, tuple[Entry, ...]] = {name: entries(name, model) for name, model in models.items()}
        self._resolved: dict[str, tuple[Target, ...]] = {}

    def add(self, provider: Provider) -> None:
        """Add or replace a provider; names are resolved anew."""
        self.providers[provider.name] = provider
        self.version += 1
        self._resolved.clear()

    def resolve(self, name: str) -> tuple[Target, ...]:
        """The targets behind ``name``, in the order to try. Raises `UnknownModel` with the nearest known name."""
        found = self._resolved.get(name)
        if found is None:
            found = self._resolve(name)
            if len(self._resolved) >= _REMEMBERED:  # callers choose names; a cache of them must not grow without end
                self._resolved.clear()
            self._resolved[name] = found
        return found

    def names(self) -> list[tuple[str, str]]:
        """Every name that can be listed, with the provider that owns it (``penstock`` for aliases), sorted by name."""
        listed = dict.fromkeys(self.models, "penstock")
        for provider in self.providers.values():
            for model in provider.declared:
                listed.setdefault(model, provider.name)
        return sorted(listed.items())

    def _resolve(self, name: str) -> tuple[Target, ...]:
        listed = self._entries.get(name)
        if listed is not None:
            found = [(entry, t) for entry in listed if (t := self._direct(entry.target, name)) is not None]
            if found:
                return tuple(Target(t.provider, t.model, name, entry.rank, entry.weight) for entry, t in found)
            leads_to = ", ".join(entry.target for entry in listed)
            raise UnknownModel(f"model {name!r} leads to {leads_to}, none of which is configured", param="model")
        direct = self._direct(name, name) or self._owner(name)
        if direct is not None:
            return (direct,)
        raise UnknownModel(self._unknown(name), param="model")

    def _direct(self, entry: str, name: str) -> Target | None:
        provider, slash, model = entry.partition("/")
        if slash and model and provider in self.providers:
            return Target(provider, model, name)
        return self._owner(entry, name) if entry != name else None

    def _owner(self, model: str, name: str | None = None) -> Target | None:
        name = name or model
        for provider in self.providers.values():
            if model in provider.declared:
                return Target(provider.name, model, name)
        for provider in self.providers.values():
            if any(fnmatch.fnmatchcase(model, pattern) for pattern in provider.profile.patterns):
                return Target(provider.name, model, name)
        open_ended = [p for p in self.providers.values() if not p.declared and not p.profile.patterns and p.profile.kind == "http"]
        if len(open_ended) == 1 and len(self.providers) == 1 and model:
            return Target(open_ended[0].name, model, name)
        return None

    def _unknown(self, name: str) -> str:
        if name.startswith(TASK_PREFIX):
            plain = name.removeprefix(TASK_PREFIX)
            return f'no task named {plain[:200]!r}; check its spelling, or declare it under [tasks."{plain[:200]}"] or over POST /v1/tasks'
        known = [n for n, _ in self.names()]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else self._missing(name) or "GET /v1/models lists what there is"
        return f"no provider serves a model named {name[:200]!r}; {hint}"

    def _missing(self, name: str) -> str:
        """What has to be set for a model that looks like one of a vendor that nobody configured; empty where it does not."""
        here = {provider.profile.name for provider in self.providers.values()}
        for profile in PROFILES.values():
            looks = name.startswith(f"{profile.name}/") or any(fnmatch.fnmatchcase(name, pattern) for pattern in profile.patterns)
            if looks and profile.key_env and profile.name not in here:
                return f"{profile.title} serves such models: set {profile.key_env[0]} where Penstock is started, and start it again"
        return ""


class Choose:
    """Finds the targets of the name that was asked for, and refuses what the key may not use."""

    name = "choose"
    slot = Slot.CHOOSE

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        principal = call.principal
        if principal is not None:
            if principal.models and not principal.may_use_model(call.model):
                raise Forbidden(f"key {principal.name!r} may not use model {call.model[:200]!r}", param="model")
            if call.task is not None and principal.tasks and not principal.may_use_task(call.task):
                raise Forbidden(f"key {principal.name!r} may not call for task {call.task!r}", param="model")
        if not call.targets:
            call.targets = list(self._resolver.of(call.model, principal.organisation if principal is not None else ""))
        return await proceed(call)
