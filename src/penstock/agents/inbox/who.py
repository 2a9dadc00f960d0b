"""Who may agree to what: never whoever began it, and nobody twice."""

from __future__ import annotations

import re
from collections.abc import Sequence

from penstock.agents.inbox.model import ADMINS, ANYONE, Delegation, Need, Quorum, Request, Vote
from penstock.kernel.errors import RequestError
from penstock.kernel.principal import Principal, Scope

NAMED = re.compile(r"(person|team):[\w.:-]{1,200}")


def check(names: Sequence[str], where: str) -> None:
    """Raise `RequestError` for what names nobody."""
    for name in names:
        if name not in (ADMINS, ANYONE) and NAMED.fullmatch(name) is None:
            raise RequestError(f"{where}: {name[:100]!r} is none of {ADMINS}, {ANYONE}, person:ID, team:ID", param=where)


def among(names: Sequence[str], person: str, team: str, admin: bool) -> bool:
    """Whether somebody is one of those named."""
    return any(
        name == ANYONE or (name == ADMINS and admin) or (person and name == f"person:{person}") or (team and name == f"team:{team}")
        for name in names
    )


def own(one: Request, principal: Principal) -> bool:
    """Whether the run of a request is the principal's own: they began it, or it works for them."""
    return principal.key_id == one.key or bool(principal.person and principal.person == one.person)


def counts(one: Request, principal: Principal, lent: Sequence[Delegation], now: float) -> tuple[tuple[int, ...], str]:
    """Among whose people the principal is, by the number of the quorum, and on whose behalf where it is not by their own right. Nobody
    counts on behalf of whoever the run works for."""
    admin = principal.may(Scope.ADMIN)
    mine = _counted(one, principal.person or "", principal.team or "", admin, now)
    if mine:
        return mine, ""
    for loan in lent:
        if loan.giver != one.person and (theirs := _counted(one, loan.giver, loan.team, loan.admin, now)):
            return theirs, loan.giver
    return (), ""


def _counted(one: Request, person: str, team: str, admin: bool, now: float) -> tuple[int, ...]:
    return tuple(n for n, quorum in enumerate(one.need.quorums) if among(names(quorum, one.opened_at, now), person, team, admin))


def names(quorum: Quorum, opened_at: float, now: float) -> tuple[str, ...]:
    """Of whom a quorum may be by now."""
    late = quorum.escalate is not None and now >= opened_at + quorum.escalate
    return (*quorum.by, *quorum.escalate_to) if late else quorum.by


def satisfied(need: Need, votes: Sequence[Vote], key: str, person: str) -> bool:
    """Whether everybody who is needed has agreed, and nobody refused: each validator, and in each quorum enough distinct people, none of
    whom began the run or has it work for them."""
    if need.refused or not all(one.approve for one in votes):
        return False
    valid = {one.validator for one in votes if one.validator and one.key != key}
    if not valid.issuperset(need.validators):
        return False
    people = [one for one in votes if not one.validator and one.key != key and one.voter != person and (not person or one.behalf != person)]
    # Whoever lets others agree in their place counts once, with themselves and all of those.
    return all(
        len({one.behalf or one.voter for one in people if n in one.counts}) >= quorum.people for n, quorum in enumerate(need.quorums)
    )
