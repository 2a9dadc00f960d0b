"""One call of a tool, however it ends: done, failed, to be tried again, or in doubt; never twice where that would do something twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from penstock.agents.effects import Effects, EffectState
from penstock.agents.faults import taken
from penstock.agents.tools import Tool, ToolContext
from penstock.logs import redact

NOT_CHECKED = "nobody can be asked whether it happened"

MESSAGE_BYTES = 4096
"""Of what a tool that failed had to say."""


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a call of a tool ended. ``text`` is its result as JSON (a text as it is), or what went wrong, with a stable ``code``.

    ``cut`` is how many bytes of the result were left out for its size. ``again`` has not ended: it is tried once more, after ``after``
    seconds at the earliest. ``at`` is when it ended, in Unix seconds.
    """

    state: Literal["done", "failed", "in_doubt", "again"]
    text: str = ""
    code: str = ""
    cut: int = 0
    after: float = 0.0
    at: float = 0.0


class Performing:
    """Calls tools. Without ``effects`` nothing is written down, which is for trying agents out in memory."""

    def __init__(self, effects: Effects | None = None) -> None:
        self._effects = effects

    async def once(self, tool: Tool[..., Any], arguments: Mapping[str, Any], context: ToolContext, *, last: bool) -> Outcome:
        """Make the call, unless it was made before; ``last`` says that it will not be tried again, so it has to end.

        Raises `StorageError` where it cannot be written down: before the call nothing has happened then, after it the call is in doubt for
        whoever comes next. A cancellation goes through, and leaves the call in doubt too.
        """
        effects = self._effects
        if tool.effect == "read" or effects is None:
            return (await self._call(tool, arguments, context, last=last))[0]
        before = await effects.begin(context.key, context.organisation, context.run, tool.name, tool.effect)
        if before is not None and before.outcome is not None and before.state != "begun":
            return msgspec.convert(before.outcome, Outcome)
        if before is not None and not tool.honours_key:
            told = await self._happened(tool, arguments, context, "it was under way when its process died", last=last)
            if told.state != "again":
                await effects.end(context.key, told.state, told)
                return told
        outcome, sure = await self._call(tool, arguments, context, last=last)
        if outcome.state != "again":
            await effects.end(context.key, outcome.state, outcome)
        elif sure:
            await effects.end(context.key, "failed", outcome)
        return outcome

    async def _call(self, tool: Tool[..., Any], arguments: Mapping[str, Any], context: ToolContext, *, last: bool) -> tuple[Outcome, bool]:
        """How it ended, and whether that is sure: a call that is tried again may yet have happened."""
        try:
            async with asyncio.timeout(tool.seconds):
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


def _result(tool: Tool[..., Any], result: Any) -> Outcome:
    try:
        text = result if isinstance(result, str) else msgspec.json.encode(result).decode()
        data = text.encode()
    except (TypeError, ValueError, OverflowError, RecursionError) as fault:
        # It did what it does; only what it says of it cannot be read.
        said = f"{tool.name} was called, and what it returned cannot be told as JSON: {redact(str(fault))}"
        return Outcome(state="done", text=said, code="tool_result_unreadable", at=time.time())
    if len(data) <= tool.most_bytes:
        return Outcome(state="done", text=text, at=time.time())
    kept = data[: tool.most_bytes].decode(errors="ignore")
    return Outcome(state="done", text=kept, code="tool_result_cut", cut=len(data) - len(kept.encode()), at=time.time())


def _ended(state: EffectState, text: str, code: str) -> Outcome:
    assert state != "begun"
    return Outcome(state=state, text=text, code=code, at=time.time())


def _said(fault: BaseException, tool: Tool[..., Any]) -> str:
    if isinstance(fault, TimeoutError) and not str(fault):
        return f"{tool.name} did not answer within {tool.seconds:g} s"
    try:
        said = str(fault)
    except Exception:  # somebody's broken __str__ must not become the outcome
        said = ""
    return redact(f"{type(fault).__name__}: {said}" if said else type(fault).__name__)[:MESSAGE_BYTES]
