"""The station that chooses by evidence for calls that ask for a task."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.kernel.call import Call, Reply
from penstock.kernel.errors import PenstockError
from penstock.kernel.recall import Embedder, Replies
from penstock.kernel.stage import Proceed, Slot
from penstock.kernel.tasks import TASK_PREFIX, Task, Tasks
from penstock.routing.cascading import Cascading
from penstock.routing.features import prompt_features
from penstock.routing.memory import Live, Policies
from penstock.routing.plan import Planner
from penstock.routing.prompts import Prompt, embedded

if TYPE_CHECKING:
    from penstock.routing.aftermath import Aftermath


class Route:
    """Chooses the cheapest allowed candidate whose evidence meets the task's floor, the default where there is none; says why.

    A router's pick waits for the prompt's embedding, a cascade for the small model's answer; everything else is in memory.
    """

    name = "route"
    slot = Slot.CHOOSE

    def __init__(self, policies: Policies, embed_ms: float, chance: Callable[[], float] = random.random) -> None:
        self._policies = policies
        self._embed_seconds = embed_ms / 1e3
        self._chance = chance
        self._tasks: Tasks | None = None
        self._planner: Planner | None = None
        self._replies: Replies | None = None
        self._embedder: Embedder | None = None
        self._cascading: Cascading | None = None
        self._aftermath: Aftermath | None = None
        self.modes: dict[str, int] = {}
        self.unguessed: dict[str, int] = {}

    def open(
        self,
        tasks: Tasks | None,
        planner: Planner,
        *,
        replies: Replies | None = None,
        embedder: Embedder | None = None,
        cascading: Cascading | None = None,
        aftermath: Aftermath | None = None,
    ) -> None:
        """Join the stage to the other rooms; before the first call. Without ``tasks`` no call stops here."""
        self._tasks = tasks
        self._planner = planner
        self._replies = replies
        self._embedder = embedder
        self._cascading = cascading
        self._aftermath = aftermath

    def concerns(self, call: Call) -> bool:
        """Whether the call asks for a task that has candidates; one that names a model beside its task gets that model."""
        task, tasks = call.task, self._tasks
        if task is None or tasks is None or not call.model.startswith(TASK_PREFIX) or call.targets:
            return False
        found = tasks.find(call.principal.organisation if call.principal is not None else "", task)
        return found is not None and bool(found.candidates)

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        tasks, planner = self._tasks, self._planner
        assert tasks is not None
        assert planner is not None
        assert call.task is not None
        task = tasks.find(call.principal.organisation if call.principal is not None else "", call.task)
        if task is None:  # gone since `concerns`
            return await proceed(call)
        live, field = self._policies.of(task), planner.field(task)
        prompt, unguessed = None, ""
        chances: list[float] | None = None
        if live is not None and live.fit is not None and _by_prompt(live, task) and live.unusable(task, field.claim, field.models) is None:
            prompt, unguessed = await self._look(call, live)
            if prompt is not None and live.policy.kind == "router":
                chances = live.fit.estimator("router").of_one(prompt.features, prompt.vector)
        plan = planner.plan(call, field, live, chances, checkable=prompt is not None, unguessed=unguessed)
        call.choice, call.targets = plan.choice, plan.targets
        mode = plan.choice.mode
        self.modes[mode] = self.modes.get(mode, 0) + 1
        if plan.cascade:
            assert prompt is not None
            assert self._cascading is not None
            reply = await self._cascading(call, proceed, plan, prompt)
        else:
            reply = await proceed(call)
        if self._aftermath is not None:
            self._aftermath.watch(call, reply, task, plan, prompt)
        return reply

    async def _look(self, call: Call, live: Live) -> tuple[Prompt | None, str]:
        """The prompt as estimates see it; or None, and why not."""
        policy, embedder, replies = live.policy, self._embedder, self._replies
        if embedder is None or embedder.id != policy.embedder:
            return self._without("embedder", f"no estimate: policy {policy.number} was fitted with another embedding model than is here")
        text = replies.said(call.shape, call.fields) if replies is not None and call.session is None else None
        if not text:
            return self._without("prompt", "no estimate: the call does not end with text of the user")
        if policy.kind == "cascade" and call.handover is not None:
            return self._without("handover", "no cascade: the call may be handed over to a vendor's batch, which answers once")
        vector = embedder.at_hand(embedded(text))
        if vector is None:
            try:
                async with asyncio.timeout(self._embed_seconds):
                    (vector,) = await embedder.embed([embedded(text)])
            except TimeoutError:
                return self._without("late", f"no estimate: the embedding took longer than {self._embed_seconds * 1e3:g} ms")
            except PenstockError as fault:
                return self._without("failed", f"no estimate: {fault.message}")
        return Prompt(text, prompt_features(text), vector), ""

    def _without(self, reason: str, why: str) -> tuple[None, str]:
        self.unguessed[reason] = self.unguessed.get(reason, 0) + 1
        return None, why


def _by_prompt(live: Live, task: Task) -> bool:
    """Whether the prompt decides, so that its embedding is worth the wait."""
    kind = live.policy.kind
    return (kind == "router" and task.mode != "default") or (kind == "cascade" and task.mode == "cascade")
