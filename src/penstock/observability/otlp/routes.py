"""What came in over OTLP, as a JSON route."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route
from penstock.observability.otlp.intake import Intake
from penstock.observability.otlp.reasons import REFUSED, REPAIRED


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why spans were refused or what was repaired in them, and how often."""

    reason: str
    told: str
    count: int


class IntakeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the organisation sent over OTLP to the process that answers, since it began; everyone's for an operator.

    ``failures`` are exports that were refused whole, by error code.
    """

    exports: int
    bytes: int
    spans: int
    stored: int
    refused: list[Reason]
    repaired: list[Reason]
    failures: dict[str, int]


def intake_routes(intake: Intake) -> Sequence[Route]:
    """The routes of the intake."""

    async def figures(ask: Ask) -> IntakeFigures:
        found = intake.of(ask.principal.reach)
        return IntakeFigures(
            exports=found.exports,
            bytes=found.bytes,
            spans=found.spans,
            stored=found.stored,
            refused=[Reason(reason=name, told=REFUSED[name], count=n) for name, n in found.refused.most_common()],
            repaired=[Reason(reason=name, told=REPAIRED[name], count=n) for name, n in found.repaired.most_common()],
            failures=dict(found.failures),
        )

    return (
        Route(
            method="GET",
            path="/v1/traces/intake",
            handler=figures,
            summary="What came in over OTLP, and what was wrong with it.",
            scope=Scope.READ,
            returns=IntakeFigures,
        ),
    )
