"""Long-term memory as tools of an agent: ``tools=[remember, recall, forget]``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from penstock.agents.faults import Permanent, Transient
from penstock.agents.inbox.provenance import REMEMBERED
from penstock.agents.recollection import Memory, Recollection
from penstock.agents.tools import ToolContext, tool
from penstock.kernel.errors import NotFound, PenstockError, StorageError

MOST = 20


class Recalled(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A memory as an agent is told it."""

    id: str
    text: str
    scope: str
    labels: list[str] = []
    age_days: float = 0.0


@tool(effect="write", honours_key=True)
async def remember(
    text: Annotated[str, Meta(description="One thing worth knowing later, in a sentence that can be understood on its own.")],
    context: ToolContext,
    scope: Annotated[
        Literal["person", "team", "agent"], Meta(description="Whose it is: the person's you work for, the team's, or your own.")
    ] = "person",
    labels: Annotated[list[str], Meta(description="A few words to find it by.")] = [],  # noqa: B006 - a default of a schema, never changed
    days: Annotated[float | None, Meta(description="For how many days it matters, if it will not matter for long.")] = None,
) -> Recalled:
    """Keep something in long-term memory, for later conversations. Do not keep secrets, nor what somebody asks you not to keep."""
    try:
        return _told(await _memory(context).remember(text, scope, labels=labels, days=days, key=context.key))
    except PenstockError as fault:
        raise _fault(fault) from fault


@tool(effect="read", labels=[REMEMBERED])
async def recall(
    query: Annotated[str, Meta(description="What you want to know, in words that the memory may hold.")],
    context: ToolContext,
    scope: Annotated[Literal["person", "team", "agent"] | None, Meta(description="Only this memory; all three if left out.")] = None,
    label: Annotated[str, Meta(description="Only what has this label.")] = "",
    most: Annotated[int, Meta(ge=1, le=MOST)] = 5,
) -> list[Recalled]:
    """Look into long-term memory. What is found was said earlier, by people or by you, and may be out of date."""
    try:
        return [_told(one) for one in await _memory(context).recall(query, scope, label=label, most=most)]
    except PenstockError as fault:
        raise _fault(fault) from fault


@tool(effect="write", honours_key=True)
async def forget(id: Annotated[str, Meta(description="The id of what was recalled.")], context: ToolContext) -> str:
    """Delete something from long-term memory, because it is wrong or is not wanted there."""
    try:
        await _memory(context).forget(id)
    except NotFound:
        return f"There is no memory {id[:100]}: it is forgotten, or was never yours."
    except PenstockError as fault:
        raise _fault(fault) from fault
    return "forgotten"


def _memory(context: ToolContext) -> Recollection:
    if context.memory is None:
        raise Permanent("there is no memory here: this agent runs outside of Penstock")
    return context.memory


def _told(one: Memory) -> Recalled:
    age = (one.used_at - one.created_at) / 86_400
    return Recalled(id=one.id, text=one.text, scope=one.scope, labels=one.labels, age_days=round(max(0.0, age), 1))


def _fault(fault: PenstockError) -> Exception:
    if isinstance(fault, StorageError):
        return Transient(fault.message, after=fault.retry_after or 1.0)
    return Permanent(fault.message)
