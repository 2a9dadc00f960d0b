"""Terms of a model: the narrowest and the dearest of what its name leads to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from penstock.agents.terms import ModelTerms, Terms
from penstock.kernel.call import Target, Usage
from penstock.kernel.errors import UnknownModel


class House:
    """Knows two models and one task."""

    contexts = {"small": 1000, "big": 9000, "free": None}
    prices = {"small": (1, 2), "big": (3, 10)}

    def resolve(self, name: str) -> Target:
        provider, _, model = name.partition("/")
        if model not in self.contexts:
            raise UnknownModel(f"no {name}", param="model")
        return Target(provider, model, name)

    def traits(self, target: Target, organisation: str) -> Any:
        return SimpleNamespace(context=self.contexts[target.model])

    def estimate(self, provider: str, model: str, usage: Usage) -> int | None:
        into, out = self.prices.get(model, (None, None))
        return None if into is None or out is None else usage.input * into + usage.output * out

    def find(self, organisation: str, name: str) -> Any:
        return SimpleNamespace(default="up/small", candidates=("up/big", "up/gone")) if name == "desk" else None


def test_terms() -> None:
    house: Any = House()
    terms = ModelTerms(lambda: house, lambda: house, lambda: house)
    assert terms.of("up/small", "org") == Terms(context=1000, input=1.0, output=2.0)
    assert terms.of("task:desk", "org") == Terms(context=1000, input=3.0, output=10.0)
    assert terms.of("up/free", "org") == Terms()
    assert terms.of("task:nothing", "org") == terms.of("up/gone", "org") == Terms()
    assert ModelTerms(lambda: None, lambda: None, lambda: None).of("up/small", "org") == Terms()
