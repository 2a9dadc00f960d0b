"""Stored files that a call names reach the provider as content, whichever vendor's client names them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio
from tests.gateway.upstream import Conversation, serving
from tests.house import House, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

PDF = b"%PDF-1.4 a small one"
CHAT = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "read"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "c",
    "content": [{"type": "text", "text": "read"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


class Rig:
    """A served house with a provider of each vendor's shape, and the bodies that the providers got."""

    def __init__(self, house: House, bodies: list[dict[str, Any]]) -> None:
        self.house = house
        self.bodies = bodies
        self.openai = openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.admin, max_retries=0)
        self.anthropic = anthropic.AsyncAnthropic(base_url=house.url, api_key=house.admin, max_retries=0)

    async def stored(self, data: bytes = PDF, name: str = "a.pdf", media: str = "application/pdf") -> str:
        return (await self.openai.files.create(file=(name, data, media), purpose="user_data")).id


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    bodies: list[dict[str, Any]] = []

    async def provider(peer: Conversation) -> None:
        while True:
            head, body = await peer.request()
            bodies.append(json.loads(body))
            await peer.json(json.dumps(MESSAGE if b"/messages" in head else CHAT).encode())

    async with serving(provider) as upstream:
        settings = (
            "[gateway]\ndiscover = false\nlocal_embeddings = false\n[files]\nmax_inline_bytes = 2000\n"
            f'[gateway.providers.chat]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["m"]\n'
            f'[gateway.providers.claude]\nprofile = "anthropic"\nbase_url = "{upstream.url}"\nmodels = ["c"]\napi_key_env = "HOME"\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            rig = Rig(house, bodies)
            yield rig
            await rig.openai.close()
            await rig.anthropic.close()


def url(data: bytes, media: str = "application/pdf") -> str:
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


async def test_a_chat_completion_is_sent_the_file(rig: Rig) -> None:
    id = await rig.stored()
    await rig.openai.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": [{"type": "text", "text": f"read {id}"}, {"type": "file", "file": {"file_id": id}}]}],
    )
    said, file = rig.bodies[-1]["messages"][0]["content"]
    assert said == {"type": "text", "text": f"read {id}"}  # words are left alone
    assert file == {"type": "file", "file": {"filename": "a.pdf", "file_data": url(PDF)}}


async def test_a_response_is_sent_the_file_also_by_a_provider_of_chat(rig: Rig) -> None:
    id, picture = await rig.stored(), await rig.stored(b"png", "a.png", "image/png")
    await rig.openai.responses.create(
        model="m",
        input=[
            {
                "role": "user",
                "content": [{"type": "input_file", "file_id": id}, {"type": "input_image", "file_id": picture, "detail": "auto"}],
            }
        ],
    )
    file, image = rig.bodies[-1]["messages"][0]["content"]
    assert file["file"] == {"filename": "a.pdf", "file_data": url(PDF)}
    assert image["image_url"]["url"] == url(b"png", "image/png")


async def test_a_message_is_sent_the_document(rig: Rig) -> None:
    made = [
        await rig.anthropic.files.upload(file=(name, data, media))
        for name, data, media in (
            ("a.pdf", PDF, "application/pdf"),
            ("n.txt", "gr\u00fcn".encode(), "text/plain"),
            ("p.png", b"png", "image/png"),
        )
    ]
    kinds = ("document", "document", "image")
    content: Any = [{"type": kind, "source": {"type": "file", "file_id": file.id}} for kind, file in zip(kinds, made, strict=True)]
    asked: Any = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": content}]}]
    await rig.anthropic.messages.create(model="c", max_tokens=10, messages=asked)
    sent = rig.bodies[-1]["messages"][0]["content"][0]["content"]
    assert [one["source"] for one in sent] == [
        {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(PDF).decode()},
        {"type": "text", "media_type": "text/plain", "data": "gr\u00fcn"},
        {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"png").decode()},
    ]
    assert [one.get("title") for one in sent] == ["a.pdf", "n.txt", None]


async def test_ids_of_others_go_through_untouched(rig: Rig) -> None:
    for id in ("file-abc123", "file_011CNha8iCJcU1wXNR6q4V8w", "file_" + "g" * 32):
        part: Any = {"type": "file", "file": {"file_id": id}}
        await rig.openai.chat.completions.create(model="m", messages=[{"role": "user", "content": [part]}])
        assert rig.bodies[-1]["messages"][0]["content"] == [part]


async def test_a_file_that_one_may_not_see_is_not_found(rig: Rig) -> None:
    id = await rig.stored()
    theirs, _ = await rig.house.outsider()
    sent = len(rig.bodies)
    part: Any = {"type": "file", "file": {"file_id": id}}
    with pytest.raises(openai.NotFoundError) as missing:
        await rig.openai.with_options(api_key=theirs).chat.completions.create(model="m", messages=[{"role": "user", "content": [part]}])
    assert missing.value.code == "not_found"
    await rig.openai.files.delete(id)
    with pytest.raises(openai.NotFoundError):
        await rig.openai.chat.completions.create(model="m", messages=[{"role": "user", "content": [part]}])
    assert len(rig.bodies) == sent


async def test_what_is_too_much_or_no_text_is_refused(rig: Rig) -> None:
    large = await rig.stored(b"x" * 1500)
    part: Any = {"type": "file", "file": {"file_id": large}}
    with pytest.raises(openai.APIStatusError) as refused:
        await rig.openai.chat.completions.create(model="m", messages=[{"role": "user", "content": [part, part]}])
    assert (refused.value.status_code, refused.value.code) == (413, "body_too_large")
    wrong = await rig.stored(b"\xff\xfe", "a.txt", "text/plain")
    document: Any = {"type": "document", "source": {"type": "file", "file_id": wrong}}
    with pytest.raises(anthropic.BadRequestError, match="not UTF-8"):
        await rig.anthropic.messages.create(model="c", max_tokens=10, messages=[{"role": "user", "content": [document]}])


@pytest.mark.parametrize("content", [5, None, "file_" + "0" * 32, [["file_" + "0" * 32]], [{"type": "file", "file": "file_" + "0" * 32}]])
async def test_odd_conversations_are_left_to_whoever_reads_them(rig: Rig, content: Any) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": content}, "file_" + "0" * 32]}
    answer = await rig.house.ask("POST", "/v1/chat/completions", body)
    assert answer.status == 200, answer.text
    assert rig.bodies[-1]["messages"] == body["messages"]
