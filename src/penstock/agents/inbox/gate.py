"""Whether a call may begin: asked in the transaction that begins it, so that nothing which changes meanwhile goes unseen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from sqlalchemy import Connection

from penstock.agents.inbox import store, who
from penstock.agents.inbox.model import Need, Proposal, Request, request_id
from penstock.agents.inbox.policies import Policies
from penstock.storage.moment import moment

WithheldCode = Literal[
    "approval_needed", "approval_refused", "approval_rejected", "approval_expired", "approval_revoked", "approval_void", "approval_closed"
]


class Withheld(Struct, frozen=True, kw_only=True):
    """Why a call may not begin. With ``approval_needed`` it may, once what it ``needs`` is there. ``begun``: it was under way before."""

    code: WithheldCode
    text: str
    need: Need | None = None
    policy: str = ""
    begun: bool = False


class Gate:
    """Says of each call that changes something whether it may begin."""

    def __init__(self, policies: Policies, standing: who.Standing, *, clock: Callable[[Connection], float] = moment) -> None:
        """``standing`` says what the keys of those who agreed are worth now."""
        self.policies = policies
        self._standing_of = standing
        self._clock = clock

    def permit(self, connection: Connection, call: Proposal) -> Withheld | None:
        """None where the call may begin: nothing is needed, or everybody who is needed by the policy in force has agreed to exactly this
        call of this run, in time, none of them on their own behalf, all of them may still, and nobody has taken it back."""
        asked = self.policies.needs(connection, call)
        if asked.need.nothing:
            return None
        rules = ", ".join(asked.need.rules)
        if asked.need.refused:
            return Withheld(code="approval_refused", text=f"the policy refuses this call (rule {rules})")
        kept = store.one(connection, request_id(call.run, "approval", call.call))
        if kept is None:
            return Withheld(code="approval_needed", text=f"this needs {asked.told} (rule {rules})", need=asked.need, policy=asked.policy)
        return self._standing(connection, kept, call, asked.need)

    def _standing(self, connection: Connection, kept: Request, call: Proposal, need: Need) -> Withheld | None:
        now = self._clock(connection)
        if kept.digest != call.digest:
            return self._void(connection, kept, now, "what was proposed is not what would be called now")
        match kept.state:
            case "open" if now < kept.expires_at:
                return Withheld(code="approval_needed", text="nobody has decided yet", need=kept.need, policy=kept.policy)
            case "open" | "expired":
                return Withheld(code="approval_expired", text="nobody agreed to it in time")
            case "rejected":
                note = f": {kept.note}" if kept.note else ""
                return Withheld(code="approval_rejected", text=f"it was rejected{note}")
            case "revoked":
                return Withheld(code="approval_revoked", text="the approval was taken back" + (f": {kept.note}" if kept.note else ""))
            case "closed":
                return Withheld(code="approval_closed", text="its run was ended before anybody agreed to it")
            case "approved":
                pass
            case _:
                return Withheld(code="approval_void", text="the approval does not hold any more")
        if kept.valid_until is None or now >= kept.valid_until:
            return Withheld(code="approval_expired", text="it was approved, but did not begin in time")
        votes = who.upheld(kept, self._standing_of)
        if not who.satisfied(kept.need, votes, kept.key, kept.person) or (kept.key, kept.person) != (call.key, call.person):
            return self._void(connection, kept, now, "who agreed to it may not, or may not any more")
        if not kept.need.covers(need):
            return self._void(connection, kept, now, "the policy asks for more by now")
        return None

    def _void(self, connection: Connection, kept: Request, now: float, why: str) -> Withheld:
        if store.end(connection, kept.id, kept.state, "void", now, note=why, told=True):
            store.note(connection, kept.organisation, kept.id, "void", now, why=why)
        return Withheld(code="approval_void", text=why)
