"""The doctor's look at destinations: each is really sent an export, without a span in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from penstock.kernel.capability import Check, Finding
from penstock.observability.out.destination import Destination
from penstock.observability.out.encode import encoder
from penstock.observability.out.transport import Answer, Transport, transport

_KEYS = frozenset({"401", "403", "UNAUTHENTICATED", "PERMISSION_DENIED"})
_ADDRESS = frozenset({"404", "405", "UNIMPLEMENTED"})


def check(destinations: Sequence[Destination], connect: Callable[[Destination], Transport] = transport) -> Check:
    """A check that asks all of them at once; none finds that none is configured."""

    async def look() -> Sequence[Finding]:
        if not destinations:
            return [Finding(name="spans out", status="off", what="no destination; [observability.otel] says where (docs/exporting.md)")]
        return list(await asyncio.gather(*(_look(one, connect) for one in destinations)))

    return look


async def _look(destination: Destination, connect: Callable[[Destination], Transport]) -> Finding:
    name = f"spans to {destination.name}"
    try:
        empty = encoder(destination.terms).encode([])
    except ImportError:
        return Finding(name=name, status="fail", what="the extra 'otel' is not installed", mend="pip install 'penstock[otel]'")
    link = connect(destination)
    began = time.perf_counter()
    try:
        answer = await link.send(empty)
    finally:
        await link.close()
    what = f"{destination.terms.protocol} to {destination.url}: {_told(answer, (time.perf_counter() - began) * 1e3)}"
    status, mend = _judge(answer, destination)
    return Finding(name=name, status=status, what=what, mend=mend)


def _told(answer: Answer, took: float) -> str:
    if answer.outcome == "taken":
        return f"takes exports ({took:.0f} ms)"
    if _away(answer):
        return f"cannot be reached: {answer.told or answer.status}"
    return f"answers {answer.status} {answer.told}".strip()


def _away(answer: Answer) -> bool:
    """Whether nobody answered, or nobody in time: gRPC's codes and the names of faults stand in the status then."""
    return answer.outcome == "later" and not answer.status.isdecimal() and answer.status != "RESOURCE_EXHAUSTED"


def _judge(answer: Answer, destination: Destination) -> tuple[str, str | None]:
    if answer.outcome == "taken":
        return "ok", None
    if answer.status in _KEYS:
        return "fail", "check the destination's headers, bearer_env or basic_env"
    if answer.status in _ADDRESS or answer.status.startswith("3"):
        return "fail", "check the destination's endpoint and protocol"
    if _away(answer):
        return "fail", f"check that {destination.url} can be reached from here, its certificate, and the destination's endpoint"
    # It was reached and let us in, and does not take this one now: too much traffic, or nothing to take in an export without spans.
    return "warn", "look at what it answers; penstock_otel_spans_dropped in /metrics tells whether real spans are taken"
