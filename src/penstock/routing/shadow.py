"""Exploration: some calls are put to another candidate as well, after their answer was given, and never shown to anybody.

Both answers go to the task's judge, so that evidence grows where a policy would never look, with the probability of each on it. A month's
budget is counted in the database before a shadow is asked, with the most that it can cost, so neither a restart nor a second
process spends it twice; what it did cost takes the place of that afterwards.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from penstock.kernel.call import Call, Usage
from penstock.kernel.choice import Considered
from penstock.kernel.errors import PenstockError
from penstock.kernel.evidence import Evidence, Sample
from penstock.kernel.ports import ModelAsk, ModelClient
from penstock.kernel.principal import Principal
from penstock.kernel.recall import Prices, Replies
from penstock.kernel.tasks import Task
from penstock.routing import store
from penstock.storage.records import Records

_log = logging.getLogger("penstock.routing")

PATHS: Mapping[str, str] = {
    "openai.chat": "/v1/chat/completions",
    "openai.responses": "/v1/responses",
    "openai.completions": "/v1/completions",
    "anthropic.messages": "/v1/messages",
}
"""Where a call of a shape can be asked for again; others, which name the model in the path or bring files, are not explored."""
MOST_OUTPUT = 4096
"""Tokens of output that a shadow without a cap of its own may take, for what is set aside."""
SHADOW_LABEL = "shadow_of"


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A call whose answer was given: what is needed of it once it is over."""

    id: str
    task: Task
    candidate: str
    principal: Principal
    shape: str
    request: bytes
    reply: bytes
    at: float
    took_ms: float
    cost: int | None
    usage: Usage
    max_output: int | None
    groups: dict[str, str]
    answered_by: str


class Shadows:
    """Puts calls to other candidates and submits what comes of it. ``counts`` says what became of explorations and audits."""

    def __init__(
        self,
        records: Records,
        client: ModelClient,
        evidence: Callable[[], Evidence | None],
        prices: Prices | None,
        replies: Replies,
        most: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._client = client
        self._evidence = evidence
        self._prices = prices
        self._replies = replies
        self._most = most
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        self.spent = 0

    def can(self, call: Call, task: Task) -> bool:
        """Whether calls like this one can be asked again at all, and the task pays for it."""
        return task.explore_budget > 0 and call.shape in PATHS and call.form is None and call.session is None and call.handover is None

    def explore(self, served: Served, other: Considered, propensity: float) -> None:
        """Ask another candidate, some time soon; dropped, and counted, where too many wait."""
        if len(self._running) >= self._most:
            self.counts["dropped"] += 1
            return
        running = asyncio.get_running_loop().create_task(self._explore(served, other, propensity), name="shadow call")
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    def audit(self, served: Served, propensity: float) -> None:
        """Have the answer that was given judged."""
        self._submit(self._sample(served, propensity), "audited")

    async def settle(self) -> None:
        """Until no exploration runs."""
        while self._running:
            await asyncio.wait([*self._running])

    async def stop(self) -> None:
        """Give up what runs; it is on the ledger as a call of its own, and what was set aside stays counted."""
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _explore(self, served: Served, other: Considered, propensity: float) -> None:
        try:
            await self._ask(served, other, propensity)
        except PenstockError as fault:
            self.counts["failed"] += 1
            _log.warning("a shadow call could not be made", extra={"task": served.task.name, "fault": fault.message})
        except Exception:  # a shadow must never be heard of by anybody but the operator
            self.counts["failed"] += 1
            _log.exception("a shadow call could not be made", extra={"task": served.task.name})

    async def _ask(self, served: Served, other: Considered, propensity: float) -> None:
        task = served.task
        output = served.max_output if served.max_output is not None else MOST_OUTPUT
        most = self._prices.estimate(other.provider, other.model, Usage(input=served.usage.input, output=output)) if self._prices else None
        if most is None:
            self.counts["unpriced"] += 1  # what cannot be priced cannot be kept within a budget
            return
        key, month = (task.organisation, task.name), month_of(self._clock())
        if not await self._records.write(lambda c: store.explore(c, *key, month, most, task.explore_budget, 1)):
            self.counts["over_budget"] += 1
            return
        began = self._clock()
        answer = await self._client.call(
            ModelAsk(
                path=PATHS[served.shape],
                body=_asking(served.request, other.candidate, served.max_output, output),
                # The task decides whom it compares; a key's own list of models is about what it may ask for.
                principal=msgspec.structs.replace(served.principal, models=()),
                priority="batch",
                task=task.name,
                labels={SHADOW_LABEL: served.id},
                inside="shadow",
                cache="off",  # what is compared is what the candidate says, costs and takes
            )
        )
        cost = answer.cost or 0
        await self._records.write(lambda c: store.explore(c, *key, month, cost - most, 2**62, 0))
        self.spent += cost
        if answer.status != 200 or answer.usage is None:
            self.counts["refused"] += 1
            return
        self.counts["explored"] += 1
        self._submit(self._sample(served, propensity), "")
        shadow = Sample(
            organisation=task.organisation,
            task=task.name,
            item=served.id,
            call=answer.call,
            candidate=other.candidate,
            source="shadow",
            propensity=propensity,
            shape=served.shape,
            request=served.request,
            reply=answer.body,
            at=self._clock(),
            cost=answer.cost,
            latency_ms=(self._clock() - began) * 1e3,
            input_tokens=answer.usage.input,
            output_tokens=answer.usage.output,
            groups=served.groups,
            answered_by=answer.answered_by,
        )
        self._submit(shadow, "")

    def _sample(self, served: Served, propensity: float) -> Sample:
        return Sample(
            organisation=served.task.organisation,
            task=served.task.name,
            item=served.id,
            call=served.id,
            candidate=served.candidate,
            source="live",
            propensity=propensity,
            shape=served.shape,
            request=served.request,
            reply=served.reply,
            at=served.at,
            cost=served.cost,
            latency_ms=served.took_ms,
            input_tokens=served.usage.input,
            output_tokens=served.usage.output,
            groups=served.groups,
            answered_by=served.answered_by,
        )

    def _submit(self, sample: Sample, what: str) -> None:
        evidence = self._evidence()
        taken = evidence is not None and evidence.submit(sample)
        if not taken:
            self.counts["unjudged"] += 1
        elif what:
            self.counts[what] += 1

    def whole(self, call: Call, reply: bytes) -> bytes | None:
        """A streamed reply as a whole one, as judges read them; None when it cannot be said so."""
        return self._replies.render(call.shape, reply, stream=True, to_stream=False, usage=call.usage or Usage(), show=False)


def month_of(now: float) -> str:
    """``2026-11``, in UTC."""
    return f"{datetime.datetime.fromtimestamp(now, datetime.UTC):%Y-%m}"


def _asking(request: bytes, candidate: str, capped: int | None, output: int) -> bytes:
    fields: dict[str, Any] = msgspec.json.decode(request, type=dict[str, msgspec.Raw])
    for name in ("stream", "stream_options", "store", "previous_response_id", "background"):
        fields.pop(name, None)
    if capped is None:
        fields["max_output_tokens" if "input" in fields else "max_tokens"] = output  # so that what was set aside is enough
    return msgspec.json.encode({**fields, "model": candidate})


__all__ = ["PATHS", "SHADOW_LABEL", "Served", "Shadows", "month_of"]
