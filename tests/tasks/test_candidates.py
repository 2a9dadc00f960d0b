"""What is shown of candidates is what the line acts on."""

from __future__ import annotations

from tests.tasks.people import declared
from tests.tasks.test_validation import Here

from penstock.kernel.approvals import Approvals, Refusal
from penstock.kernel.call import Usage
from penstock.kernel.candidates import Candidates
from penstock.kernel.ports import Ports
from penstock.kernel.recall import Prices
from penstock.tasks.candidates import candidates_of
from penstock.tasks.declaration import task_of


class Nobody:
    idle = False

    def refusal(
        self,
        provider: str,
        model: str,
        *,
        organisation: str,
        task: str | None = None,
        data_class: str | None = None,
        trial: bool = False,
    ) -> Refusal | None:
        return Refusal("model_revoked", f"{provider}/{model} is revoked") if model == "gone" else None


class Cents:
    def estimate(self, provider: str, model: str, usage: Usage) -> int | None:
        return usage.input * 2 + usage.output * 8 if provider == "up" else None


def test_each_says_whether_it_may_serve_and_why_not() -> None:
    ports = Ports()
    ports.provide(Candidates, Here())  # type: ignore[type-abstract]
    ports.provide(Approvals, Nobody())  # type: ignore[type-abstract]
    ports.provide(Prices, Cents())  # type: ignore[type-abstract]
    names = ("up/a", "up/gone", "far/b", "eu/c", "nobody/d")
    found = {one.name: one for one in candidates_of(task_of("org", "t", declared(candidates=names, regions=("eu",))), ports)}
    assert {name for name, one in found.items() if one.allowed} == {"up/a", "eu/c"}
    assert (found["up/a"].default, found["up/a"].input_price, found["up/a"].output_price) == (True, 2_000_000, 8_000_000)
    assert found["up/gone"].why == "up/gone is revoked"
    assert found["far/b"].input_price is None
    assert "this is a vendor" in found["far/b"].why
    assert found["nobody/d"].traits is None
