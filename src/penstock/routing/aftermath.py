"""What happens to a call for a task once its answer is given: it is watched for drift, and some are explored or audited."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from penstock.kernel.call import Call, Reply
from penstock.kernel.choice import Considered
from penstock.kernel.copied import copy_of
from penstock.kernel.recall import Replies
from penstock.kernel.tasks import Task
from penstock.routing.drift import Drift
from penstock.routing.memory import Live, Policies
from penstock.routing.plan import Plan
from penstock.routing.prompts import Prompt
from penstock.routing.settings import RoutingSettings
from penstock.routing.shadow import Served, Shadows

LARGEST = 1024 * 1024
"""Bytes of a reply that is kept to be judged."""


class Aftermath:
    """Draws the lots when a call is chosen for, so that what comes of it is on its record; acts once the call is over."""

    def __init__(
        self,
        policies: Policies,
        drift: Drift,
        shadows: Shadows,
        replies: Replies,
        settings: RoutingSettings,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._policies = policies
        self._drift = drift
        self._shadows = shadows
        self._replies = replies
        self._watched = settings.watch
        self._audited = settings.audit
        self._chance = chance

    def watch(self, call: Call, reply: Reply, task: Task, plan: Plan, prompt: Prompt | None) -> None:
        """See to what is to be done with this call, whose reply begins."""
        chance, choice = self._chance, plan.choice
        live = self._policies.of(task)
        if live is not None and live.policy.state == "active" and live.fit is not None and (prompt is not None or chance() < self._watched):
            text = None if prompt is not None else self._replies.said(call.shape, call.fields)
            call.at_end(partial(self._seen, live=live, prompt=prompt, text=text))
        other: Considered | None = None
        others: list[Considered] = []
        if task.explore > 0 and chance() < task.explore and self._shadows.can(call, task):
            answered = _answered(call, plan)
            others = [one for one in choice.candidates if one.candidate in plan.allowed and one.candidate != answered]
            if others:
                other = others[int(chance() * len(others)) % len(others)]
                choice.explored = other.candidate
        # Whatever it did with the call: judging only what it accepts would say nothing of the average that is claimed.
        audit = choice.mode == "cascade" and self._audited > 0 and chance() < self._audited
        choice.audited = audit
        if other is None and not audit:
            return
        streamed, copy = reply.chunks is not None, copy_of(reply, LARGEST)
        share = task.explore / len(others) if others else 0.0
        call.at_end(
            partial(self._ended, reply=reply, task=task, plan=plan, copy=copy, streamed=streamed, other=other, share=share, audit=audit)
        )

    def _seen(self, call: Call, *, live: Live, prompt: Prompt | None, text: str | None) -> None:
        if call.outcome == "ok":
            self._drift.call(live, prompt.embedding if prompt is not None else None, text)

    def _ended(
        self,
        call: Call,
        *,
        reply: Reply,
        task: Task,
        plan: Plan,
        copy: Callable[[], bytes | None],
        streamed: bool,
        other: Considered | None,
        share: float,
        audit: bool,
    ) -> None:
        body = copy()
        if call.outcome != "ok" or not reply.finished or body == b"" or call.principal is None or call.usage is None:
            return
        if streamed and body is not None:
            body = self._shadows.whole(call, body)
        if body is None:
            self._shadows.counts["unreadable"] += 1
            return
        groups = {f"label:{name}": value for name, value in call.labels.items()}
        if call.principal.team:
            groups["team"] = call.principal.team
        served = Served(
            id=call.id,
            task=task,
            candidate=_answered(call, plan),
            principal=call.principal,
            shape=call.shape,
            request=call.body,
            reply=body,
            at=time.time(),
            took_ms=call.total_ms,
            cost=call.cost.amount if call.cost is not None and call.cost.priced else None,
            usage=call.usage,
            max_output=call.max_output,
            groups=groups,
            answered_by=f"{call.target.provider}/{call.target.model}" if call.target is not None else "",
        )
        if audit:
            self._shadows.audit(served, self._audited)
        if other is not None:
            self._shadows.explore(served, other, share)


def _answered(call: Call, plan: Plan) -> str:
    """The candidate whose answer was given."""
    target = call.target
    if target is not None:
        for one in plan.choice.candidates:
            if (one.provider, one.model) == (target.provider, target.model):
                return one.candidate
    return plan.choice.chosen
