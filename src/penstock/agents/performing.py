"""One call of a tool, however it ends: done, failed, to be tried again, or in doubt; never twice where that would do something twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from penstock.agents.effects import Effects, EffectState
from penstock.agents.faults import taken
from penstock.agents.inbox.consent import Consent
from penstock.agents.inbox.gate import Gate, Withheld
from penstock.agents.inbox.model import Need, Proposal
from penstock.agents.inbox.provenance import Origin, proposal
from penstock.agents.memory.remembering import Remembering
from penstock.agents.tools import Tool, ToolContext
from penstock.kernel.wording import as_text
from penstock.logs import redact

NOT_CHECKED = "nobody can be asked whether it happened"

MESSAGE_BYTES = 4096
"""Of what a tool that failed had to say."""


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a call of a tool ended. ``text`` is its result as JSON (a text as it is), or what went wrong, with a stable ``code``.

    ``cut`` is how many bytes of the result were left out for its size. ``again`` has not ended: it is tried once more, after ``after``
    seconds at the earliest. ``held`` has not begun: it ``needs`` the agreement of others first, says the ``policy``. ``at`` is when it
    ended, in Unix seconds, ``call`` the id of the model's call that it is the result of. ``plain``: the result is the text itself, and no
    JSON.
    """

    state: Literal["done", "failed", "in_doubt", "again", "held"]
    text: str = ""
    code: str = ""
    cut: int = 0
    after: float = 0.0
    at: float = 0.0
    call: str = ""
    plain: bool = False
    needs: Need | None = None
    policy: str = ""

    @property
    def over(self) -> EffectState | None:
        """How the call ended; None where it has not."""
        return None if self.state == "again" or self.state == "held" else self.state  # noqa: PLR1714 # a set tells the type nothing

    def words(self) -> str:
        """It as a model reads it."""
        match self.state:
            case "done":
                return self.text + (f"\n[{self.cut} more bytes were left out]" if self.cut else "")
            case "in_doubt":
                return f"Nobody knows whether this happened: {self.text}. Do not do it again; say so."
            case _:
                return f"This failed: {self.text}"


NOBODY = Origin()


class Performing:
    """Calls tools. Without ``effects`` nothing is written down, which is for trying agents out in memory; ``remembering`` is what runs
    have of threads and memory, where there is any. Without a ``gate`` no policy is asked whether a call may be made."""

    def __init__(
        self,
        effects: Effects | None = None,
        remembering: Remembering | None = None,
        *,
        gate: Gate | None = None,
        consent: Callable[[], Consent] | None = None,
    ) -> None:
        """``consent`` makes what one run asks others with; without it, what needs that is not done."""
        self._effects = effects
        self.remembering = remembering
        self._gate = gate
        self._consent = consent

    def consent(self) -> Consent | None:
        """What one run asks others with, where anybody can be asked."""
        return None if self._consent is None else self._consent()

    async def once(
        self,
        tool: Tool[..., Any],
        arguments: Mapping[str, Any],
        context: ToolContext,
        *,
        last: bool,
        within: float | None = None,
        origin: Origin = NOBODY,
    ) -> Outcome:
        """Make the call, unless it was made before; ``last`` says that it will not be tried again, so it has to end. It may take as long
        as the tool says, and no longer than ``within`` seconds. ``origin`` is who wants it made, by which policies go.

        Raises `StorageError` where it cannot be written down: before the call nothing has happened then, after it the call is in doubt for
        whoever comes next. A cancellation goes through, and leaves the call in doubt too.
        """
        effects = self._effects
        if tool.effect == "read" or effects is None:
            return (await self._call(tool, arguments, context, last=last, within=within))[0]
        permit = None if self._gate is None else partial(self._gate.permit, call=proposed(tool, arguments, context, origin))
        before = await effects.begin(context.key, context.organisation, context.run, tool.name, tool.effect, permit)
        if isinstance(before, Withheld):
            return await self._withheld(tool, arguments, context, before, effects)
        if before is not None and before.outcome is not None and before.state != "begun":
            return msgspec.convert(before.outcome, Outcome)
        if before is not None and not tool.honours_key:
            told = await self._happened(tool, arguments, context, "it was under way when its process died", last=last)
            if told.over is not None:
                await effects.end(context.key, told.over, told)
                return told
        outcome, sure = await self._call(tool, arguments, context, last=last, within=within)
        if outcome.over is not None:
            await effects.end(context.key, outcome.over, outcome)
        elif sure:
            await effects.end(context.key, "failed", outcome)
        return outcome

    async def _withheld(
        self, tool: Tool[..., Any], arguments: Mapping[str, Any], context: ToolContext, why: Withheld, effects: Effects
    ) -> Outcome:
        """How a call ended that may not begin, or that waits for others; one that was under way may have happened."""
        if why.begun:
            told = await self._happened(tool, arguments, context, f"it was under way when its process died, and {why.text}", last=True)
            await effects.end(context.key, told.over or "in_doubt", told)
            return told
        if why.code == "approval_needed":
            return Outcome(state="held", text=why.text, code=why.code, at=time.time(), needs=why.need, policy=why.policy)
        return Outcome(state="failed", text=why.text, code=why.code, at=time.time())

    async def _call(
        self, tool: Tool[..., Any], arguments: Mapping[str, Any], context: ToolContext, *, last: bool, within: float | None
    ) -> tuple[Outcome, bool]:
        """How it ended, and whether that is sure: a call that is tried again may yet have happened."""
        try:
            async with asyncio.timeout(tool.seconds if within is None else max(0.0, min(tool.seconds, within))):
                result = await tool.perform(arguments, context)
        except Exception as fault:  # whatever a tool raises is how its call ended
            how, after = taken(fault)
            said = _said(fault, tool)
            if how == "permanent":
                return _ended("failed", said, "tool_failed"), True
            if how == "transient":
                again = Outcome(state="again", text=said, code="tool_unavailable", after=after, at=time.time())
                return (_ended("failed", said, "tool_unavailable") if last else again), True
            if tool.effect == "read":
                again = Outcome(state="again", text=said, code="tool_timeout", at=time.time())
                return (_ended("failed", said, "tool_timeout") if last else again), True
            if tool.honours_key and not last:
                return Outcome(state="again", text=said, code="tool_in_doubt", at=time.time()), False
            told = await self._happened(tool, arguments, context, said, last=last)
            return told, True
        return _result(tool, result), True

    async def _happened(self, tool: Tool[..., Any], arguments: Mapping[str, Any], context: ToolContext, why: str, *, last: bool) -> Outcome:
        """What the tool's own check says of a call in doubt; `again` where it did not happen."""
        if tool.check is None:
            return _ended("in_doubt", f"{why}; {NOT_CHECKED}", "tool_in_doubt")
        try:
            async with asyncio.timeout(tool.seconds):
                found = await tool.check(**arguments, context=context)
        except Exception as fault:  # the check is the tool author's, like the tool
            return _ended("in_doubt", f"{why}; the check of it failed: {_said(fault, tool)}", "tool_in_doubt")
        if found is not None:
            return _result(tool, found)
        if last:
            return _ended("failed", why, "tool_failed")
        return Outcome(state="again", text=why, code="tool_unavailable", at=time.time())


def proposed(tool: Tool[..., Any], arguments: Mapping[str, Any], context: ToolContext, origin: Origin) -> Proposal:
    """The call that would be made, as policies look at it; what it is bound to is read from the call itself."""
    return proposal(
        origin if origin.person else structs.replace(origin, person=context.person),
        run=context.run,
        organisation=context.organisation,
        call=context.key,
        tool=tool.name,
        effect=tool.effect,
        owner=tool.owner,
        arguments=arguments,
        amount=None if tool.amount is None else tool.amount.read(arguments),
    )


def _result(tool: Tool[..., Any], result: Any) -> Outcome:
    try:
        text = as_text(result)
        data = text.encode()
    except (TypeError, ValueError, OverflowError, RecursionError) as fault:
        # It did what it does; only what it says of it cannot be read.
        said = f"{tool.name} was called, and what it returned cannot be told as JSON: {redact(str(fault))}"
        return Outcome(state="done", text=said, code="tool_result_unreadable", at=time.time())
    if len(data) <= tool.most_bytes:
        return Outcome(state="done", text=text, at=time.time(), plain=isinstance(result, str))
    kept = data[: tool.most_bytes].decode(errors="ignore")
    return Outcome(state="done", text=kept, code="tool_result_cut", cut=len(data) - len(kept.encode()), at=time.time())


def _ended(state: EffectState, text: str, code: str) -> Outcome:
    assert state != "begun"
    return Outcome(state=state, text=text, code=code, at=time.time())


def _said(fault: BaseException, tool: Tool[..., Any]) -> str:
    if isinstance(fault, TimeoutError) and not str(fault):
        return f"{tool.name} did not answer within {tool.seconds:g} s"
    return told(fault)


def told(fault: BaseException) -> str:
    """An exception in words, without secrets."""
    try:
        said = str(fault)
    except Exception:  # somebody's broken __str__ must not become the outcome
        said = ""
    text = redact(f"{type(fault).__name__}: {said}" if said else type(fault).__name__)[:MESSAGE_BYTES]
    # Half of a character, as names of files that are no UTF-8 have it, can be raised and not be written down.
    return text.encode(errors="backslashreplace").decode()
