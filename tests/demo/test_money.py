from __future__ import annotations

from penstock.demo.asks import EMBEDDING_MODEL, EMBEDDINGS, TUTOR, Ask
from penstock.demo.client import Heard
from penstock.demo.money import expected
from penstock.demo.samples import MIXTRAL


def heard(model: str, input: int, output: int, shape: str = "openai.chat") -> Heard:
    return Heard(ask=Ask(number=0, key="k", shape=shape, model=model, text="t"), input=input, output=output)


def test_tasks_cost_what_their_model_costs():
    assert expected(heard(TUTOR, 100, 10)) == 1300
    assert expected(heard("gpt-4-1106-preview", 100, 10)) == 1300


def test_half_a_micro_dollar_is_rounded_up():
    assert expected(heard(MIXTRAL, 1, 0)) == 1  # 0.6
    assert expected(heard(MIXTRAL, 2, 2)) == 2  # 2.4
    assert expected(heard(MIXTRAL, 5, 0)) == 3
    assert expected(heard(MIXTRAL, 0, 0)) == 0


def test_what_runs_here_is_free():
    assert expected(heard(EMBEDDING_MODEL, 1000, 0, EMBEDDINGS)) == 0
