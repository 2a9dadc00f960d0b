"""From one vendor's shape to the other's and back: what both can say arrives whole, what one cannot is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.gateway.shapes import SHAPES, chat
from penstock.gateway.shapes.shape import ChatShape, Dialect
from penstock.kernel.errors import MalformedRequest, NotExpressible, UpstreamError, UpstreamMalformed

CHAT, CLAUDE, RESPONSES = (chat(SHAPES[name]) for name in ("openai.chat", "anthropic.messages", "openai.responses"))
PNG = "iVBORw0KGgoAAAANSUhEUg=="


def sent(shape: ChatShape, body: dict[str, Any], to: ChatShape, **options: Any) -> dict[str, Any]:
    """What a provider that speaks ``to`` is sent for a request of ``shape``."""
    fields, head = shape.read(json.dumps(body).encode())
    out: dict[str, Any] = json.loads(to.encode_request(shape.decode_request(fields), model="theirs", stream=head.stream, **options))
    return out


def got(spoken: ChatShape, body: dict[str, Any], shape: ChatShape) -> dict[str, Any]:
    """What a client of ``shape`` gets for a provider's reply."""
    out: dict[str, Any] = json.loads(shape.encode_reply(spoken.decode_reply(json.dumps(body).encode()), model="m"))
    return out


TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CONVERSATION = {
    "model": "m",
    "max_tokens": 50,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it like there?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Delft"}'}},
                {"id": "t2", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Leiden"}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
        {"role": "tool", "tool_call_id": "t2", "content": "sun"},
        {"role": "user", "content": "And tomorrow?"},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": TOOL}}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
    "user": "u1",
}


def test_a_conversation_with_tools_and_images_in_anthropics_words() -> None:
    out = sent(CHAT, CONVERSATION, CLAUDE)
    assert out["model"] == "theirs"
    assert out["system"] == "Be brief."
    assert (out["max_tokens"], out["temperature"], out["top_p"], out["stop_sequences"]) == (50, 0.5, 0.9, ["END"])
    assert out["metadata"] == {"user_id": "u1"}
    assert out["tools"][0]["name"] == "weather"
    assert out["tools"][0]["input_schema"] == TOOL
    assert out["tool_choice"] == {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}
    first, second, third = out["messages"]
    assert [block["type"] for block in first["content"]] == ["text", "image", "image"]
    assert first["content"][1]["source"] == {"type": "base64", "media_type": "image/png", "data": PNG}
    assert first["content"][2]["source"] == {"type": "url", "url": "https://example.org/a.png"}
    assert [block["type"] for block in second["content"]] == ["text", "tool_use", "tool_use"]
    assert second["content"][1] == {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Delft"}}
    # Results and what the user says next are one turn there.
    assert [block["type"] for block in third["content"]] == ["tool_result", "tool_result", "text"]
    assert [block.get("tool_use_id") for block in third["content"]] == ["t1", "t2", None]


def test_and_back_again_it_is_the_same_conversation() -> None:
    claude = sent(CHAT, CONVERSATION, CLAUDE)
    back = sent(CLAUDE, claude, CHAT)
    assert back["messages"][0] == CONVERSATION["messages"][0]  # type: ignore[index]
    said = [message for message in back["messages"] if message["role"] in ("assistant", "tool")]
    calls = [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in said[0]["tool_calls"]]
    assert calls == [("t1", "weather", {"city": "Delft"}), ("t2", "weather", {"city": "Leiden"})]
    assert [(m["tool_call_id"], m["content"]) for m in said[1:]] == [("t1", "rain"), ("t2", "sun")]
    images = [
        part["image_url"]["url"] for m in back["messages"] if isinstance(m["content"], list) for part in m["content"] if "image_url" in part
    ]
    assert images == [f"data:image/png;base64,{PNG}", "https://example.org/a.png"]
    assert back["tools"] == CONVERSATION["tools"]
    assert back["tool_choice"] == CONVERSATION["tool_choice"]
    assert back["parallel_tool_calls"] is False
    assert (back["max_tokens"], back["temperature"], back["stop"], back["user"]) == (50, 0.5, ["END"], "u1")


@pytest.mark.parametrize("shape", [CHAT, CLAUDE])
def test_a_trip_through_the_normal_form_into_the_same_shape_changes_nothing(shape: ChatShape) -> None:
    body = sent(CHAT, CONVERSATION, shape)
    assert sent(shape, body, shape) == body


def test_fields_that_only_one_shape_knows_survive_in_it_and_are_refused_elsewhere() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "logit_bias": {"5": 1}}
    fields, head = CHAT.read(json.dumps(body).encode())
    same = json.loads(CHAT.upstream_body(fields, model="theirs", stream=False, want_usage=False))
    assert same == {**body, "model": "theirs"}
    assert head.model == "m"
    with pytest.raises(NotExpressible) as fault:
        sent(CHAT, body, CLAUDE)
    assert fault.value.param == "logit_bias"


def test_unknown_fields_pass_through_byte_for_byte() -> None:
    raw = b'{"model":"m", "messages":[ {"role":"user","content":"\\u00e9"} ],"made_up":{"a":[1.50, 1e2 ,"\\/"]},"seed":1.0}'
    fields, _ = CHAT.read(raw)
    out = CHAT.upstream_body(fields, model="theirs", stream=False, want_usage=False)
    for piece in (b'[ {"role":"user","content":"\\u00e9"} ]', b'{"a":[1.50, 1e2 ,"\\/"]}', b"1.0"):
        assert piece in out
    assert b'"model":"theirs"' in out


@pytest.mark.parametrize(
    ("field", "value"),
    [("n", 2), ("logprobs", True), ("presence_penalty", 0.5), ("audio", {"voice": "a", "format": "mp3"})],
)
def test_what_anthropic_cannot_say_is_refused_by_name(field: str, value: Any) -> None:
    request = CHAT.decode_request(CHAT.read(json.dumps({"model": "m", "messages": [], field: value}).encode())[0])
    with pytest.raises(NotExpressible) as fault:
        CLAUDE.encode_request(request, model="theirs", stream=False)
    assert fault.value.param == field


def test_a_seed_is_a_wish_that_may_be_left_out_and_is_noted() -> None:
    request = CHAT.decode_request(CHAT.read(b'{"model": "m", "messages": [], "seed": 1}')[0])
    assert b"seed" not in CLAUDE.encode_request(request, model="theirs", stream=False)
    assert "seed" in request.dropped


def test_temperatures_above_one_are_refused_not_cut() -> None:
    with pytest.raises(NotExpressible, match="0 to 1") as fault:
        sent(CHAT, {"model": "m", "messages": [], "temperature": 1.5}, CLAUDE)
    assert fault.value.param == "temperature"


def test_a_cap_of_zero_tokens_is_refused() -> None:
    # Found by fuzzing: OpenAI takes max_tokens 0, Anthropic does not.
    with pytest.raises(NotExpressible, match="at least 1"):
        sent(CHAT, {"model": "m", "messages": [], "max_tokens": 0}, CLAUDE)


def test_a_provider_without_sampling_parameters_refuses_them() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}
    with pytest.raises(NotExpressible, match="no sampling"):
        sent(CHAT, body, CLAUDE, dialect=Dialect(sampling=False))


def test_a_schema_for_the_reply_in_each_shape() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wish = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "response_format": wish}
    assert sent(CHAT, body, CLAUDE)["output_config"]["format"] == {"type": "json_schema", "schema": schema}
    asked = {"model": "m", "input": "hi", "store": False, "text": {"format": {"type": "json_schema", "name": "answer", "schema": schema}}}
    assert sent(RESPONSES, asked, CHAT)["response_format"]["json_schema"]["schema"] == schema


def test_state_that_penstock_does_not_keep_is_refused() -> None:
    with pytest.raises(NotExpressible) as fault:
        sent(RESPONSES, {"model": "m", "input": "hi", "previous_response_id": "resp_1"}, CHAT)
    assert fault.value.param == "previous_response_id"


def test_arguments_that_are_no_json_object_cannot_go_to_anthropic() -> None:
    body = json.loads(json.dumps(CONVERSATION))
    body["messages"][2]["tool_calls"][0]["function"]["arguments"] = "not json"
    with pytest.raises(NotExpressible) as fault:
        sent(CHAT, body, CLAUDE)
    assert fault.value.param == "messages.tool_calls"


def test_a_cap_is_sent_where_it_must_be() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert sent(CHAT, body, CLAUDE, dialect=Dialect(default_max_tokens=777))["max_tokens"] == 777
    assert (
        sent(CLAUDE, {**body, "max_tokens": 5}, CHAT, dialect=Dialect(max_tokens_field="max_completion_tokens"))["max_completion_tokens"]
        == 5
    )


CHAT_REPLY: dict[str, Any] = {
    "id": "chatcmpl-9",
    "object": "chat.completion",
    "created": 1,
    "model": "theirs",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "hello",
                "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Delft"}'}}],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25, "prompt_tokens_details": {"cached_tokens": 8}},
}
CLAUDE_REPLY: dict[str, Any] = {
    "id": "msg_9",
    "type": "message",
    "role": "assistant",
    "model": "theirs",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text": "hello"},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Delft"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 5, "cache_read_input_tokens": 8, "cache_creation_input_tokens": 3},
}


def test_a_chat_reply_for_a_client_of_anthropics() -> None:
    out = got(CHAT, CHAT_REPLY, CLAUDE)
    assert (out["type"], out["role"], out["model"], out["stop_reason"]) == ("message", "assistant", "m", "tool_use")
    assert [block["type"] for block in out["content"]] == ["text", "tool_use"]
    assert out["content"][1]["input"] == {"city": "Delft"}
    # Anthropic counts what was read from the cache beside the input, OpenAI within it.
    assert (out["usage"]["input_tokens"], out["usage"]["cache_read_input_tokens"], out["usage"]["output_tokens"]) == (12, 8, 5)


def test_a_message_for_a_client_of_openais() -> None:
    out = got(CLAUDE, CLAUDE_REPLY, CHAT)
    choice = out["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("hello", "tool_calls")
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"city": "Delft"}
    assert choice["message"]["reasoning_content"] == "hm"
    assert out["usage"]["prompt_tokens"] == 12 + 8 + 3
    assert out["usage"]["prompt_tokens_details"]["cached_tokens"] == 8
    assert out["usage"]["total_tokens"] == 28


@pytest.mark.parametrize(("spoken", "reply"), [(CHAT, CHAT_REPLY), (CLAUDE, CLAUDE_REPLY)])
def test_a_reply_for_a_client_of_responses(spoken: ChatShape, reply: dict[str, Any]) -> None:
    out = got(spoken, reply, RESPONSES)
    assert (out["object"], out["status"], out["model"]) == ("response", "completed", "m")
    kinds = [item["type"] for item in out["output"]]
    assert [kind for kind in kinds if kind != "reasoning"] == ["message", "function_call"]
    assert out["output"][-1]["call_id"] == "t1"
    assert out["usage"]["input_tokens_details"]["cached_tokens"] == 8


@pytest.mark.parametrize("shape", [CHAT, CLAUDE, RESPONSES])
def test_a_block_that_a_later_version_adds_does_not_spoil_a_reply(shape: ChatShape) -> None:
    body = {
        **CLAUDE_REPLY,
        "content": [{"type": "server_tool_use", "id": "s", "name": "search", "input": {"q": 1}}, {"type": "text", "text": "hi"}],
    }
    out = got(CLAUDE, body, shape)
    if shape is CLAUDE:
        assert out["content"][0] == body["content"][0]
    assert "hi" in json.dumps(out)


def test_a_block_without_a_type_leaves_the_reply_json() -> None:
    # Found by fuzzing: a block of no known kind was written anew with an empty value.
    got(CLAUDE, {**CLAUDE_REPLY, "content": [{"t": "x"}]}, CLAUDE)


def test_a_system_prompt_of_an_unknown_kind_goes_back_as_it_came() -> None:
    # Found by fuzzing: it was taken for a text.
    body = {"model": "c", "max_tokens": 5, "messages": [], "system": [{"type": "later", "x": 1}]}
    assert sent(CLAUDE, body, CLAUDE)["system"] == [{"type": "later", "x": 1}]
    with pytest.raises(NotExpressible):
        sent(CLAUDE, body, CHAT)


def test_invalid_utf8_in_a_part_that_nobody_reads_is_not_sent_on() -> None:
    # Found by fuzzing.
    with pytest.raises(UpstreamMalformed):
        CLAUDE.decode_reply(b'{"content": [{"type": "later", "x": "\xcd"}], "stop_reason": "end_turn"}')


@pytest.mark.parametrize("spoken", [CHAT, CLAUDE])
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices": 5}', b'{"content": "x"}', b"\xff", b"<html>"])
def test_replies_that_are_none(spoken: ChatShape, body: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        spoken.decode_reply(body)


@pytest.mark.parametrize(
    ("spoken", "body"),
    [
        (CHAT, {"error": {"message": "too busy", "code": 503}}),
        (CLAUDE, {"type": "error", "error": {"type": "overloaded_error", "message": "too busy"}}),
    ],
)
def test_an_error_inside_of_a_200_is_an_error(spoken: ChatShape, body: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError, match="too busy"):
        spoken.decode_reply(json.dumps(body).encode())


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "wizard", "content": "x"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": [{"type": "text"}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
        [{"role": "tool", "content": "x"}],
        ["hi"],
        [None],
    ],
    ids=str,
)
def test_messages_that_make_no_sense_are_refused_where_they_must_be_understood(messages: list[Any]) -> None:
    with pytest.raises((MalformedRequest, NotExpressible)) as fault:
        sent(CHAT, {"model": "m", "messages": messages}, CLAUDE)
    assert fault.value.param is not None
    assert fault.value.param.startswith("messages")
