"""The client that frameworks ask by, with OpenAI's own library on it."""

from __future__ import annotations

from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError

from penstock.agents import Limits
from penstock.agents.adopted import URL, Adopted, http_client
from penstock.agents.model import Said
from penstock.agents.testing import Trial, calls, says


def client() -> AsyncOpenAI:
    return AsyncOpenAI(http_client=http_client(), base_url=URL, api_key="-", max_retries=0)


def adopted(go: Any, **terms: Any) -> Adopted:
    return Adopted("desk", go, model="m", tools={}, **terms)


async def whole(input: Any) -> Any:
    reply = await client().chat.completions.create(model="m", messages=[{"role": "user", "content": input}])
    call = (reply.choices[0].message.tool_calls or [None])[0]
    usage = reply.usage
    assert usage is not None
    return [reply.choices[0].message.content, reply.choices[0].finish_reason, call and call.model_dump()["function"], usage.total_tokens]


async def streamed(input: Any) -> Any:
    text, names, finish = "", "", ""
    stream = await client().chat.completions.create(model="m", messages=[{"role": "user", "content": input}], stream=True)
    async for piece in stream:
        for choice in piece.choices:
            text += choice.delta.content or ""
            names += "".join(call.function.name or "" for call in choice.delta.tool_calls or () if call.function)
            finish = choice.finish_reason or finish
    return [text, finish, names]


async def test_replies_are_what_the_library_expects_whole_and_streamed() -> None:
    async with Trial(desk=[says("Hello", tokens=7)]):
        assert await adopted(whole, output=list)("hi") == ["Hello", "stop", None, 7]
        assert await adopted(streamed, output=list)("hi") == ["Hello", "stop", ""]
    async with Trial(desk=[calls(("find", {"n": 1}))]):
        assert await adopted(whole, output=list)("hi") == [None, "tool_calls", {"arguments": '{"n": 1}', "name": "find"}, 5]
        assert await adopted(streamed, output=list)("hi") == ["", "tool_calls", "find"]


async def test_refusals_arrive_with_their_code() -> None:
    async def go(input: Any) -> Any:
        with pytest.raises(BadRequestError) as refused:
            await whole(input)
        return refused.value.code

    async with Trial(desk=[Said(error="model_not_found", message="no")]) as trial:
        ended = await trial.start(adopted(go), "hi")
    assert (ended.state, ended.code) == ("failed", "model_not_found"), "the run ends with it, whatever was caught"
    async with Trial() as trial:
        ended = await trial.start(adopted(go, limits=Limits(seconds=0)), "hi")
    assert (ended.state, ended.code) == ("limit", "limit_seconds")


async def test_it_answers_chat_completions_inside_runs_and_nothing_else() -> None:
    with pytest.raises(BadRequestError, match="there is none here"):
        await whole("hi")

    async def go(input: Any) -> Any:
        for ask in (client().responses.create(model="m", input="hi"), client().embeddings.create(model="m", input="hi")):
            with pytest.raises(BadRequestError, match="chat completions"):
                await ask
        async with http_client() as plain:
            malformed = await plain.post(f"{URL}/chat/completions", content=b"[")
        return malformed.status_code

    async with Trial():
        assert await adopted(go, output=int)("hi") == 400
