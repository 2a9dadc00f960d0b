"""A cascade on the line: the small model answers, a certified check looks at the answer, and the next model is asked where it fails.

Both are paid: what the small model used is on the ledger before the next one is asked, under the same call. A stream is held back until
the small model has ended, at most so many bytes of it: nobody is shown an answer that is not accepted yet. A small model that fails, or
is passed over, leaves the call to the next one, as any fallback does; where the next one fails, the call fails: an answer
that the check did not accept is nothing that the floor was certified for.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from penstock.kernel.call import Call, Reply
from penstock.kernel.circumstances import Installments
from penstock.kernel.errors import DeadlineExceeded, UpstreamError
from penstock.kernel.recall import Replies
from penstock.kernel.stage import Proceed
from penstock.routing.answers import answer_features
from penstock.routing.memory import Live

if TYPE_CHECKING:
    from penstock.routing.plan import Plan
    from penstock.routing.prompts import Prompt

_log = logging.getLogger("penstock.routing")


class Cascading:
    """Makes the trips. ``accepted``, ``escalated`` and ``fallen`` (the small model did not answer) count calls."""

    def __init__(self, replies: Replies, installments: Installments, stream_bytes: int) -> None:
        self._replies = replies
        self._installments = installments
        self._most = stream_bytes
        self.accepted = 0
        self.escalated = 0
        self.fallen = 0

    async def __call__(self, call: Call, proceed: Proceed, plan: Plan, prompt: Prompt) -> Reply:
        """The reply of one of the plan's two targets. Raises what the line raises; what was spent by then is on the ledger."""
        live, choice, (small, large) = plan.live, plan.choice, plan.targets
        assert live is not None
        call.asks_all = True
        reply = await proceed(call)
        target = call.target
        if target is None or (target.provider, target.model) != (small.provider, small.model):
            self.fallen += 1
            choice.escalated = True
            choice.why = f"{small.name} did not answer; {choice.why}"
            return reply
        streamed = reply.chunks is not None
        body, refused = (reply.body, "") if reply.chunks is None else await self._collect(reply, reply.chunks)
        if body is not None and not refused:
            refused = self._judge(call, live, plan, prompt, body, streamed=streamed)
        if body is not None and not refused:
            self.accepted += 1
            choice.escalated = False
            if streamed:
                reply.chunks = _replayed(body)
            return reply
        self.escalated += 1
        choice.escalated = True
        choice.why = f"{small.name} answered and {large.name} was asked as well: {refused}; {choice.why}"
        await self._installments.close(call)
        call.targets = [large]
        return await proceed(call)

    async def _collect(self, reply: Reply, chunks: AsyncIterator[bytes]) -> tuple[bytes | None, str]:
        """The whole stream, or None and why it is not accepted. Whatever happens, the stream is closed, so its use is known."""
        parts: list[bytes] = []
        held = 0
        try:
            async for chunk in chunks:
                held += len(chunk)
                if held > self._most:
                    return None, f"its stream is longer than {self._most} bytes, which is as much as is held back"
                parts.append(chunk)
        except (UpstreamError, DeadlineExceeded) as fault:
            return None, f"its stream ended with {fault.code}"
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        return (b"".join(parts), "") if reply.finished else (None, "its stream was cut off")

    def _judge(self, call: Call, live: Live, plan: Plan, prompt: Prompt, body: bytes, *, streamed: bool) -> str:
        """Why the answer is not accepted; empty when it is. What cannot be checked is not accepted."""
        assert live.fit is not None
        try:
            seen = self._replies.see(call.shape, body, stream=streamed)
        except Exception:  # a reply that nobody can read is one that is not accepted; the next model answers
            _log.exception("a cascade cannot look at a reply", extra={"call": call.id})
            return "its answer cannot be read"
        if seen is None:
            return "its answer is not finished, or was refused or filtered"
        if seen.tools or not seen.text:
            return "its answer asks for tools or says nothing, which the check cannot judge"
        features = [*prompt.features, *answer_features(prompt.text, seen.text)]
        small, large = live.fit.estimator("cascade").of_one(features, prompt.vector)  # in the order of SMALL and LARGE of `cascade`
        gain = large - small
        plan.choice.gain = round(gain, 6) if math.isfinite(gain) else None
        if not gain <= live.policy.threshold:  # so that what is not a number escalates
            return f"a better answer was expected ({gain:+.3f}, above the certified {live.policy.threshold:+.3f})"
        return ""


async def _replayed(body: bytes) -> AsyncIterator[bytes]:
    yield body
