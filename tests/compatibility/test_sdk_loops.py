"""The vendors' SDKs through whole conversations, each with a provider of its own shape (m, c) and with those of the others (g: Gemini)."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from tests.compatibility.conftest import Rig
from tests.compatibility.provider import CITY, PERSON, PNG, WEATHER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

CHAT_TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
CLAUDE_TOOL: Any = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
SAID: Any = [{"role": "user", "content": "What is it like in Delft?"}]


class Person(pydantic.BaseModel):
    name: str
    age: int


@pytest.fixture(scope="module")
def sdk(rig: Rig) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{rig.url}/v1", api_key=rig.key, max_retries=0)


@pytest.fixture(scope="module")
def claude(rig: Rig) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=rig.url, api_key=rig.key, max_retries=0)


@pytest.mark.parametrize("model", ["m", "c", "g"])
@pytest.mark.parametrize("stream", [False, True])
def test_openai_tools_to_the_end(sdk: openai.OpenAI, model: str, stream: bool) -> None:
    messages: list[Any] = list(SAID)
    if stream:
        with sdk.chat.completions.stream(model=model, messages=messages, tools=[CHAT_TOOL]) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = sdk.chat.completions.create(model=model, messages=messages, tools=[CHAT_TOOL]).choices[0].message
    assert message.tool_calls
    call: Any = message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", CITY)
    messages += [
        {
            "role": "assistant",
            "tool_calls": [
                {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}
            ],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    last = sdk.chat.completions.create(model=model, messages=messages, tools=[CHAT_TOOL]).choices[0].message
    assert last.content == WEATHER


@pytest.mark.parametrize("model", ["m", "c", "g"])
@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_tools_to_the_end(claude: anthropic.Anthropic, model: str, stream: bool) -> None:
    messages: list[Any] = list(SAID)
    if stream:
        with claude.messages.stream(model=model, max_tokens=50, messages=messages, tools=[CLAUDE_TOOL]) as events:
            reply: Any = events.get_final_message()
    else:
        reply = claude.messages.create(model=model, max_tokens=50, messages=messages, tools=[CLAUDE_TOOL])
    assert reply.stop_reason == "tool_use"
    use: Any = next(block for block in reply.content if block.type == "tool_use")
    assert (use.name, use.input) == ("weather", CITY)
    messages += [
        {"role": "assistant", "content": [{"type": "tool_use", "id": use.id, "name": use.name, "input": use.input}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "rain"}]},
    ]
    last: Any = claude.messages.create(model=model, max_tokens=50, messages=messages, tools=[CLAUDE_TOOL])
    assert last.content[0].text == WEATHER


@pytest.mark.parametrize("model", ["m", "c", "g"])
def test_openai_structured_output(sdk: openai.OpenAI, model: str) -> None:
    parsed = sdk.chat.completions.parse(model=model, messages=SAID, response_format=Person)
    assert parsed.choices[0].message.parsed == Person(**PERSON)  # type: ignore[arg-type]
    answer = sdk.responses.parse(model=model, input="Who?", text_format=Person, store=False)
    assert answer.output_parsed == Person(**PERSON)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["m", "c", "g"])
def test_openai_responses_with_tools(sdk: openai.OpenAI, model: str) -> None:
    tool: Any = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False}
    first = sdk.responses.create(model=model, input="What is it like?", tools=[tool], store=False)
    call: Any = next(item for item in first.output if item.type == "function_call")
    assert json.loads(call.arguments) == CITY
    history: Any = [
        {"role": "user", "content": "What is it like?"},
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"},
    ]
    assert sdk.responses.create(model=model, input=history, tools=[tool], store=False).output_text == WEATHER


@pytest.mark.parametrize("model", ["m", "c", "g"])
def test_images(rig: Rig, sdk: openai.OpenAI, claude: anthropic.Anthropic, model: str) -> None:
    url = f"data:image/png;base64,{PNG}"
    asked: Any = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]}]
    assert sdk.chat.completions.create(model=model, messages=asked).choices[0].message.content == "I see a pixel."
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    shown: Any = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image", "source": source}]}]
    reply: Any = claude.messages.create(model=model, max_tokens=5, messages=shown)
    assert reply.content[0].text == "I see a pixel."
    assert PNG in json.dumps(rig.model.asked[-1])
    seen: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "?"}, {"type": "input_image", "image_url": url, "detail": "auto"}]}
    ]
    assert sdk.responses.create(model=model, input=seen, store=False).output_text == "I see a pixel."


def test_embeddings_as_the_sdk_asks_for_them(rig: Rig, sdk: openai.OpenAI) -> None:
    found = sdk.embeddings.create(model="m", input=["a", "b"])
    assert [row.embedding for row in found.data] == [[0.5, 1.0], [0.5, 1.0]]
    assert rig.model.asked[-1]["encoding_format"] == "base64"


def test_extra_fields_and_headers(rig: Rig, sdk: openai.OpenAI) -> None:
    raw = sdk.chat.completions.with_raw_response.create(
        model="m", messages=SAID, extra_body={"top_k": 5}, extra_headers={"x-penstock-task": "weather", "x-penstock-labels": "team=a"}
    )
    assert rig.model.asked[-1]["top_k"] == 5
    assert raw.headers["x-request-id"].startswith("call_")
    assert raw.headers["x-penstock-provider"] == "chat"
    assert raw.parse().choices[0].message.content == "Hello there."


def test_errors_are_the_sdks_own(rig: Rig, sdk: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    with pytest.raises(openai.NotFoundError, match="no provider serves"):
        sdk.chat.completions.create(model="nobody", messages=SAID)
    with pytest.raises(openai.BadRequestError) as fault:
        sdk.chat.completions.create(model="m", messages="hi")  # type: ignore[arg-type]
    assert fault.value.param == "messages"
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="nobody", max_tokens=5, messages=SAID)
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=rig.url, api_key="psk_no", max_retries=0).messages.create(model="c", max_tokens=5, messages=SAID)


def test_count_tokens_and_models(sdk: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    assert claude.messages.count_tokens(model="c", messages=SAID).input_tokens == 11
    assert {model.id for model in sdk.models.list()} >= {"m", "c", "g"}
    assert sdk.models.retrieve("m").id == "m"
