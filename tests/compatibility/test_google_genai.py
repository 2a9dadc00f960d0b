"""Google's own SDK, unmodified, served by a provider of its own shape (g) and by those of OpenAI's (m) and Anthropic's (c).

It wants the environment of ``make test-compatibility``.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pydantic
import pytest
from tests.compatibility.conftest import Rig
from tests.compatibility.provider import CITY, PERSON, PNG, WEATHER

genai = pytest.importorskip("google.genai", reason="make test-compatibility installs it")

from google.genai import errors, types  # noqa: E402 - only where it is installed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60), pytest.mark.filterwarnings("ignore")]

ASKED = "What is it like in Delft?"
ALL = pytest.mark.parametrize("model", ["m", "c", "g"])
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather",
            description="The weather of a city.",
            parameters=types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")}, required=["city"]),
        )
    ]
)


class Person(pydantic.BaseModel):
    name: str
    age: int


@pytest.fixture(scope="module")
def sdk(rig: Rig) -> Any:
    return genai.Client(api_key=rig.key, http_options=types.HttpOptions(base_url=rig.url))


@ALL
def test_content_whole_and_streamed(sdk: Any, model: str) -> None:
    config = types.GenerateContentConfig(system_instruction="Be brief.", temperature=0.5, max_output_tokens=50, stop_sequences=["END"])
    whole = sdk.models.generate_content(model=model, contents="hi", config=config)
    assert whole.text == "Hello there."
    assert whole.candidates[0].finish_reason == types.FinishReason.STOP
    assert (whole.usage_metadata.prompt_token_count, whole.usage_metadata.candidates_token_count) == (9, 3)
    chunks = list(sdk.models.generate_content_stream(model=model, contents="hi", config=config))
    assert "".join(chunk.text or "" for chunk in chunks).strip() == "Hello there."
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.total_token_count == 12


@ALL
def test_the_asynchronous_client(rig: Rig, model: str) -> None:
    async def talk() -> str:
        client = genai.Client(api_key=rig.key, http_options=types.HttpOptions(base_url=rig.url)).aio
        async with client:
            return "".join([chunk.text or "" async for chunk in await client.models.generate_content_stream(model=model, contents="hi")])

    assert asyncio.run(talk()).strip() == "Hello there."


@ALL
@pytest.mark.parametrize("stream", [False, True])
def test_tools_to_the_end(sdk: Any, model: str, stream: bool) -> None:
    config = types.GenerateContentConfig(tools=[TOOL])
    history: list[Any] = [types.Content(role="user", parts=[types.Part(text=ASKED)])]
    if stream:
        chunks = list(sdk.models.generate_content_stream(model=model, contents=history, config=config))
        said = [part for chunk in chunks for part in (chunk.candidates[0].content.parts or ()) if part.text != ""]
    else:
        said = sdk.models.generate_content(model=model, contents=history, config=config).candidates[0].content.parts
    (call,) = [part.function_call for part in said if part.function_call]
    assert (call.name, call.args) == ("weather", CITY)
    history.append(types.Content(role="model", parts=said))
    result = types.FunctionResponse(id=call.id, name=call.name, response={"output": "rain"})
    history.append(types.Content(role="user", parts=[types.Part(function_response=result)]))
    assert sdk.models.generate_content(model=model, contents=history, config=config).text == WEATHER


@ALL
def test_functions_that_the_sdk_calls_itself(sdk: Any, model: str) -> None:
    asked: list[str] = []

    def weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return "rain"

    chat = sdk.chats.create(model=model, config=types.GenerateContentConfig(tools=[weather]))
    assert chat.send_message(ASKED).text == WEATHER
    assert asked == ["Delft"]
    assert chat.send_message("And tomorrow?").text == WEATHER


@ALL
def test_structured_output(sdk: Any, model: str) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    assert sdk.models.generate_content(model=model, contents="Who?", config=config).parsed == Person(**PERSON)  # type: ignore[arg-type]
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=Person.model_json_schema())
    assert Person.model_validate_json(sdk.models.generate_content(model=model, contents="Who?", config=config).text) == Person(**PERSON)  # type: ignore[arg-type]


@ALL
def test_an_image(rig: Rig, sdk: Any, model: str) -> None:
    image = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
    assert sdk.models.generate_content(model=model, contents=[image, "What is it?"]).text == "I see a pixel."
    if model != "g":
        assert PNG in str(rig.model.asked[-1])  # the SDK writes URL-safe base64, which only Google takes


def test_thoughts(sdk: Any) -> None:
    config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
    parts = sdk.models.generate_content(model="g", contents="hi", config=config).candidates[0].content.parts
    assert [(part.text, bool(part.thought)) for part in parts] == [("Let me think.", True), ("Hello there.", False)]


@pytest.mark.parametrize("model", ["m", "g"])
def test_embeddings(sdk: Any, model: str) -> None:
    one = sdk.models.embed_content(model=model, contents="a")
    many = sdk.models.embed_content(model=model, contents=["a", "b"], config=types.EmbedContentConfig(output_dimensionality=2))
    assert [list(found.values) for found in one.embeddings] == [[0.5, 1.0]]
    assert [list(found.values) for found in many.embeddings] == [[0.5, 1.0], [0.5, 1.0]]


@pytest.mark.parametrize("model", ["c", "g"])
def test_tokens_are_counted(sdk: Any, model: str) -> None:
    assert sdk.models.count_tokens(model=model, contents="hi").total_tokens == 11


def test_models(sdk: Any) -> None:
    listed = {model.name: model.supported_actions for model in sdk.models.list()}
    assert set(listed) >= {"models/m", "models/c", "models/g"}
    assert "generateContent" in listed["models/m"]
    assert "embedContent" not in listed["models/c"]
    assert sdk.models.get(model="m").name == "models/m"


def test_errors_are_the_sdks_own(rig: Rig, sdk: Any) -> None:
    with pytest.raises(errors.ClientError, match="no provider serves") as lost:
        sdk.models.generate_content(model="nobody", contents="hi")
    assert (lost.value.code, lost.value.status) == (404, "NOT_FOUND")
    with pytest.raises(errors.ClientError) as lost:
        sdk.models.get(model="nobody")
    assert (lost.value.code, lost.value.status) == (404, "NOT_FOUND")
    with pytest.raises(errors.ClientError, match="speechConfig") as refused:
        sdk.models.generate_content(model="m", contents="hi", config=types.GenerateContentConfig(speech_config="Kore"))
    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")
    stranger = genai.Client(api_key="psk_no", http_options=types.HttpOptions(base_url=rig.url))
    with pytest.raises(errors.ClientError) as unknown:
        stranger.models.generate_content(model="m", contents="hi")
    assert (unknown.value.code, unknown.value.status) == (401, "UNAUTHENTICATED")
    with pytest.raises(errors.ClientError):
        list(stranger.models.generate_content_stream(model="m", contents="hi"))
    with pytest.raises(errors.ClientError):
        list(stranger.models.list())
