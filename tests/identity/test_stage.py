"""The station that asks who is calling: a principal or a refusal, and the record knows whose call was refused."""

from __future__ import annotations

import pytest
from tests.identity.process import Process

from penstock.identity.keys import NewKey
from penstock.identity.stage import Authenticate
from penstock.kernel.call import Call, Reply, Trace
from penstock.kernel.errors import Forbidden, Unauthenticated
from penstock.kernel.principal import Principal, Scope


def a_call(credential: str | None) -> Call:
    return Call(operation="chat", shape="openai.chat", credential=credential, deadline=0.0, trace=Trace.begin())


async def answer(call: Call) -> Reply:
    return Reply(body=b"done")


async def never(call: Call) -> Reply:
    raise AssertionError("a refused call went on")


async def test_a_live_key_goes_on_with_its_principal(alone: Process) -> None:
    made = await alone.keys.create(None, NewKey(name="caller"))
    call = a_call(made.secret)
    assert (await Authenticate(alone.keyring)(call, answer)).body == b"done"
    assert call.principal == alone.who(made.secret)


@pytest.mark.parametrize(
    ("credential", "code"), [(None, "missing_api_key"), ("", "missing_api_key"), ("psk_wrong", "invalid_api_key"), ("\udcff", None)]
)
async def test_without_a_live_key_nobody_goes_on(alone: Process, credential: str | None, code: str | None) -> None:
    call = a_call(credential)
    with pytest.raises(Unauthenticated) as fault:
        await Authenticate(alone.keyring)(call, never)
    assert fault.value.status == 401
    assert fault.value.code == (code or "invalid_api_key")
    assert call.principal is None
    assert not credential or credential not in fault.value.message


async def test_a_key_that_may_only_read_is_refused_and_the_record_knows_whose_call_it_was(alone: Process) -> None:
    made = await alone.reader("reporting")
    call = a_call(made.secret)
    with pytest.raises(Forbidden, match="'reporting' lacks the scope 'call'"):
        await Authenticate(alone.keyring)(call, never)
    assert call.principal is not None
    assert call.principal.key_id == made.key.id


async def test_a_browsers_call_comes_with_its_principal_which_is_judged_alike(alone: Process) -> None:
    call = a_call(None)
    call.principal = Principal(key_id="key_1", name="somebody", organisation="org_1", scopes=frozenset({Scope.ADMIN}))
    assert (await Authenticate(alone.keyring)(call, answer)).body == b"done"
    call.principal = Principal(key_id="key_1", name="somebody", organisation="org_1", scopes=frozenset({Scope.READ}))
    with pytest.raises(Forbidden):
        await Authenticate(alone.keyring)(call, never)
