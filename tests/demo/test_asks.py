from __future__ import annotations

from collections import Counter

from penstock.demo.asks import ANSWERED_BY, CHAT, EMBEDDINGS, MESSAGES, RESPONSES, plan
from penstock.demo.configure import PRICES
from penstock.demo.organisation import KEYS
from penstock.demo.samples import GPT4, read_all


def test_the_plan_is_the_same_on_every_run():
    samples = read_all()
    assert plan(samples, embeddings=True) == plan(samples, embeddings=True)


def test_every_sample_is_asked_and_every_kind_of_call_is_there():
    samples = read_all()
    asks = plan(samples, embeddings=True)
    told = {(a.sample.model, a.sample.question) for a in asks if a.sample}
    assert told == {(s.model, s.question) for all_ in samples.values() for s in all_}
    kinds = Counter((a.shape, a.stream) for a in asks if a.status == 200 and not a.cancel)
    assert set(kinds) >= {(shape, stream) for shape in (CHAT, MESSAGES, RESPONSES) for stream in (False, True)}
    assert kinds[(EMBEDDINGS, False)] == 40
    assert {a.status for a in asks} == {0, 200, 401, 403, 404}
    assert any(a.cancel for a in asks)
    assert {a.group for a in asks} == {"", "budget", "rate"}


def test_asks_are_numbered_and_their_traces_are_their_own():
    asks = plan(read_all(), embeddings=False)
    assert [a.number for a in asks] == list(range(len(asks)))
    assert len({a.trace_id for a in asks}) == len(asks)
    assert all(a.shape != EMBEDDINGS for a in asks)


def test_every_key_exists_and_every_answering_model_has_a_price():
    asks = plan(read_all(), embeddings=True)
    assert {a.key for a in asks} == {k.name for k in KEYS} | {"", "forged"}
    for ask in asks:
        if ask.sample is not None:
            assert ANSWERED_BY.get(ask.model, ask.model) == ask.sample.model
            assert ask.sample.model in PRICES


def test_cap_is_named_where_the_api_demands_it():
    asks = plan(read_all(), embeddings=False)
    assert all(a.max_tokens for a in asks if a.shape == MESSAGES and a.sample)
    assert all(a.max_tokens for a in asks if a.group == "budget")
    assert not any(a.max_tokens for a in asks if a.shape == CHAT and a.model == GPT4 and not a.group)
