"""Calls that have ended, as the line leaves them."""

from __future__ import annotations

import json
from typing import Any

from penstock.kernel.call import Attempt, Call, Cost, Target, Trace, Usage
from penstock.kernel.errors import PenstockError
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal, Scope
from penstock.observability.record import outcome_of

NOW = 1_800_000_000.0
OPERATOR = Principal(key_id="key_root", name="root", organisation="org_home", scopes=frozenset({Scope.ADMIN}), home=True)
READER = Principal(key_id="key_a", name="a", organisation="org_a", team="team_a", project="project_a", scopes=frozenset({Scope.READ}))
OTHER = Principal(key_id="key_b", name="b", organisation="org_b", scopes=frozenset({Scope.READ}))


def ended(
    *,
    at: float = NOW,
    who: Principal | None = READER,
    model: str = "m",
    task: str | None = None,
    took: float = 12.5,
    error: PenstockError | None = None,
    ask: str = "",
    told: str = "",
    **more: Any,
) -> Call:
    """A chat that began at ``at`` (Unix seconds) and took ``took`` ms: answered, or ended by ``error``. Other attributes by name."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": ask}]}).encode() if ask else b""
    call = Call(operation="chat", shape="openai.chat", credential="psk_never_kept", deadline=0.0, trace=Trace.begin(), body=body)
    call.started_at = at
    # Ids are made of the moment; this call is of another one.
    call.id = f"call_{int(at * 1000):012x}{new_id('call')[-12:]}"
    call.principal, call.model, call.task, call.total_ms = who, model, task, took
    if told:
        call.reply_text = [json.dumps({"choices": [{"message": {"role": "assistant", "content": told}, "finish_reason": "stop"}]}).encode()]
    if error is None:
        call.outcome, call.reply_status = "ok", 200
        call.target = Target("p", f"p-{model}", model)
        call.usage, call.cost = Usage(input=100, output=20), Cost(amount=1500)
        call.attempts = [Attempt(provider="p", model=f"p-{model}", started_ms=1.0, first_token_ms=5.0, ended_ms=took, status=200)]
    else:
        call.outcome, call.reply_status, call.error = outcome_of(error), error.status, error
    for name, value in more.items():
        setattr(call, name, value)
    return call
