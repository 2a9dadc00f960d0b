"""The policies that organisations keep, version by version, beside that of the settings."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from sqlalchemy import Connection, insert, select

from penstock.agents.inbox import store
from penstock.agents.inbox.model import Need, Proposal, both
from penstock.agents.inbox.policy import DEFAULT, Asked, Policy, PolicyVersion
from penstock.agents.tables import POLICIES
from penstock.kernel.errors import Conflict
from penstock.storage.schema import encode_json


class Policies:
    """The policy of the settings and those that organisations keep."""

    def __init__(self, floor: Policy, home: Callable[[], str] = lambda: "") -> None:
        """``home`` is the organisation that runs the installation: no other one's rules take `DEFAULT` away."""
        self.floor = floor
        self._home = home
        self._read: dict[tuple[str, int], Policy] = {}

    def needs(self, connection: Connection, call: Proposal, draft: Policy | None = None) -> Asked:
        """What the call needs now; for the transaction in which it begins, so the version that is in force then is the one that counts. A
        ``draft`` stands in for what the organisation keeps."""
        stored = self.current(connection, call.organisation)
        ours, theirs = self.floor.need(call), (draft or stored.policy).need(call)
        if ours is None and DEFAULT.fits(call) and (theirs is None or call.organisation != self._home()):
            ours = DEFAULT.need()
        need = both(ours or Need(), theirs or Need())
        version = "draft" if draft is not None else f"version {stored.version}" if stored.version else "settings"
        return Asked(need=need, policy=version, told=need.told())

    def current(self, connection: Connection, organisation: str) -> PolicyVersion:
        """The version that is in force."""
        p = POLICIES.c
        number = connection.execute(select(p.version).where(p.organisation == organisation).order_by(p.version.desc()).limit(1)).scalar()
        if number is None:
            return PolicyVersion(organisation=organisation, version=0, policy=Policy())
        known = self._read.get((organisation, number))
        if known is None:
            known = self._read[organisation, number] = self.version(connection, organisation, number).policy
        return PolicyVersion(organisation=organisation, version=number, policy=known)

    def version(self, connection: Connection, organisation: str, number: int) -> PolicyVersion:
        """One version, whole."""
        asked = select(POLICIES).where(POLICIES.c.organisation == organisation, POLICIES.c.version == number)
        return _version(dict(connection.execute(asked).mappings().one()))

    def versions(self, connection: Connection, organisation: str, limit: int = 100) -> list[PolicyVersion]:
        """All versions, the latest first."""
        asked = select(POLICIES).where(POLICIES.c.organisation == organisation).order_by(POLICIES.c.version.desc()).limit(limit)
        return [_version(dict(row)) for row in connection.execute(asked).mappings()]

    def put(
        self, connection: Connection, organisation: str, policy: Policy, *, after: int, note: str, by: str, person: str, now: float
    ) -> PolicyVersion:
        """Put a new version in force. `Conflict` where the one in force is not the version ``after``."""
        last = self.current(connection, organisation).version
        if last != after:
            raise Conflict(f"somebody else changed the policy: it is at version {last} by now", code="policy_changed", param="after")
        made = PolicyVersion(organisation=organisation, version=last + 1, policy=policy, note=note, by=person or by, at=now)
        connection.execute(insert(POLICIES).values({**msgspec.structs.asdict(made), "policy": encode_json(policy)}))
        store.note(connection, organisation, "policy", "changed", now, by=by, person=person, version=last + 1, note=note)
        return made


def _version(row: dict[str, object]) -> PolicyVersion:
    return PolicyVersion(**{**row, "policy": msgspec.json.decode(str(row["policy"]), type=Policy)})  # pyright: ignore[reportArgumentType]
