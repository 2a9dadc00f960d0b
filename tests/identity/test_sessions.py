"""Browser sessions: how they begin, how long they last, and what ends them."""

from __future__ import annotations

import asyncio

import pytest
from tests.identity.process import Process

from penstock.identity import store
from penstock.identity.keys import NewKey
from penstock.identity.secret import digest
from penstock.identity.sessions import BrowserSessions
from penstock.identity.settings import IdentitySettings
from penstock.kernel.errors import Forbidden, Unauthenticated
from penstock.kernel.principal import Scope

IDLE = IdentitySettings().session_hours * 3600
LONGEST = IdentitySettings().session_days * 86_400


async def test_a_session_stands_for_its_key_and_its_token_is_kept_as_a_digest(one: Process) -> None:
    made = await one.reader()
    token, end = await one.sessions.open(made.secret)
    assert token.startswith("pss_")
    assert end == one.clock.now + LONGEST
    assert one.sessions.principal(token) == one.who(made.secret)
    stored = await one.records.read(lambda c: [tuple(row) for row in c.exec_driver_sql("SELECT digest, secret FROM sessions")])
    assert [(bytes(a), bytes(b)) for a, b in stored] == [(digest(token), digest(made.secret))]
    assert token not in str(stored)


async def test_only_a_live_key_that_may_read_opens_one(alone: Process) -> None:
    caller = await alone.keys.create(None, NewKey(name="caller", scopes=(Scope.CALL,)))
    with pytest.raises(Forbidden, match="lacks the scope 'read'"):
        await alone.sessions.open(caller.secret)
    for wrong in ("", "psk_wrong"):
        with pytest.raises(Unauthenticated):
            await alone.sessions.open(wrong)
    gone = await alone.reader()
    await alone.keys.revoke(None, gone.key.id)
    with pytest.raises(Unauthenticated, match="was revoked"):
        await alone.sessions.open(gone.secret)
    admin = await alone.keys.create(None, NewKey(name="admin", scopes=(Scope.ADMIN,)))
    assert alone.sessions.principal((await alone.sessions.open(admin.secret))[0])
    assert await alone.records.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM sessions").scalar_one()) == 1


@pytest.mark.parametrize("token", ["", "pss_unknown", "psk_" + "x" * 49, "\udcff", "x" * 10_000])
async def test_a_token_that_nobody_was_given_opens_nothing_and_closes_nothing(alone: Process, token: str) -> None:
    assert alone.sessions.principal(token) is None
    await alone.sessions.close(token)


async def test_a_session_ends_when_nobody_uses_it(alone: Process) -> None:
    token, _ = await alone.sessions.open((await alone.reader()).secret)
    alone.clock.now += IDLE - 1
    assert alone.sessions.principal(token)
    alone.clock.now += IDLE - 1
    assert alone.sessions.principal(token)
    alone.clock.now += IDLE
    assert alone.sessions.principal(token) is None


async def test_a_session_ends_after_its_longest_time_however_much_it_is_used(alone: Process) -> None:
    token, end = await alone.sessions.open((await alone.reader()).secret)
    while alone.clock.now < end - 1:
        assert alone.sessions.principal(token)
        alone.clock.now = min(alone.clock.now + IDLE / 2, end - 1)
    assert alone.sessions.principal(token)
    alone.clock.now = end
    assert alone.sessions.principal(token) is None


async def test_a_use_is_written_by_the_flush_so_that_a_restart_and_others_know(one: Process, other: Process) -> None:
    token, _ = await one.sessions.open((await one.reader()).secret)
    begun = one.clock.now
    one.clock.now += IDLE - 1
    assert one.sessions.principal(token)
    await one.sessions.flush()
    await other.refresh.now()
    other.clock.now = begun + IDLE + 1
    assert other.sessions.principal(token)


async def test_a_flush_without_uses_writes_nothing(alone: Process) -> None:
    token, _ = await alone.sessions.open((await alone.reader()).secret)
    # A page makes several requests: not each of them moves the end.
    alone.clock.now += IDLE / 60 - 1
    assert alone.sessions.principal(token)

    async def version() -> int:
        return await alone.records.read(lambda c: c.exec_driver_sql("SELECT version FROM identity_changes").scalar_one())

    before = await version()
    await alone.sessions.flush()
    assert await version() == before
    alone.clock.now += 2
    assert alone.sessions.principal(token)
    await alone.sessions.flush()
    assert await version() == before + 1


async def test_signing_out_ends_it_here_at_once_and_a_use_elsewhere_does_not_bring_it_back(one: Process, other: Process) -> None:
    token, _ = await one.sessions.open((await one.reader()).secret)
    await other.refresh.now()
    other.clock.now += IDLE / 2
    assert other.sessions.principal(token)
    await one.sessions.close(token)
    assert one.sessions.principal(token) is None
    # The other process has not heard of it and writes down that it was used.
    await other.sessions.flush()
    await one.refresh.now()
    await other.refresh.now()
    assert one.sessions.principal(token) is None
    assert other.sessions.principal(token) is None


async def test_another_process_signs_out_a_session_that_it_has_not_heard_of(one: Process, other: Process) -> None:
    token, _ = await one.sessions.open((await one.reader()).secret)
    assert other.sessions.principal(token) is None
    await other.sessions.close(token)
    await one.refresh.now()
    assert one.sessions.principal(token) is None
    await other.refresh.now()
    assert other.sessions.principal(token) is None
    assert await other.sessions.recall(token) is None


async def test_another_process_recalls_a_session_that_it_has_not_heard_of(one: Process, other: Process) -> None:
    made = await one.reader()
    await other.refresh.now()
    token, _ = await one.sessions.open(made.secret)
    assert other.sessions.principal(token) is None
    recalled = await other.sessions.recall(token)
    assert recalled is not None
    assert recalled.key_id == made.key.id
    assert other.sessions.principal(token) == recalled
    one.clock.now += IDLE
    other.clock.now += IDLE
    assert await other.sessions.recall(token) is None


async def test_what_was_read_before_does_not_bring_back_a_session_that_was_closed_meanwhile(one: Process) -> None:
    token, _ = await one.sessions.open((await one.reader()).secret)
    read_before = await one.records.read(lambda c: store.changes_since(c, 0, one.clock.now))
    assert read_before is not None
    assert digest(token) in {row.digest for row in read_before.sessions}
    await one.sessions.close(token)
    one.sessions.apply(read_before)
    assert one.sessions.principal(token) is None
    assert await one.sessions.recall(token) is None
    await one.refresh.now()
    one.sessions.apply(read_before)
    assert one.sessions.principal(token) is None


async def test_a_session_closed_while_it_was_being_recalled_stays_closed(one: Process, other: Process) -> None:
    token, _ = await one.sessions.open((await one.reader()).secret)
    await other.refresh.now()
    other.sessions = BrowserSessions(other.records, other.keyring, IdentitySettings(), other.clock)
    await asyncio.gather(*(other.sessions.recall(token) for _ in range(3)), other.sessions.close(token))
    assert other.sessions.principal(token) is None


async def test_a_revoked_key_takes_its_sessions_along(alone: Process) -> None:
    made = await alone.reader()
    token, _ = await alone.sessions.open(made.secret)
    await alone.keys.revoke(None, made.key.id)
    assert alone.sessions.principal(token) is None


async def test_a_session_ends_with_the_grace_of_the_secret_that_opened_it(alone: Process) -> None:
    made = await alone.reader()
    old, _ = await alone.sessions.open(made.secret)
    new, _ = await alone.sessions.open((await alone.keys.rotate(None, made.key.id, 60)).secret)
    assert alone.sessions.principal(old)
    alone.clock.now += 60
    assert alone.sessions.principal(old) is None
    assert alone.sessions.principal(new)


async def test_sessions_survive_a_restart_and_a_restored_database_forgets_later_ones(one: Process, other: Process) -> None:
    made = await one.reader()
    kept, _ = await one.sessions.open(made.secret)
    await other.refresh.now()
    assert other.sessions.principal(kept)
    version = await one.records.read(lambda c: c.exec_driver_sql("SELECT version FROM identity_changes").scalar_one())
    lost, _ = await one.sessions.open(made.secret)
    await one.refresh.now()
    assert one.sessions.principal(lost)

    def restore(connection: object) -> None:
        run = connection.exec_driver_sql  # type: ignore[attr-defined]
        run(f"DELETE FROM sessions WHERE version > {version}")
        run(f"UPDATE identity_changes SET version = {version}")

    await one.records.write(restore)
    await one.refresh.now()
    assert one.sessions.principal(lost) is None
    assert one.sessions.principal(kept)
