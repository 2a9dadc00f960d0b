from __future__ import annotations

from penstock.cache.rules import ASKED, Rules
from penstock.cache.settings import CacheRule, CacheSettings
from penstock.kernel.call import Call, Trace
from penstock.kernel.principal import Principal


def call(model: str = "m", task: str | None = None, key: str = "k", wish: str = "") -> Call:
    made = Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin())
    made.principal = Principal(key_id="key_1", name=key, organisation="org_1")
    made.model, made.task, made.cache_wish = model, task, wish
    return made


def test_the_first_rule_that_fits_decides() -> None:
    faq, away, all_m = CacheRule(tasks=("faq.*",)), CacheRule(keys=("essays",), exact=False), CacheRule(models=("m",))
    rules = Rules(CacheSettings(rules=(faq, away, all_m)))
    assert rules.of(call(task="faq.hours")) is faq
    assert rules.of(call(task="faq.hours")) is faq
    assert rules.of(call(key="essays")) is None
    assert rules.of(call(key="essays", wish="on")) is None
    assert rules.of(call()) is all_m
    assert rules.of(call("n")) is None
    assert rules.of(call("n", wish="on")) is ASKED
    assert rules.of(call(wish="off")) is None


def test_callers_may_be_kept_from_it() -> None:
    rules = Rules(CacheSettings(callers=False))
    assert rules.idle
    assert rules.of(call(wish="on")) is None
    nobody = call(wish="on")
    nobody.principal = None
    assert Rules(CacheSettings()).of(nobody) is None


def test_the_rule_that_compares_a_task_is_found() -> None:
    rule = CacheRule(tasks=("a",), semantic=True)
    rules = Rules(CacheSettings(rules=(CacheRule(tasks=("a",)), rule, CacheRule(exact=False, semantic=True))))
    assert rules.semantic() == [rule]
    assert rules.of_task("a") is rule
    assert rules.of_task("b") is None
