"""A prompt that a call names is in the request that the provider sees, whatever the shape, and on the record of the call."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from msgspec import Raw
from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, Answer, House, open_house
from tests.registry.people import REPLY

from penstock.kernel.call import Call, Reply, Trace
from penstock.kernel.errors import MalformedRequest, PenstockError
from penstock.kernel.principal import Principal
from penstock.registry.prompts.model import Known, Message, Prompt, Variable
from penstock.registry.prompts.shelf import Shelf
from penstock.registry.prompts.stage import ExpandPrompt
from penstock.registry.prompts.template import Template

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
MESSAGES = [
    {"role": "system", "content": "You answer for {{shop}}."},
    {"role": "user", "content": "Hello, I am {{name}}."},
    {"role": "assistant", "content": "Good day."},
]
VARIABLES = {"shop": {"default": "Acme"}, "name": {"max_length": 20}}


class Rig:
    def __init__(self, house: House, bodies: list[Any]) -> None:
        self.house = house
        self.bodies = bodies

    async def chat(self, prompt: object, *said: str, key: str | None = None, **more: object) -> Answer:
        messages = [{"role": "user", "content": one} for one in said]
        return await self.house.ask(
            "POST", "/v1/chat/completions", {"model": "up/a", "messages": messages, "prompt": prompt, **more}, key=key
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    bodies: list[Any] = []

    async def provider(peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            bodies.append(json.loads(body))
            await peer.json(REPLY)

    async with serving(provider) as upstream:
        settings = (
            f'{SETTINGS}[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["a"]\n'
            '[[cache.rules]]\nmodels = ["up/a"]\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            await house.made("/v1/prompts", {"name": "support.reply", "messages": MESSAGES, "variables": VARIABLES})
            await house.ask("PUT", "/v1/prompts/support.reply/labels/production", {"version": "1"})
            await house.made("/v1/prompts/support.reply/versions", {"text": "Plainly: {{name}}", "variables": {"name": {}}})
            yield Rig(house, bodies)


async def test_a_chat_that_names_a_prompt(rig: Rig) -> None:
    answer = await rig.chat({"id": "support.reply", "variables": {"name": "{{shop}}"}}, "Where is my parcel?")
    assert answer.status == 200, answer.text
    assert rig.bodies[-1]["messages"] == [
        {"role": "system", "content": "You answer for Acme."},
        {"role": "user", "content": "Hello, I am {{shop}}."},
        {"role": "assistant", "content": "Good day."},
        {"role": "user", "content": "Where is my parcel?"},
    ]
    assert "prompt" not in rig.bodies[-1]
    id = answer.headers["x-request-id"]
    assert (await rig.house.ask("GET", f"/v1/calls/{id}")).json["prompt"] == "support.reply@1"
    page = (await rig.house.ask("GET", f"/console/calls/{id}")).text
    assert "support.reply@1" in page
    assert "You answer for Acme." in page, "the record shows what was said"
    assert [call["id"] for call in (await rig.house.ask("GET", "/v1/calls?prompt=support.reply@1&limit=1")).json["data"]] == [id]
    assert (await rig.house.ask("GET", "/v1/calls?prompt=support.reply@7")).json["data"] == []


async def test_messages_may_be_missing_where_there_is_a_prompt(rig: Rig) -> None:
    body = {"model": "up/a", "prompt": {"id": "support.reply", "version": 2, "variables": {"name": "x"}}}
    assert (await rig.house.ask("POST", "/v1/chat/completions", body)).status == 200
    assert rig.bodies[-1]["messages"] == [{"role": "user", "content": "Plainly: x"}]
    assert (await rig.house.ask("POST", "/v1/chat/completions", {"model": "up/a"})).status == 400


async def test_other_versions_and_other_values_are_other_questions_to_the_cache(rig: Rig) -> None:
    for prompt, hit in (
        ({"id": "support.reply", "variables": {"name": "cache"}}, "miss"),
        ({"id": "support.reply", "variables": {"name": "cache"}}, "hit"),
        ({"id": "support.reply", "version": "latest", "variables": {"name": "cache"}}, "miss"),
        ({"id": "support.reply", "variables": {"name": "other"}}, "miss"),
    ):
        answer = await rig.chat(prompt, "again")
        assert (answer.status, answer.headers["x-penstock-cache"]) == (200, hit), prompt
        call = (await rig.house.ask("GET", f"/v1/calls/{answer.headers['x-request-id']}")).json
        assert call["prompt"] == ("support.reply@2" if "version" in prompt else "support.reply@1")


async def test_responses_and_messages_take_it_too(rig: Rig) -> None:
    prompt = {"id": "support.reply", "variables": {"name": "R"}}
    answer = await rig.house.ask("POST", "/v1/responses", {"model": "up/a", "prompt": prompt, "instructions": "Briefly.", "input": "Hi"})
    assert answer.status == 200, answer.text
    first, *rest = rig.bodies[-1]["messages"]
    assert first["content"] == "You answer for Acme.\n\nBriefly."
    assert [one["role"] for one in rest] == ["user", "assistant", "user"]
    said = {"model": "up/a", "max_tokens": 9, "prompt": prompt, "messages": [{"role": "user", "content": "Hi"}], "system": "Kindly."}
    answer = await rig.house.ask("POST", "/v1/messages", said, anthropic_version="2023-06-01")
    assert answer.status == 200, answer.text
    assert rig.bodies[-1]["messages"][0]["content"] == "You answer for Acme.\n\nKindly."


async def test_what_a_response_follows_holds_what_was_said_and_not_the_instructions(rig: Rig) -> None:
    prompt = {"id": "support.reply", "variables": {"name": "F"}}
    first = (await rig.house.ask("POST", "/v1/responses", {"model": "up/a", "prompt": prompt, "input": "One"})).json
    body = {"model": "up/a", "previous_response_id": first["id"], "input": "Two"}
    assert (await rig.house.ask("POST", "/v1/responses", body)).status == 200
    said = [(one["role"], one["content"]) for one in rig.bodies[-1]["messages"]]
    assert [role for role, _ in said] == ["user", "assistant", "user", "assistant", "user"]
    assert "You answer for Acme." not in str(said)


@pytest.mark.parametrize(
    ("prompt", "status", "code", "param", "words"),
    [
        ({"id": "nothing"}, 404, "prompt_not_found", "prompt.id", "there is no prompt 'nothing'"),
        ({"id": "support.reply", "version": "9"}, 404, "prompt_not_found", "prompt.version", "1 to 2, latest, production"),
        ({"id": "support.reply", "version": "staging"}, 404, "prompt_not_found", "prompt.version", "no version 'staging'"),
        ({"id": "support.reply"}, 400, "prompt_variable_invalid", "prompt.variables.name", "is missing; a string was expected"),
        ({"id": "support.reply", "variables": {"name": 7}}, 400, "prompt_variable_invalid", "prompt.variables.name", "not an integer"),
        ({"id": "support.reply", "variables": {"name": "x" * 21}}, 400, "prompt_variable_invalid", "prompt.variables.name", "over 20"),
        ("text", 400, "malformed_request", "prompt", "must be an object with id"),
        ({"id": "support.reply", "vars": {}}, 400, "malformed_request", "prompt", "vars"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_sent(rig: Rig, prompt: object, status: int, code: str, param: str, words: str) -> None:
    sent = len(rig.bodies)
    answer = await rig.chat(prompt, "Hi")
    error = answer.json["error"]
    assert (answer.status, error["code"], error["param"]) == (status, code, param)
    assert words in error["message"]
    assert len(rig.bodies) == sent


async def test_a_prompt_of_another_organisation_is_not_there(rig: Rig) -> None:
    them, organisation = await rig.house.outsider()
    caller, _ = await rig.house.key(name="their caller", organisation=organisation, scopes=["call"])
    for id in ("support.reply", (await rig.house.ask("GET", "/v1/prompts/support.reply")).json["prompt"]["id"]):
        answer = await rig.chat({"id": id, "variables": {"name": "x"}}, key=caller)
        assert (answer.status, answer.json["error"]["code"]) == (404, "prompt_not_found")
        assert (await rig.house.ask("GET", f"/v1/prompts/{id}", key=them)).status == 404


async def test_a_revoked_version_is_used_by_nobody(rig: Rig) -> None:
    made = await rig.house.made("/v1/prompts/support.reply/versions", {"text": "Leaky"})
    path = f"/v1/prompts/support.reply/versions/{made['number']}/revocation"
    assert (await rig.house.ask("POST", path, {"reason": "it leaks"})).json["state"] == "revoked"
    sent = len(rig.bodies)
    answer = await rig.chat({"id": "support.reply", "version": str(made["number"])}, "Hi")
    assert (answer.status, answer.json["error"]["code"], len(rig.bodies)) == (403, "prompt_revoked", sent)
    assert (await rig.house.ask("PUT", "/v1/prompts/support.reply/labels/next", {"version": str(made["number"])})).status == 409


async def test_many_texts_of_a_batch_take_it_as_a_call_does(rig: Rig) -> None:
    prompt = {"id": "support.reply", "version": "1", "variables": {"name": "counted"}}
    body = {"model": "up/a", "prompt": prompt, "messages": [{"role": "user", "content": "Hi"}]}
    from penstock.kernel.ports import Authenticator, ModelAsk, ModelClient

    principal = rig.house.app.ports.get(Authenticator).authenticate(rig.house.admin)
    ask = ModelAsk(path="/v1/chat/completions", body=msgspec.json.encode(body), principal=principal, priority="batch")
    assert (await rig.house.app.ports.get(ModelClient).call(ask)).status == 200
    assert rig.bodies[-1]["messages"][1]["content"] == "Hello, I am counted."


# ---- one shape at a time, without a house


class OneTemplate(Shelf):
    def __init__(self, *messages: Message, **variables: Variable) -> None:
        prompt = Prompt(
            id="prm_1", organisation="org", name="p", description="", labels={"production": 1}, newest=1, created_at=0, created_by=""
        )
        known = Known("v", "p", 1, "live")
        self.apply([prompt], {("prm_1", 1): known})
        self._made = Template(messages, variables)

    async def template(self, known: Known) -> Template:
        return self._made


async def expanded(shelf: Shelf, shape: str, **fields: object) -> Mapping[str, Any]:
    call = Call(operation="chat", shape=shape, credential=None, deadline=1e12, trace=Trace.begin())
    call.principal = Principal(key_id="key", name="k", organisation="org")
    call.fields = {name: Raw(msgspec.json.encode(value)) for name, value in fields.items()}

    async def proceed(call: Call) -> Reply:
        return Reply(body=b"")

    stage = ExpandPrompt(shelf)
    assert stage.concerns(call)
    await stage(call, proceed)
    return {name: msgspec.json.decode(raw) for name, raw in call.fields.items()}


SYSTEM, USER = Message("system", "S"), Message("user", "U")


async def test_blocks_of_instructions_stay_blocks() -> None:
    block = {"type": "text", "text": "own", "cache_control": {"type": "ephemeral"}}
    found = await expanded(OneTemplate(SYSTEM, USER), "anthropic.messages", prompt={"id": "p"}, system=[block], messages=[])
    assert found["system"] == [{"type": "text", "text": "S"}, block]
    assert found["messages"] == [{"role": "user", "content": "U"}]


async def test_a_count_of_tokens_counts_the_prompt() -> None:
    found = await expanded(OneTemplate(SYSTEM), "anthropic.count_tokens", prompt={"id": "p"}, messages=[{"role": "user", "content": "x"}])
    assert found["system"] == "S"


async def test_responses_keep_items_and_texts() -> None:
    shelf = OneTemplate(SYSTEM, USER)
    item = {"type": "function_call_output", "call_id": "c", "output": "o"}
    found = await expanded(shelf, "openai.responses", prompt={"id": "p"}, input=[item])
    assert found == {"instructions": "S", "input": [{"role": "user", "content": "U"}, item]}
    assert (await expanded(OneTemplate(SYSTEM), "openai.responses", prompt={"id": "p"}, input="text"))["input"] == "text"
    with pytest.raises(MalformedRequest, match="'input' is missing"):
        await expanded(OneTemplate(SYSTEM), "openai.responses", prompt={"id": "p"})


async def test_what_openai_stores_itself_goes_through_untouched() -> None:
    asked = {"id": "pmpt_123", "version": "2"}
    assert await expanded(OneTemplate(USER), "openai.responses", prompt=asked) == {"prompt": asked}
    with pytest.raises(PenstockError, match="there is no prompt 'pmpt_123'"):
        await expanded(OneTemplate(USER), "openai.chat", prompt=asked, messages=[])
    assert await expanded(OneTemplate(USER), "openai.chat", prompt=None, messages=[]) == {"messages": []}


@pytest.mark.parametrize(("shape", "fields"), [("openai.chat", {"messages": {}}), ("anthropic.messages", {"messages": [], "system": 7})])
async def test_what_stands_beside_it_must_be_of_its_kind(shape: str, fields: dict[str, object]) -> None:
    with pytest.raises(MalformedRequest):
        await expanded(OneTemplate(SYSTEM, USER), shape, prompt={"id": "p"}, **fields)


async def test_the_vendors_own_sdks_name_prompts(rig: Rig) -> None:
    import anthropic
    import openai

    prompt: Any = {"id": "support.reply", "variables": {"name": "SDK"}}
    async with openai.AsyncOpenAI(base_url=f"{rig.house.url}/v1", api_key=rig.house.admin, max_retries=0) as sdk:
        assert (await sdk.responses.create(model="up/a", prompt=prompt)).output_text == "hello"
        assert [one["role"] for one in rig.bodies[-1]["messages"]] == ["system", "user", "assistant"]
        chat = await sdk.chat.completions.create(model="up/a", messages=[{"role": "user", "content": "Hi"}], extra_body={"prompt": prompt})
        assert chat.choices[0].message.content == "hello"
        assert len(rig.bodies[-1]["messages"]) == 4
        with pytest.raises(openai.BadRequestError, match="the variable 'name' is missing"):
            await sdk.responses.create(model="up/a", prompt={"id": "support.reply"})
    async with anthropic.AsyncAnthropic(base_url=rig.house.url, api_key=rig.house.admin, max_retries=0) as claude:
        said = await claude.messages.create(
            model="up/a", max_tokens=9, messages=[{"role": "user", "content": "Hi"}], extra_body={"prompt": prompt}
        )
        assert said.content[0].type == "text"
        assert rig.bodies[-1]["messages"][0] == {"role": "system", "content": "You answer for Acme."}
        with pytest.raises(anthropic.NotFoundError, match="there is no prompt 'gone'"):
            await claude.messages.create(model="up/a", max_tokens=9, messages=[], extra_body={"prompt": {"id": "gone"}})
