"""Two weeks of a support desk's calls, as pages would see them: days and nights, weekends, a release, an incident."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from penstock.storage.telemetry.span import Payload, Span

HOUR = 3600
DAYS = 14
MODELS = {"gpt-large": ("openai", 900.0, 9.0), "gpt-small": ("openai", 320.0, 0.6), "mistral-7b": ("local", 450.0, 0.05)}
"""Provider, usual milliseconds, micro-dollars a token."""

TASKS = {"support.intent": 0.5, "support.reply": 0.35, "contracts.summary": 0.15}
TEAMS = ("team_support", "team_legal")
RELEASE_DAY, INCIDENT_DAY = 8.4, 11.55
INCIDENT_HOURS = 5


def fortnight(now: float, organisation: str, calls: int = 40_000, seed: int = 7) -> Iterator[list[Span]]:
    """Spans in batches of 1,000, the oldest first: ``calls`` calls, each with the agent that made it in one of three."""
    draw = random.Random(seed)
    start = now - DAYS * 86_400
    weights = [_busy(start + hour * HOUR) for hour in range(DAYS * 24)]
    whole = sum(weights)
    batch: list[Span] = []
    number = 0
    for hour, weight in enumerate(weights):
        for _ in range(round(calls * weight / whole)):
            number += 1
            at = start + (hour + draw.random()) * HOUR
            batch += _call(draw, number, at, (at - start) / 86_400, organisation)
            if len(batch) >= 1000:
                yield batch
                batch = []
    if batch:
        yield batch


def _busy(at: float) -> float:
    day = 0.35 if int(at // 86_400 + 4) % 7 in (0, 6) else 1.0
    return day * (0.25 + max(0.0, math.sin((at % 86_400 / 86_400 - 0.25) * 2 * math.pi)))


def _call(draw: random.Random, number: int, at: float, day: float, organisation: str) -> list[Span]:
    model = draw.choices(list(MODELS), (0.3, 0.45, 0.25))[0]
    task = draw.choices(list(TASKS), list(TASKS.values()))[0]
    provider, usual, price = MODELS[model]
    newer = day >= RELEASE_DAY
    ill = INCIDENT_DAY <= day < INCIDENT_DAY + INCIDENT_HOURS / 24 and provider == "openai"
    took = usual * draw.lognormvariate(0, 0.45) * (0.8 if newer else 1.0) * (3.2 if ill else 1.0)
    output = max(1, int(draw.lognormvariate(4.6, 0.6) * (1.25 if newer else 1.0)))
    taken = int(draw.lognormvariate(6.6, 0.5))
    chance = draw.random()
    status = "failed" if chance < (0.22 if ill else 0.008) else "refused" if chance > 0.994 else "ok"
    verdict = "" if draw.random() > 0.3 else draw.choices(("allow", "flag", "redact", "block"), (0.93, 0.04, 0.02, 0.01))[0]
    begin = int(at * 1e9)
    trace = f"{draw.getrandbits(128):032x}"
    call = Span(
        trace_id=trace,
        span_id=f"{number:016x}",
        start_ns=begin,
        end_ns=begin + int(took * 1e6),
        kind="call",
        name=f"chat {model}",
        status=status,
        organisation=organisation,
        team=TEAMS[1] if task.startswith("contracts") else TEAMS[0],
        service="helpdesk",
        release="2.4.0" if newer else "2.3.1",
        environment="production",
        task=task,
        session=f"thread-{number // 4}",
        agent="desk" if task == "support.reply" else "",
        operation="chat",
        provider=provider,
        model=model,
        answered=f"{model}-2026-0{5 if newer else 3}",
        input_tokens=taken,
        output_tokens=output if status == "ok" else 0,
        cached_tokens=taken // 3 if newer else 0,
        cost_micros=int((taken + 4 * output) * price) if status == "ok" else 0,
        currency="USD",
        first_token_ns=int(took * 0.28 * 1e6) if status == "ok" else None,
        error_code="provider_unavailable" if status == "failed" else "rate_limited" if status == "refused" else "",
        message="the provider answered 503" if status == "failed" else "",
        verdict=verdict if status != "refused" else "block",
        flagged=verdict in {"flag", "redact", "block"},
        payload=Payload(input="Where is my parcel?", output="It left our house on Monday.") if number % 20 == 0 else None,
    )
    if not call.agent:
        return [call]
    call.parent_id = f"{number + (1 << 40):016x}"
    agent = Span(
        trace_id=trace,
        span_id=call.parent_id,
        start_ns=begin - 3_000_000,
        end_ns=call.end_ns + 2_000_000,
        kind="agent",
        name="desk",
        status=status,
        organisation=organisation,
        service="helpdesk",
        release=call.release,
        environment="production",
        agent="desk",
        task=task,
        session=call.session,
    )
    return [agent, call]
