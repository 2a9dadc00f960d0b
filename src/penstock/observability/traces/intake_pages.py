"""What came in over OTLP, what was refused and repaired of it, and how to send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.console import Console
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page
from penstock.observability.otlp.intake import Intake
from penstock.observability.otlp.reasons import REFUSED, REPAIRED
from penstock.observability.traces.service import Traces
from penstock.observability.traces.setups import setups
from penstock.storage.telemetry.questions import Filter

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SENDERS = 20
FAILURES = {
    "missing_api_key": "no key came with it",
    "invalid_api_key": "its key is unknown, has expired or was revoked",
    "permission_denied": "its key lacks the scope call",
    "malformed_request": "its bytes are no export",
    "body_too_large": "it is larger than observability.otlp.max_body_bytes",
    "rate_limit_exceeded": "the organisation's exports already took half of observability.otlp.waiting_bytes; senders try again",
    "overloaded": "exports took all of observability.otlp.waiting_bytes; senders try again",
    "storage_full": "the disk is full; senders try again",
    "unavailable": "there is no store of spans; senders try again",
    "storage_unavailable": "the store could not be written; senders try again",
}
"""What is told of exports that were refused whole, by error code."""


def intake_pages(ports: Ports, traces: Traces, intake: Intake) -> Sequence[Page]:
    """The page."""

    async def page(request: Request, principal: Principal) -> Response:
        figures = intake.of(principal.reach)
        senders: list[dict[str, Any]] = []
        facts = None
        if traces.on:
            found = await traces.store.groups(Filter(organisation=principal.reach), ("service", "source"), SENDERS)
            senders = [{"service": group.values[0], "source": group.values[1], "measures": group.measures} for group in found]
            # The size of the whole store is for whoever runs it.
            facts = await traces.store.facts() if principal.reach is None else None
        url = f"{request.url.scheme}://{request.url.netloc}"
        return ports.get(Console).page(
            request,
            "observability/traces/intake.html",
            title="Intake",
            on=traces.on,
            figures=figures,
            refused=[(name, REFUSED[name], count) for name, count in figures.refused.most_common()],
            repaired=[(name, REPAIRED[name], count) for name, count in figures.repaired.most_common()],
            failures=[(code, FAILURES.get(code, ""), count) for code, count in figures.failures.most_common()],
            senders=senders,
            facts=facts,
            setups=setups(url),
            url=url,
            may_make=principal.may(Scope.ADMIN),
            whole=principal.reach is None,
        )

    return (Page(path="/console/intake", handler=page),)
