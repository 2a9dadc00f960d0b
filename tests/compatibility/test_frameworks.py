"""LangChain, LlamaIndex and Pydantic AI with nothing changed but the address and the key.

They want an environment of their own (``make test-compatibility``): some hold other versions of the SDKs than we test with.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.compatibility.conftest import Rig
from tests.compatibility.provider import CITY, PERSON, WEATHER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    # What these libraries warn of in themselves and in each other is theirs.
    pytest.mark.filterwarnings("ignore"),
]

ASKED = "What is it like in Delft?"


def weather(city: str) -> str:
    """The weather of a city."""
    assert city == CITY["city"]
    return "rain"


@pytest.mark.parametrize("model", ["m", "c", "g"])
def test_langchain_openai(rig: Rig, model: str) -> None:
    pytest.importorskip("langchain_openai", reason="make test-compatibility installs it")
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings
    from pydantic import BaseModel

    class Person(BaseModel):
        """A person."""

        name: str
        age: int

    llm = ChatOpenAI(base_url=f"{rig.url}/v1", api_key=rig.key, model=model, max_retries=0)
    assert llm.invoke("hi").content == "Hello there."
    assert "".join(str(part.content) for part in llm.stream("hi")).strip() == "Hello there."
    bound = llm.bind_tools([weather])
    history: list[Any] = [HumanMessage(ASKED)]
    first: Any = bound.invoke(history)
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("weather", CITY)
    history += [first, ToolMessage(weather(**call["args"]), tool_call_id=call["id"])]
    assert bound.invoke(history).content == WEATHER
    found: Any = llm.with_structured_output(Person, method="json_schema").invoke("Who?")
    assert found.model_dump() == PERSON
    found = llm.with_structured_output(Person, method="function_calling").invoke("Who?")
    assert found.model_dump() == PERSON
    if model == "m":
        vectors = OpenAIEmbeddings(base_url=f"{rig.url}/v1", api_key=rig.key, model="m", check_embedding_ctx_length=False).embed_documents(
            ["a"]
        )
        assert vectors == [[0.5, 1.0]]


@pytest.mark.parametrize("model", ["m", "c", "g"])
def test_langchain_anthropic(rig: Rig, model: str) -> None:
    pytest.importorskip("langchain_anthropic", reason="make test-compatibility installs it")
    from langchain_anthropic import ChatAnthropic
    from langchain_core.messages import HumanMessage, ToolMessage

    llm = ChatAnthropic(base_url=rig.url, api_key=rig.key, model=model, max_tokens=50, max_retries=0)
    assert llm.invoke("hi").content == "Hello there."
    assert "".join(str(part.text) for part in llm.stream("hi")).strip() == "Hello there."
    bound = llm.bind_tools([weather])
    history: list[Any] = [HumanMessage(ASKED)]
    first: Any = bound.invoke(history)
    (call,) = first.tool_calls
    history += [first, ToolMessage(weather(**call["args"]), tool_call_id=call["id"])]
    assert bound.invoke(history).content == WEATHER


@pytest.mark.parametrize("model", ["m", "c", "g"])
def test_llama_index(rig: Rig, model: str) -> None:
    pytest.importorskip("llama_index.llms.openai_like", reason="make test-compatibility installs it")
    from llama_index.core.llms import ChatMessage
    from llama_index.core.tools import FunctionTool
    from llama_index.llms.openai_like import OpenAILike

    llm = OpenAILike(
        api_base=f"{rig.url}/v1", api_key=rig.key, model=model, is_chat_model=True, is_function_calling_model=True, max_retries=0
    )
    asked = [ChatMessage(role="user", content=ASKED)]
    assert llm.chat(asked).message.content == "Hello there."
    assert "".join(part.delta or "" for part in llm.stream_chat(asked)).strip() == "Hello there."
    said = asyncio.run(llm.achat(asked))
    assert said.message.content == "Hello there."
    tool = FunctionTool.from_defaults(fn=weather)
    answer = llm.predict_and_call([tool], user_msg=ASKED)
    assert "rain" in str(answer)


def test_llama_index_embeddings(rig: Rig) -> None:
    pytest.importorskip("llama_index.embeddings.openai_like", reason="make test-compatibility installs it")
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding

    embed = OpenAILikeEmbedding(api_base=f"{rig.url}/v1", api_key=rig.key, model_name="m")
    assert embed.get_text_embedding("a") == [0.5, 1.0]


@pytest.mark.parametrize("model", ["m", "c", "g"])
@pytest.mark.parametrize("vendor", ["openai", "responses"])
async def test_pydantic_ai(rig: Rig, model: str, vendor: str) -> None:
    pytest.importorskip("pydantic_ai", reason="make test-compatibility installs it")
    from pydantic import BaseModel
    from pydantic_ai import Agent, NativeOutput
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    class Person(BaseModel):
        """A person."""

        name: str
        age: int

    kind = OpenAIChatModel if vendor == "openai" else OpenAIResponsesModel
    llm: Any = kind(model, provider=OpenAIProvider(base_url=f"{rig.url}/v1", api_key=rig.key))
    agent = Agent(llm)
    agent.tool_plain(weather)
    assert (await agent.run(ASKED)).output == WEATHER
    async with Agent(llm).run_stream("hi") as stream:
        assert (await stream.get_output()).strip() == "Hello there."
    assert (await Agent(llm, output_type=NativeOutput(Person)).run("Who?")).output.model_dump() == PERSON
    assert (await Agent(llm, output_type=Person).run("Who?")).output.model_dump() == PERSON
