"""Who may agree to what: never whoever began it, nobody twice, and nobody who has lost the right since."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import structs

from penstock.agents.inbox.model import ADMINS, ANYONE, Delegation, Need, Quorum, Request, Vote
from penstock.kernel.errors import RequestError
from penstock.kernel.principal import Principal, Scope

Standing = Callable[[str], Principal | None]
"""Who a key, by its id, stands for now; None where it is unknown, has expired or was revoked."""

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


def counts(
    one: Request, principal: Principal, lent: Sequence[Delegation], standing: Standing, now: float
) -> tuple[tuple[int, ...], Delegation | None]:
    """Among whose people the principal is, by the number of the quorum, and who lets them where it is not by their own right. Nobody
    counts on behalf of whoever the run works for, nor of whoever has lost the right themselves."""
    admin = principal.may(Scope.ADMIN)
    mine = _counted(one, principal.person or "", principal.team or "", admin, now)
    if mine:
        return mine, None
    for loan in lent:
        giver = _giver(loan, standing)
        if giver is None or loan.giver == one.person:
            continue
        team = loan.team if giver.team == loan.team else ""
        if theirs := _counted(one, loan.giver, team, loan.admin and giver.may(Scope.ADMIN), now):
            return theirs, loan
    return (), None


def worth(loan: Delegation, standing: Standing) -> Literal["holds", "less", "nothing"]:
    """What a delegation is worth now, beside what it was when it was given."""
    giver = _giver(loan, standing)
    if giver is None:
        return "nothing"
    return "less" if loan.admin > giver.may(Scope.ADMIN) or (loan.team and loan.team != giver.team) else "holds"


def _giver(loan: Delegation, standing: Standing) -> Principal | None:
    return _person(standing(loan.key), loan.organisation, loan.giver)


def upheld(one: Request, standing: Standing) -> tuple[Vote, ...]:
    """What was said to a request, as far as it counts now: a yes of a person whose key has lost the right since, or whose giver's has, is
    among no quorum any more. A no stays one."""
    return tuple(
        vote if vote.validator or not vote.approve else structs.replace(vote, counts=_still(one, vote, standing)) for vote in one.votes
    )


def _still(one: Request, vote: Vote, standing: Standing) -> tuple[int, ...]:
    found = _person(standing(vote.key), one.organisation, vote.voter)
    if found is not None and vote.behalf:
        found = _person(standing(vote.behalf_key), one.organisation, vote.behalf)
    if found is None:
        return ()
    still = _counted(one, found.person or "", found.team or "", found.may(Scope.ADMIN), vote.at)
    return tuple(n for n in vote.counts if n in still)


def _person(found: Principal | None, organisation: str, person: str) -> Principal | None:
    """Who a key stands for, where that is still this person of this organisation."""
    return found if found is not None and (found.organisation, found.person) == (organisation, person) else None


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
