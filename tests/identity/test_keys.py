from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.identity.process import Clock, Process

from penstock.identity.keys import KeyChange, Keys, NewKey
from penstock.identity.model import Organisation
from penstock.identity.secret import is_key
from penstock.kernel.errors import Conflict, Forbidden, NotFound, RequestError, Unauthenticated
from penstock.kernel.principal import Limits, Scope
from penstock.storage.records import open_records


async def test_a_key_is_told_once_and_kept_as_a_digest(one: Process) -> None:
    made = await one.keys.create(None, NewKey(name="  batch  ", scopes=(Scope.READ, Scope.CALL), models=("gpt-*", "gpt-*")))
    assert is_key(made.secret)
    assert made.secret not in repr(made)
    assert (made.key.name, made.key.last4, made.key.state) == ("batch", made.secret[-4:], "live")
    assert (made.key.scopes, made.key.models) == ((Scope.CALL, Scope.READ), ("gpt-*",))
    who = one.who(made.secret)
    assert (who.key_id, who.home, who.reach) == (made.key.id, True, who.organisation)
    stored = await one.records.read(lambda c: str(c.exec_driver_sql("SELECT * FROM key_secrets").all()))
    assert made.secret not in stored


async def test_the_home_organisations_admins_reach_everywhere_others_only_their_own(one: Process) -> None:
    home = await one.keys.create(None, NewKey(name="root", scopes=(Scope.ADMIN,)))
    other = await one.owners.add_organisation(one.who(home.secret), "Other")
    theirs = await one.keys.create(one.who(home.secret), NewKey(name="their root", organisation=other.id, scopes=(Scope.ADMIN,)))
    assert one.who(home.secret).reach is None
    assert one.who(theirs.secret).reach == other.id
    assert theirs.key.created_by == home.key.id
    them = one.who(theirs.secret)
    assert [k.id for k in (await one.keys.list(them)).data] == [theirs.key.id]
    assert len((await one.keys.list(one.who(home.secret))).data) == 2
    assert [o.name for o in (await one.owners.list(Organisation, them)).data] == ["Other"]
    for hidden in (one.keys.find(them, home.key.id), one.keys.rotate(them, home.key.id), one.keys.revoke(them, home.key.id)):
        with pytest.raises(NotFound, match="no key"):
            await hidden
    with pytest.raises(NotFound):
        await one.keys.list(them, organisation=home.key.organisation)
    with pytest.raises(RequestError, match="organisation: there is none"):
        await one.keys.create(them, NewKey(name="sneaky", organisation=home.key.organisation))
    with pytest.raises(Forbidden):
        await one.owners.add_organisation(them, "Third")
    made = await one.keys.create(them, NewKey(name="theirs too"))
    assert made.key.organisation == other.id


async def test_a_keys_owners_must_lie_in_one_organisation(alone: Process) -> None:
    team = await alone.owners.add_team(None, "Platform")
    project = await alone.owners.add_project(None, "Bot", team=team.id)
    key = (await alone.keys.create(None, NewKey(name="bot", project=project.id))).key
    assert (key.team, key.project, key.organisation) == (team.id, project.id, team.organisation)
    other = await alone.owners.add_organisation(None, "Other")
    with pytest.raises(RequestError, match="must lie in the same organisation"):
        await alone.keys.create(None, NewKey(name="mixed", project=project.id, organisation=other.id))
    with pytest.raises(RequestError, match="project: there is none"):
        await alone.keys.create(None, NewKey(name="lost", project="proj_" + "0" * 32))


@pytest.mark.parametrize(
    ("terms", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": ()}, "scopes"),
        ({"models": ("a*b",)}, "models"),
        ({"models": ("",)}, "models"),
        ({"tasks": ("t",) * 101}, "tasks"),
        ({"limits": Limits(concurrency=0)}, "limits.concurrency"),
        ({"limits": Limits(tokens_per_minute=-1)}, "limits.tokens_per_minute"),
        ({"expires_at": 1.0}, "expires_at"),
        ({"expires_at": float("inf")}, "expires_at"),
        ({"expires_at": float("nan")}, "expires_at"),
    ],
)
async def test_what_a_key_may_be_is_checked_and_the_field_named(tmp_path: Path, terms: dict[str, Any], param: str) -> None:
    keys = Keys(open_records("", tmp_path), grace_seconds=1)
    asked: dict[str, Any] = {"name": "k", **terms}
    with pytest.raises(RequestError) as fault:
        await keys.create(None, NewKey(**asked))
    assert fault.value.param == param


async def test_expiry_holds_to_the_second(alone: Process, clock: Clock) -> None:
    made = await alone.keys.create(None, NewKey(name="short", expires_at=clock.now + 60))
    clock.now += 59.999
    assert alone.who(made.secret).name == "short"
    clock.now += 0.001
    with pytest.raises(Unauthenticated) as fault:
        alone.who(made.secret)
    assert fault.value.code == "expired_api_key"
    assert (await alone.keys.find(None, made.key.id)).state == "expired"
    changed = await alone.keys.change(None, made.key.id, KeyChange(expires_at=None))
    assert changed.state == "live"
    assert alone.who(made.secret)


async def test_a_rotation_overlaps_and_then_ends_the_old_secret(alone: Process, clock: Clock) -> None:
    made = await alone.keys.create(None, NewKey(name="rotated"))
    again = await alone.keys.rotate(None, made.key.id, 60)
    assert again.key.previous_until == clock.now + 60
    assert alone.who(made.secret).key_id == alone.who(again.secret).key_id
    clock.now += 60
    with pytest.raises(Unauthenticated, match="replaced by a rotation") as fault:
        alone.who(made.secret)
    assert fault.value.code == "expired_api_key"
    assert alone.who(again.secret)
    with pytest.raises(RequestError, match="grace_seconds"):
        await alone.keys.rotate(None, made.key.id, 31 * 86_400)


async def test_terms_change_in_memory_when_the_call_returns(alone: Process) -> None:
    made = await alone.keys.create(None, NewKey(name="changed"))
    await alone.keys.change(None, made.key.id, KeyChange(name="new", limits=Limits(concurrency=3), models=("m",)))
    who = alone.who(made.secret)
    assert (who.name, who.limits.concurrency, who.models) == ("new", 3, ("m",))
    with pytest.raises(RequestError) as fault:
        await alone.keys.change(None, made.key.id, KeyChange(scopes=()))
    assert fault.value.param == "scopes"


async def test_a_revoked_key_ends_here_at_once_and_in_other_processes_within_the_refresh(one: Process, two: Process) -> None:
    made = await one.keys.create(None, NewKey(name="gone", scopes=(Scope.READ,)))
    while True:
        try:
            two.who(made.secret)
            break
        except Unauthenticated:
            await asyncio.sleep(0.01)
    token, _ = await two.sessions.open(made.secret)
    await one.keys.revoke(None, made.key.id)
    with pytest.raises(Unauthenticated) as fault:
        one.who(made.secret)
    assert fault.value.code == "revoked_api_key"
    async with asyncio.timeout(5):
        while two.sessions.principal(token) is not None:
            await asyncio.sleep(0.01)
    assert two.revoked == [made.key.id]
    assert (await one.keys.revoke(None, made.key.id)).state == "revoked"
    with pytest.raises(Conflict, match="revoked"):
        await one.keys.rotate(None, made.key.id)
    with pytest.raises(Conflict, match="revoked"):
        await one.keys.change(None, made.key.id, KeyChange(name="back"))


async def test_a_key_does_not_revoke_itself(alone: Process) -> None:
    made = await alone.keys.create(None, NewKey(name="root", scopes=(Scope.ADMIN,)))
    with pytest.raises(Conflict, match="cannot revoke itself"):
        await alone.keys.revoke(alone.who(made.secret), made.key.id)


async def test_lists_go_on_where_they_ended_and_filter(one: Process, clock: Clock) -> None:
    for number in range(5):
        await one.keys.create(None, NewKey(name=f"key {number}", expires_at=clock.now + 10 if number == 0 else None))
    clock.now += 11
    first = await one.keys.list(None, limit=2)
    rest = await one.keys.list(None, limit=200, cursor=first.next_cursor)
    assert sorted(k.name for k in (*first.data, *rest.data)) == [f"key {n}" for n in range(5)]
    assert rest.next_cursor is None
    assert [k.name for k in (await one.keys.list(None, state="expired")).data] == ["key 0"]
    assert [k.name for k in (await one.keys.list(None, search="Y 3")).data] == ["key 3"]
    for wrong in ({"limit": 0}, {"limit": 1001}, {"cursor": "x"}):
        with pytest.raises(RequestError):
            await one.keys.list(None, **wrong)  # type: ignore[arg-type]


async def test_the_first_start_makes_one_admin_key_once(one: Process, clock: Clock) -> None:
    secret = await one.keys.ensure()
    assert secret is not None
    assert one.who(secret).reach is None
    assert await one.keys.ensure() is None
    assert not await one.keys.configured()
    made = await one.keys.create(None, NewKey(name="on purpose"))
    assert await one.keys.configured()
    await one.keys.revoke(None, made.key.id)
    assert not await one.keys.configured()


@pytest.mark.parametrize(
    ("own", "asked", "param"),
    [
        ({"models": ("gpt-*",)}, {}, "models"),
        ({"models": ("gpt-*",)}, {"models": ("*",)}, "models"),
        ({"models": ("gpt-*",)}, {"models": ("claude",)}, "models"),
        ({"tasks": ("triage",)}, {"tasks": ("other",)}, "tasks"),
        ({"limits": Limits(concurrency=3)}, {}, "limits.concurrency"),
        ({"limits": Limits(tokens_per_minute=100)}, {"limits": Limits(tokens_per_minute=101)}, "limits.tokens_per_minute"),
        ({"expires_at": 1_800_000_100.0}, {}, "expires_at"),
        ({"expires_at": 1_800_000_100.0}, {"expires_at": 1_800_000_101.0}, "expires_at"),
    ],
    ids=str,
)
async def test_nobody_hands_out_more_than_they_hold(alone: Process, own: dict[str, Any], asked: dict[str, Any], param: str) -> None:
    wide = await alone.keys.create(None, NewKey(name="wide", scopes=(Scope.ADMIN,)))
    narrow = await alone.keys.create(None, NewKey(name="narrow", scopes=(Scope.ADMIN,), **own))
    actor = alone.who(narrow.secret)
    for attempt in (
        alone.keys.create(actor, NewKey(name="more", **asked)),
        alone.keys.change(actor, narrow.key.id, KeyChange(**{field: asked.get(field, getattr(NewKey(name="x"), field)) for field in own})),
        alone.keys.rotate(actor, wide.key.id),
    ):
        with pytest.raises(Forbidden) as fault:
            await attempt
        assert fault.value.param == param
    allowed = await alone.keys.create(actor, NewKey(name="as much", **own))
    assert alone.who(allowed.secret)
