from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.gateway.candidates import KnownCandidates
from penstock.gateway.choose import Catalogue
from penstock.gateway.replies import StoredReplies
from penstock.gateway.resolver import Resolver
from penstock.gateway.settings import ModelSettings
from penstock.gateway.shapes import SHAPES
from penstock.kernel.call import Usage


def named(catalogue: Catalogue) -> Resolver:
    return Resolver(catalogue, KnownCandidates(catalogue))


REPLIES = StoredReplies(named(Catalogue({}, {})))
USED = Usage(input=3, output=4)


def whole(text: str | None = "one two", finish: str = "stop", **message: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    return json.dumps({"id": "c", "model": "m", "created": 1, "choices": [choice], "usage": usage}).encode()


def render(shape: str, reply: bytes, *, stream: bool, to_stream: bool, show: bool = False) -> bytes:
    made = REPLIES.render(shape, reply, stream=stream, to_stream=to_stream, usage=USED, show=show)
    assert made is not None
    return made


@pytest.mark.parametrize("shape", ["openai.chat", "anthropic.messages", "google.generate"])
def test_a_reply_comes_back_the_same_from_a_stream(shape: str) -> None:
    known: Any = SHAPES[shape]
    first = known.encode_reply(SHAPES["openai.chat"].decode_reply(whole()), model="m")  # type: ignore[attr-defined]
    stream = render(shape, first, stream=False, to_stream=True, show=True)
    tap = known.tap(keep_usage=True)
    tap.feed(stream)
    tap.close()
    assert tap.finished
    assert tap.usage is not None
    assert (tap.usage.input, tap.usage.output) == (3, 4)
    back = render(shape, stream, stream=True, to_stream=False)
    assert known.decode_reply(back).choices[0].parts[0].text == "one two"
    seen = REPLIES.see(shape, stream, stream=True), REPLIES.see(shape, back, stream=False)
    assert seen[0] == seen[1]
    assert seen[0] is not None
    assert (seen[0].text, seen[0].tools) == ("one two", False)


def test_usage_is_shown_to_who_asked() -> None:
    assert b'"total_tokens":7' in render("openai.chat", whole(), stream=False, to_stream=True, show=True)
    assert b"total_tokens" not in render("openai.chat", whole(), stream=False, to_stream=True)


@pytest.mark.parametrize(
    "reply",
    [whole(finish="content_filter"), whole(None, refusal="no"), b"{}", b"nothing", b'{"choices": []}'],
)
def test_these_are_not_worth_keeping(reply: bytes) -> None:
    seen = REPLIES.see("openai.chat", reply, stream=False)
    assert seen is None or seen.text == ""
    assert REPLIES.see("openai.chat", reply, stream=True) is None


def test_tools_are_noticed_and_other_apis_are_taken_as_they_are() -> None:
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    seen = REPLIES.see("openai.chat", whole(None, "tool_calls", tool_calls=[call]), stream=False)
    assert seen is not None
    assert seen.tools
    assert REPLIES.see("openai.embeddings", b"{}", stream=False) is not None
    assert REPLIES.see("openai.embeddings", b"{}", stream=True) is None
    assert REPLIES.render("openai.embeddings", b"{}", stream=False, to_stream=True, usage=USED, show=False) is None
    assert REPLIES.render("openai.chat", b"nothing", stream=False, to_stream=True, usage=USED, show=False) is None


def question(shape: str, body: Any) -> Any:
    fields, _ = SHAPES[shape].read(json.dumps(body).encode())
    return REPLIES.question(shape, fields)


def test_a_conversation_is_taken_apart() -> None:
    system = {"role": "system", "content": "Be brief."}
    one = question("openai.chat", {"model": "m", "messages": [system, {"role": "user", "content": "a"}], "user": "u", "stream": True})
    other = question("openai.chat", {"model": "m", "messages": [system, {"role": "user", "content": [{"type": "text", "text": "b"}]}]})
    assert (one.text, other.text, one.rest == other.rest) == ("a", "b", True)
    warmer = question("openai.chat", {"model": "m", "messages": [system, {"role": "user", "content": "a"}], "temperature": 1})
    assert warmer.rest != one.rest
    assert question("openai.chat", {"model": "m", "messages": [{"role": "user", "content": "a"}]}).rest != one.rest
    assert question("anthropic.messages", {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "a"}]}).text == "a"


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("openai.chat", {"model": "m", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}),
        (
            "openai.chat",
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y"}}]}]},
        ),
        ("openai.chat", {"model": "m", "messages": [{"role": "nobody"}]}),
        ("openai.embeddings", {"model": "m", "input": "a"}),
    ],
)
def test_what_does_not_end_with_text_of_the_user_is_no_question(shape: str, body: Any) -> None:
    assert question(shape, body) is None


def test_names_lead_where_the_settings_say() -> None:
    replies = StoredReplies(named(Catalogue({}, {"chat": ModelSettings(targets=("gone/m",))})))
    assert not replies.leads_to("chat", "gone", "m", "org")
    assert not replies.leads_to("nobody", "p", "m", "org")
