"""Why a call was served by the model that served it, and what it would have cost elsewhere."""

from __future__ import annotations

import msgspec

from penstock.kernel.call import Usage
from penstock.kernel.choice import Choice, Constraint, Mode
from penstock.kernel.recall import Prices
from penstock.observability.service import CallRow


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate of the task as it stood when the call came.

    ``ruled_out`` names the constraint, ``why`` says it. ``estimate`` is the chance of a good answer to this prompt; ``quality`` the mean
    in the evidence and ``bound`` what it is at least. ``expected`` is what the call was expected to cost there and ``would_have_cost`` what
    its actual use would cost there at today's prices, in micro-units; null without a known price.
    """

    candidate: str
    served: bool
    ruled_out: Constraint | None
    why: str | None
    estimate: float | None
    quality: float | None
    bound: float | None
    expected: int | None
    would_have_cost: int | None


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """``why`` says it in a sentence; the rest is null or empty where nobody chose: the caller named the model, or a cache answered."""

    call: str
    why: str
    task: str | None = None
    mode: Mode | None = None
    chosen: str | None = None
    policy: str | None = None
    floor: str | None = None
    quality: float | None = None
    bound: float | None = None
    propensity: float | None = None
    next: str | None = None
    threshold: float | None = None
    gain: float | None = None
    escalated: bool | None = None
    explored: str | None = None
    audited: bool = False
    cost: int | None = None
    served: str | None = None
    candidates: list[Alternative] = []


def explain(call: CallRow, prices: Prices | None) -> Why:
    """What the record of a call says about its choice. Prices are asked for what it would have cost at each candidate."""
    choice, served = call.choice, f"{call.provider}/{call.provider_model}" if call.provider else None
    if choice is None:
        return Why(call=call.id, why=_unchosen(call), task=call.task, cost=call.cost_micros, served=served)
    usage = _usage(call)
    if choice.answered is not None:
        usage = Usage(input=choice.answered[0], output=choice.answered[1], cached=choice.answered[2])
    return Why(
        call=call.id,
        why=choice.why,
        task=choice.task,
        mode=choice.mode,
        chosen=choice.chosen,
        policy=choice.policy,
        floor=choice.floor,
        quality=choice.quality,
        bound=choice.bound,
        propensity=choice.propensity,
        next=choice.next,
        threshold=choice.threshold,
        gain=choice.gain,
        escalated=choice.escalated,
        explored=choice.explored,
        audited=choice.audited,
        cost=call.cost_micros,
        served=served,
        candidates=_alternatives(call, choice, usage, prices),
    )


def _alternatives(call: CallRow, choice: Choice, usage: Usage | None, prices: Prices | None) -> list[Alternative]:
    return [
        Alternative(
            candidate=one.candidate,
            served=(one.provider, one.model) == (call.provider, call.provider_model),
            ruled_out=one.ruled_out,
            why=one.why,
            estimate=choice.estimates.get(one.candidate),
            quality=one.quality,
            bound=one.bound,
            expected=one.cost,
            would_have_cost=prices.estimate(one.provider, one.model, usage) if prices is not None and usage and one.provider else None,
        )
        for one in choice.candidates
    ]


def _usage(call: CallRow) -> Usage | None:
    if call.input_tokens is None or call.output_tokens is None:
        return None
    return Usage(
        input=call.input_tokens,
        output=call.output_tokens,
        cached=call.cached_tokens or 0,
        cache_written=call.cache_written_tokens or 0,
        reasoning=call.reasoning_tokens or 0,
    )


def _unchosen(call: CallRow) -> str:
    if call.recalled is not None:
        return f"nobody was asked: the answer came from the cache, where {call.recalled.call} left it"
    if call.outcome == "refused":
        return f"refused before a model was chosen: {call.error_message or call.error_code}"
    return f"the caller asked for {call.model}, and that name leads to what served it; evidence chooses where a task is asked for"
