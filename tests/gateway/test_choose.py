from __future__ import annotations

from typing import Any

import pytest

from penstock.gateway.candidates import KnownCandidates
from penstock.gateway.choose import Catalogue, Choose
from penstock.gateway.providers.http import HttpProvider
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.resolver import Resolver
from penstock.gateway.settings import ModelSettings, ProviderSettings
from penstock.kernel.call import Call, Reply, Target, Trace
from penstock.kernel.errors import Forbidden, UnknownModel
from penstock.kernel.principal import Principal


def provider(name: str, profile: str, models: tuple[str, ...] = ()) -> HttpProvider:
    given = ProviderSettings(base_url="http://127.0.0.1:9/v1", api_key="x", models=models)
    return HttpProvider(name, PROFILES[profile], given, {})


def catalogue(**models: tuple[str, ...]) -> Catalogue:
    providers = [
        provider("openai", "openai"),
        provider("claude", "anthropic"),
        provider("own", "openai-compatible", ("small", "org/large")),
    ]
    return Catalogue({p.name: p for p in providers}, {name: ModelSettings(targets=targets) for name, targets in models.items()})


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("own/small", [("own", "small")]),
        ("own/anything-at-all", [("own", "anything-at-all")]),
        ("small", [("own", "small")]),
        ("org/large", [("own", "org/large")]),
        ("gpt-4o-mini", [("openai", "gpt-4o-mini")]),
        ("claude-sonnet-4-5", [("claude", "claude-sonnet-4-5")]),
        ("cheap", [("own", "small"), ("openai", "gpt-4o-mini")]),
        ("task:triage", [("claude", "claude-haiku-4-5")]),
    ],
)
def test_a_name_leads_to_its_targets_in_order(asked: str, found: list[tuple[str, str]]) -> None:
    known = catalogue(cheap=("small", "openai/gpt-4o-mini"), **{"task:triage": ("claude/claude-haiku-4-5",)})
    targets = known.resolve(asked)
    assert [(t.provider, t.model) for t in targets] == found
    assert {t.name for t in targets} == {asked}
    assert known.resolve(asked) is targets


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("smal", "did you mean 'small'"),
        ("zzz", "GET /v1/models lists"),
        ("gemini-3-flash", "Google Gemini serves such models: set GOOGLE_API_KEY where Penstock is started"),
        ("mistral/anything", "set MISTRAL_API_KEY where Penstock is started"),
        ("task:other", "no task named 'other'"),
        ("broken", "leads to gone/x, none of which is configured"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_is_near(asked: str, said: str) -> None:
    with pytest.raises(UnknownModel, match=said) as fault:
        catalogue(broken=("gone/x",)).resolve(asked)
    assert fault.value.status == 404


def test_the_only_provider_takes_every_name_when_it_lists_none() -> None:
    alone = Catalogue({"vllm": provider("vllm", "vllm")}, {})
    assert alone.resolve("whatever")[0] == Target("vllm", "whatever", "whatever")


def test_a_provider_found_later_is_resolved_and_listed() -> None:
    known = catalogue()
    with pytest.raises(UnknownModel):
        known.resolve("late")
    known.add(provider("found", "ollama", ("late",)))
    assert known.resolve("late")[0].provider == "found"
    assert known.names() == [("late", "found"), ("org/large", "own"), ("small", "own")]


def test_names_that_callers_make_up_do_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.gateway.choose._REMEMBERED", 100)
    known = catalogue()
    for n in range(1000):
        known.resolve(f"own/made-up-{n}")
    assert len(known._resolved) <= 100


async def test_a_key_may_use_only_what_its_lists_allow() -> None:
    names = catalogue(**{"task:triage": ("small",)})
    stage = Choose(Resolver(names, KnownCandidates(names)))

    async def served(call: Call) -> Reply:
        return Reply(body=b"{}")

    async def ask(model: str, task: str | None = None, **lists: Any) -> Call:
        call = Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin())
        call.model, call.task = model, task
        call.principal = Principal(key_id="key_1", name="batch", organisation="org_1", **lists)
        await stage(call, served)
        return call

    assert (await ask("small", models=("sm*",))).targets[0].provider == "own"
    assert (await ask("small", task="triage", tasks=("triage",))).targets
    with pytest.raises(Forbidden, match="'batch' may not use model 'gpt-4o'"):
        await ask("gpt-4o", models=("small",))
    with pytest.raises(Forbidden, match="may not call for task 'other'"):
        await ask("small", task="other", tasks=("triage",))
