"""Calls from inside: admitted, charged, recorded and refused like those that come over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tests.gateway.upstream import Conversation, serving
from tests.house import House, open_house

from penstock.kernel.errors import NotFound, Unauthenticated
from penstock.kernel.events import CallEnded, Events
from penstock.kernel.journal import StepKey, current_step
from penstock.kernel.ports import Holders, ModelAnswer, ModelAsk, ModelClient

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
ASKED = {"model": "up/m", "messages": [{"role": "user", "content": "hi"}]}
REPLY = (
    b'{"id":"x","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"good"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}'
)
heads: list[str] = []


async def upstream(peer: Conversation) -> None:
    while True:
        heads.append((await peer.request())[0].decode("latin-1"))
        await peer.json(REPLY)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with serving(upstream) as up:
        settings = (
            "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{up.url}"\nmodels = ["m"]\n'
            '[finops.prices."up/m"]\ninput = 1.0\noutput = 2.0\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            yield house


async def call(house: House, key: str, body: Any = ASKED, path: str = "/v1/chat/completions", **more: Any) -> ModelAnswer:
    principal = house.app.ports.get(Holders).holder_of(key)
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return await house.app.ports.get(ModelClient).call(ModelAsk(path=path, body=raw, principal=principal, **more))


async def test_the_answer_is_what_a_client_would_have_had(house: House) -> None:
    _, key = await house.key(name="worker")
    ended: list[CallEnded] = []
    house.app.ports.get(Events).subscribe(CallEnded, ended.append)
    answer = await call(house, key, priority="batch", labels={"why": "test"})
    assert (answer.status, answer.error, answer.cost) == (200, None, 13)
    assert answer.answered_by == f"{ended[-1].call.target.provider}/{ended[-1].call.target.model}"  # type: ignore[union-attr]
    assert msgspec.json.decode(answer.body)["choices"][0]["message"]["content"] == "good"
    assert answer.usage is not None
    assert (answer.usage.input, answer.usage.output) == (7, 3)
    on_record = ended[-1].call
    assert (on_record.id, on_record.priority, on_record.labels, on_record.outcome) == (answer.call, "batch", {"why": "test"}, "ok")
    assert on_record.principal is not None
    assert on_record.principal.key_id == key


async def test_inside_a_step_the_call_hangs_under_it_in_the_trace(house: House) -> None:
    _, key = await house.key(name="stepper")
    step = StepKey(run="run_1", organisation="org", number=3, name="ask")
    token = current_step.set(step)
    try:
        await call(house, key)
    finally:
        current_step.reset(token)
    assert f"traceparent: 00-{step.trace_id}-" in heads[-1].lower()
    # Its money is found by the run, beside that of whatever else the step is done for again.
    (row,) = (await house.ask("GET", "/v1/ledger?run=run_1")).json["data"]
    assert (row["run"], row["step"], row["amount"]) == ("run_1", 3, 13)
    assert row["labels"] == {"run": "run_1", "step": "3"}
    assert (await house.ask("GET", "/v1/ledger?run=run_2")).json["data"] == []


async def test_limits_of_the_key_hold_inside_too(house: House) -> None:
    _, key = await house.key(name="slow", limits={"requests_per_minute": 1})
    assert (await call(house, key)).status == 200
    refused = await call(house, key)
    assert (refused.status, refused.error) == (429, "rate_limit_exceeded")
    assert refused.retry_after is not None
    assert 0 < refused.retry_after <= 60
    assert msgspec.json.decode(refused.body)["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_request"),
        ({**ASKED, "stream": True}, 400, "malformed_request"),
        ({**ASKED, "model": "nowhere"}, 404, "model_not_found"),
    ],
)
async def test_what_cannot_be_asked_is_refused_in_the_apis_own_words(house: House, body: Any, status: int, code: str) -> None:
    _, key = await house.key(name="wrong")
    answer = await call(house, key, body)
    assert (answer.status, answer.error) == (status, code)


async def test_only_paths_that_take_json_and_name_the_model_in_it(house: House) -> None:
    client = house.app.ports.get(ModelClient)
    taken = [path for path in ("/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/v1/moderations") if client.takes(path)]
    assert len(taken) == 4
    for path in ("/v1/audio/speech", "/v1/audio/transcriptions", "/v1/models/m:generateContent", "/v1/keys"):
        assert not client.takes(path)
    _, key = await house.key(name="astray")
    with pytest.raises(NotFound, match="cannot be called from here"):
        await call(house, key, path="/v1/keys")


async def test_a_revoked_key_has_no_holder(house: House) -> None:
    _, key = await house.key(name="gone")
    holders = house.app.ports.get(Holders)
    assert holders.holder_of(key).name == "gone"
    assert (await house.ask("POST", f"/v1/keys/{key}/revoke")).status == 200
    with pytest.raises(Unauthenticated, match="revoked"):
        holders.holder_of(key)
    with pytest.raises(Unauthenticated, match="not known"):
        holders.holder_of("key_nobody")
