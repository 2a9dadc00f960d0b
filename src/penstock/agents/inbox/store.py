"""The SQL of the requests. Writes what it is given, and reads it back; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, delete, func, insert, select, update

from penstock.agents.inbox.model import Delegation, Need, Proposal, Request, TrailLine, Vote
from penstock.agents.tables import DELEGATIONS, NOTICES, REQUESTS, TRAIL, VOTES
from penstock.storage.schema import encode_json
from penstock.storage.trail import Trail

_TRAIL: Trail[TrailLine] = Trail(
    TRAIL,
    lambda line: {**msgspec.structs.asdict(line), "details": encode_json(line.details)},
    lambda line: msgspec.structs.replace(line, id=0, digest=""),
)
PIECE = 1000
"""Lines that are read at once when the whole trail is followed."""


def note(
    connection: Connection, organisation: str, subject: str, action: str, at: float, *, by: str = "", person: str = "", **details: Any
) -> None:
    """Append a line to the organisation's trail."""
    line = TrailLine(
        id=0, organisation=organisation, subject=subject, action=action, details=details, by=by, person=person, at=at, digest=""
    )
    _TRAIL.note(connection, line)


def trail(connection: Connection, organisation: str, *, subject: str = "", before: int | None = None, limit: int = 100) -> list[TrailLine]:
    """Lines of an organisation's trail, the newest first, from below the line ``before``."""
    asked = select(TRAIL).where(TRAIL.c.organisation == organisation).order_by(TRAIL.c.id.desc()).limit(limit)
    if subject:
        asked = asked.where(TRAIL.c.subject == subject)
    if before is not None:
        asked = asked.where(TRAIL.c.id < before)
    return [_line(row) for row in connection.execute(asked).mappings()]


def broken(connection: Connection, organisation: str) -> int | None:
    """The first line of an organisation's whole trail that does not follow from the one before it; None where all do."""
    return _TRAIL.broken(_whole(connection, organisation))


def _whole(connection: Connection, organisation: str) -> Iterator[TrailLine]:
    after = 0
    while True:
        asked = select(TRAIL).where(TRAIL.c.organisation == organisation, TRAIL.c.id > after).order_by(TRAIL.c.id).limit(PIECE)
        found = [_line(row) for row in connection.execute(asked).mappings()]
        yield from found
        if len(found) < PIECE:
            return
        after = found[-1].id


def _line(row: Any) -> TrailLine:
    return TrailLine(**{**row, "details": msgspec.json.decode(row["details"])})


def add(connection: Connection, one: Request, escalates_at: float | None) -> None:
    """Insert a request."""
    values = {
        "id": one.id,
        "organisation": one.organisation,
        "run": one.run,
        "kind": one.kind,
        "ordinal": one.ordinal,
        "agent": one.agent,
        "text": one.text,
        "state": one.state,
        "key": one.key,
        "person": one.person,
        "proposal": None if one.proposal is None else encode_json(one.proposal),
        "digest": one.digest,
        "need": encode_json(one.need),
        "policy": one.policy,
        "schema": None if one.schema is None else encode_json(one.schema),
        "to": encode_json(one.to),
        "by": "",
        "note": "",
        "opened_at": one.opened_at,
        "expires_at": one.expires_at,
        "escalates_at": escalates_at,
        "told": False,
    }
    connection.execute(insert(REQUESTS).values(values))


def one(connection: Connection, id: str) -> Request | None:
    """One request with what was said to it."""
    found = several(connection, select(REQUESTS).where(REQUESTS.c.id == id))
    return found[0] if found else None


def several(connection: Connection, asked: Select[Any]) -> list[Request]:
    """Requests with what was said to them."""
    rows = connection.execute(asked).mappings().all()
    said: dict[str, list[Vote]] = {row["id"]: [] for row in rows}
    if rows:
        votes = select(VOTES).where(VOTES.c.request.in_(list(said))).order_by(VOTES.c.at, VOTES.c.voter)
        for vote in connection.execute(votes).mappings():
            values: dict[str, Any] = {**vote, "counts": tuple(msgspec.json.decode(vote["counts"]))}
            said[values.pop("request")].append(Vote(**values))
    return [_request(row, said[row["id"]]) for row in rows]


def vote(connection: Connection, request: str, said: Vote) -> None:
    """Keep what somebody said. `Conflict` through the engine when they have said something already."""
    connection.execute(insert(VOTES).values({**msgspec.structs.asdict(said), "request": request, "counts": encode_json(said.counts)}))


def end(connection: Connection, id: str, was: str, state: str, at: float, **also: Any) -> bool:
    """Write that a request in the state ``was`` has ended; False where it was in another one."""
    if "answer" in also:
        also["answer"] = encode_json(also["answer"])
    values = {"state": state, "ended_at": None if state == "open" else at, "told": False, **also}
    return connection.execute(update(REQUESTS).where(REQUESTS.c.id == id, REQUESTS.c.state == was).values(values)).rowcount == 1


def escalated(connection: Connection, id: str, next_at: float | None) -> None:
    """That others may answer is told; the next of them at a moment, if any."""
    connection.execute(update(REQUESTS).where(REQUESTS.c.id == id).values(escalates_at=next_at))


def knows(connection: Connection, id: str) -> None:
    """The run of a request knows how it ended."""
    connection.execute(update(REQUESTS).where(REQUESTS.c.id == id).values(told=True))


def standing(connection: Connection) -> dict[str, tuple[int, float]]:
    """By kind, how many requests are open and since when the oldest is."""
    r = REQUESTS.c
    asked = select(r.kind, func.count(), func.min(r.opened_at)).where(r.state == "open").group_by(r.kind)
    return {row[0]: (row[1], row[2]) for row in connection.execute(asked)}


def forget(connection: Connection, before: float) -> int:
    """Drop requests that ended before a moment, with what was said to them; how many. Their trail stays."""
    old = select(REQUESTS.c.id).where(REQUESTS.c.state != "open", REQUESTS.c.ended_at < before)
    connection.execute(delete(VOTES).where(VOTES.c.request.in_(old)))
    return connection.execute(delete(REQUESTS).where(REQUESTS.c.id.in_(old))).rowcount


def working_for(connection: Connection, organisation: str, person: str) -> list[tuple[str, str]]:
    """Requests of runs that work for a person, each with its run."""
    r = REQUESTS.c
    asked = select(r.id, r.run).where(r.organisation == organisation, r.person == person)
    return [(row[0], row[1]) for row in connection.execute(asked)]


def of_runs(connection: Connection, runs: Sequence[str]) -> list[str]:
    """Requests of these runs."""
    return list(connection.execute(select(REQUESTS.c.id).where(REQUESTS.c.run.in_(runs))).scalars())


def drop(connection: Connection, ids: Sequence[str]) -> int:
    """Take requests away, with what was said to them and the notices of them; how many. Their trail stays: it holds nobody's words."""
    for start in range(0, len(ids), 500):
        piece = ids[start : start + 500]
        connection.execute(delete(NOTICES).where(NOTICES.c.request.in_(piece)))
        connection.execute(delete(VOTES).where(VOTES.c.request.in_(piece)))
        connection.execute(delete(REQUESTS).where(REQUESTS.c.id.in_(piece)))
    return len(ids)


def unsay(connection: Connection, organisation: str, person: str) -> int:
    """Take away what a person wrote about others' requests: notes, and answers that their runs know; that they said something stays."""
    r = REQUESTS.c
    ours = select(r.id).where(r.organisation == organisation)
    votes = update(VOTES).where(VOTES.c.voter == person, VOTES.c.note != "", VOTES.c.request.in_(ours))
    theirs = (r.organisation == organisation, r.by == person)
    notes = update(REQUESTS).where(*theirs, r.note != "").values(note="")
    answers = update(REQUESTS).where(*theirs, r.answer.isnot(None), r.told.is_(True)).values(answer=None)
    return sum(connection.execute(one).rowcount for one in (votes.values(note=""), notes, answers))


def lend(connection: Connection, one: Delegation) -> None:
    """Insert a delegation."""
    connection.execute(insert(DELEGATIONS).values(msgspec.structs.asdict(one)))


def lent(connection: Connection, organisation: str, now: float, *, taker: str = "", giver: str = "") -> list[Delegation]:
    """Delegations that hold now."""
    d = DELEGATIONS.c
    asked = select(DELEGATIONS).where(d.organisation == organisation, d.until > now, d.ended_at.is_(None)).order_by(d.until)
    for column, value in ((d.taker, taker), (d.giver, giver)):
        if value:
            asked = asked.where(column == value)
    return [Delegation(**row) for row in connection.execute(asked).mappings()]


def take_back(connection: Connection, id: str, now: float) -> None:
    """End a delegation."""
    connection.execute(update(DELEGATIONS).where(DELEGATIONS.c.id == id, DELEGATIONS.c.ended_at.is_(None)).values(ended_at=now))


def _request(row: Any, votes: Sequence[Vote]) -> Request:
    values = {name: row[name] for name in row if name not in ("escalates_at", "told")}
    proposal, schema, answer = values["proposal"], values["schema"], values["answer"]
    values["proposal"] = None if proposal is None else msgspec.json.decode(proposal, type=Proposal)
    values["need"] = msgspec.json.decode(values["need"], type=Need)
    values["schema"] = None if schema is None else msgspec.json.decode(schema)
    values["answer"] = None if answer is None else msgspec.json.decode(answer)
    values["to"] = tuple(msgspec.json.decode(values["to"]))
    return Request(**values, votes=tuple(votes))
