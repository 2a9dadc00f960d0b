"""Who may look into whose threads and memory: administrators and keys that are nobody's into all of their organisation's, a person into
their own and their team's."""

from __future__ import annotations

from penstock.agents.recollection import Owner, Scope
from penstock.kernel.errors import Forbidden, RequestError
from penstock.kernel.principal import Principal
from penstock.kernel.principal import Scope as Right


def confined(principal: Principal) -> bool:
    """Whether the principal is a person who sees their own alone."""
    return principal.person is not None and not principal.may(Right.ADMIN)


def person_of(principal: Principal) -> str | None:
    """The person whose threads may be seen alone, None for all."""
    return principal.person if confined(principal) else None


def owners(principal: Principal) -> list[Owner] | None:
    """Whose memory may be seen, None for all of the organisation."""
    if not confined(principal) or principal.person is None:
        return None
    return [Owner("person", principal.person), *([Owner("team", principal.team)] if principal.team else [])]


def narrowed(principal: Principal, scope: Scope | None, owner: str) -> list[Owner] | None:
    """Those of them that a reader asks for. Raises `RequestError` for an owner without its scope, `Forbidden` for somebody else's."""
    may = owners(principal)
    if scope is None:
        if owner:
            raise RequestError("'owner' needs 'scope': a person, a team or an agent may have one name", param="scope")
        return may
    if may is None:
        if not owner:
            raise RequestError(f"'scope' needs 'owner': whose memory, of which {scope}?", param="owner")
        return [Owner(scope, owner)]
    found = [one for one in may if one.scope == scope and owner in ("", one.id)]
    if not found:
        raise Forbidden(f"this key sees the memory of its person and its team alone, not that of {scope} {owner[:100]!r}", param="owner")
    return found


def written(principal: Principal, scope: Scope, owner: str) -> Owner:
    """For whom something is remembered. Raises `RequestError` where it is not said, `Forbidden` for somebody else."""
    if not confined(principal):
        own = {"person": principal.person, "team": principal.team, "agent": None}[scope]
        if not owner and not own:
            raise RequestError(f"'owner' is missing: which {scope} is this to be remembered for?", param="owner")
        return Owner(scope, owner or own or "")
    (found,) = narrowed(principal, scope, owner) or [Owner(scope, owner)]
    return found
