"""Requests for Converse, judged by the service's published model, which botocore carries."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

import msgspec
import pytest

from penstock.gateway.shapes import SHAPES, chat
from penstock.gateway.shapes.bedrock_request import OWN_FIELDS, vendor_of
from penstock.gateway.shapes.shape import Dialect
from penstock.kernel.errors import NotExpressible

CHAT, CLAUDE, CONVERSE = (chat(SHAPES[name]) for name in ("openai.chat", "anthropic.messages", "bedrock.converse"))
SONNET = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
PNG = base64.b64encode(b"\x89PNG").decode()
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}


@cache
def converse_input() -> Any:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model("Converse").input_shape


def sent(shape: Any, body: dict[str, Any], model: str = SONNET, **dialect: Any) -> tuple[dict[str, Any], list[str]]:
    """What Bedrock is sent for a client's request, and the names of what was left out."""
    from botocore.validate import ParamValidator

    fields, _ = shape.read(msgspec.json.encode(body))
    request = shape.decode_request(fields)
    out = json.loads(CONVERSE.encode_request(request, model=model, stream=False, dialect=Dialect(**dialect)))
    report = ParamValidator().validate({"modelId": model, **out}, converse_input())
    assert not report.has_errors(), report.generate_report()
    return out, request.dropped


def claude(**more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": "hi"}], **more}


def openai(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}


def test_a_conversation_with_a_picture_a_document_and_tools() -> None:
    body = claude(
        system=[{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END"],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    {
                        "type": "document",
                        "title": "Terms_2024/v2.pdf",
                        "context": "the contract",
                        "citations": {"enabled": True},
                        "source": {"type": "base64", "media_type": "application/pdf", "data": PNG},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "ZW5j"},
                    {"type": "tool_use", "id": "tu_1", "name": "weather", "input": {"city": "Delft"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "tu_1", "content": [{"type": "text", "text": "rain"}], "is_error": True},
                    {"type": "text", "text": "and now?"},
                ],
            },
        ],
        tools=[{"name": "weather", "description": "The weather.", "input_schema": PARAMETERS, "cache_control": {"type": "ephemeral"}}],
        tool_choice={"type": "tool", "name": "weather"},
    )
    out, dropped = sent(CLAUDE, body)
    assert dropped == []
    assert out == {
        "system": [{"text": "Be short."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "look"},
                    {"cachePoint": {"type": "default"}},
                    {"image": {"format": "png", "source": {"bytes": PNG}}},
                    {
                        "document": {
                            "format": "pdf",
                            "name": "Terms-2024-v2-pdf",
                            "source": {"bytes": PNG},
                            "context": "the contract",
                            "citations": {"enabled": True},
                        }
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
                    {"reasoningContent": {"redactedContent": "ZW5j"}},
                    {"toolUse": {"toolUseId": "tu_1", "name": "weather", "input": {"city": "Delft"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "tu_1", "content": [{"text": "rain"}], "status": "error"}},
                    {"text": "and now?"},
                ],
            },
        ],
        "inferenceConfig": {"maxTokens": 4000, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "weather", "description": "The weather.", "inputSchema": {"json": PARAMETERS}}},
                {"cachePoint": {"type": "default"}},
            ],
            "toolChoice": {"tool": {"name": "weather"}},
        },
        "additionalModelRequestFields": {"top_k": 40},
    }


def test_what_an_openai_client_asks_for() -> None:
    body = openai(
        messages=[
            {"role": "developer", "content": "Be short."},
            {
                "role": "user",
                "content": [{"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}}, {"type": "text", "text": " "}],
            },
        ],
        max_completion_tokens=100,
        service_tier="flex",
        seed=7,
        user="u",
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": PARAMETERS}},
    )
    out, dropped = sent(CHAT, body)
    assert out["system"] == [{"text": "Be short."}]
    assert out["messages"] == [{"role": "user", "content": [{"audio": {"format": "wav", "source": {"bytes": PNG}}}]}]
    assert out["serviceTier"] == {"type": "flex"}
    schema = out["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert (schema["name"], json.loads(schema["schema"])) == ("city", PARAMETERS)
    assert dropped == ["seed", "user"]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [("auto", {"auto": {}}), ("required", {"any": {}}), ({"type": "function", "function": {"name": "f"}}, {"tool": {"name": "f"}})],
)
def test_choices_of_tools(choice: Any, wanted: dict[str, Any]) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    out, _ = sent(CHAT, openai(tools=tools, tool_choice=choice))
    assert out["toolConfig"]["toolChoice"] == wanted
    assert out["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]["type"] == "object"
    none, _ = sent(CHAT, openai(tools=tools, tool_choice="none"))
    assert "toolConfig" not in none


@pytest.mark.parametrize(
    ("model", "fields", "dropped"),
    [
        (SONNET, {"thinking": {"type": "enabled", "budget_tokens": 16_384}}, []),
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "high"}, []),
        ("us.amazon.nova-2-lite-v1:0", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}, []),
        ("meta.llama3-3-70b-instruct-v1:0", None, ["reasoning"]),
    ],
)
def test_each_model_is_told_to_think_in_its_own_words(model: str, fields: Any, dropped: list[str]) -> None:
    out, left = sent(CHAT, openai(reasoning_effort="high", max_completion_tokens=20_000), model)
    assert out.get("additionalModelRequestFields") == fields
    assert left == dropped
    off, left = sent(CHAT, openai(reasoning_effort="none"), model)
    assert "additionalModelRequestFields" not in off


def test_a_cache_is_asked_for_only_where_there_is_one() -> None:
    body = claude(messages=[{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}])
    out, dropped = sent(CLAUDE, body, "meta.llama3-3-70b-instruct-v1:0")
    assert out["messages"][0]["content"] == [{"text": "hi"}]
    assert dropped == ["cache_control"]
    unknown, dropped = sent(CLAUDE, body, "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc")
    assert unknown["messages"][0]["content"][1] == {"cachePoint": {"type": "default"}}
    assert dropped == []


def test_converses_own_fields_may_be_added_by_any_client() -> None:
    own = {
        "guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "1"},
        "additionalModelRequestFields": {"top_k": 9, "extra": True},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "requestMetadata": {"team": "a"},
        "performanceConfig": {"latency": "optimized"},
        "promptVariables": {"name": {"text": "x"}},
    }
    assert set(own) == set(OWN_FIELDS)
    out, _ = sent(CHAT, openai(reasoning_effort="low", max_tokens=9000, **own))
    more = out.pop("additionalModelRequestFields")
    assert {name: out[name] for name in own if name != "additionalModelRequestFields"} == {
        name: value for name, value in own.items() if name != "additionalModelRequestFields"
    }
    assert more == {"thinking": {"type": "enabled", "budget_tokens": 2048}, "top_k": 9, "extra": True}


@pytest.mark.parametrize(
    ("shape", "body", "param"),
    [
        (CHAT, openai(n=2), "n"),
        (CHAT, openai(logprobs=True), "logprobs"),
        (CHAT, openai(frequency_penalty=1), "frequency_penalty"),
        (CHAT, openai(temperature=1.5), "temperature"),
        (CHAT, openai(response_format={"type": "json_object"}), "response_format"),
        (CHAT, openai(unheard_of=1), "unheard_of"),
        (
            CHAT,
            openai(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://h/a.png"}}]}]),
            "messages.content",
        ),
        (CLAUDE, claude(tools=[{"type": "web_search_20250305", "name": "web_search"}]), "tools"),
    ],
)
def test_what_converse_cannot_say_is_refused_by_name(shape: Any, body: dict[str, Any], param: str) -> None:
    with pytest.raises(NotExpressible) as caught:
        sent(shape, body)
    assert caught.value.param is not None
    assert caught.value.param.rpartition(".")[2] == param.rpartition(".")[2]


def test_models_tell_whose_they_are() -> None:
    found = {
        SONNET: "anthropic",
        "anthropic.claude-3-haiku-20240307-v1:0": "anthropic",
        "arn:aws:bedrock:us-east-1:1:inference-profile/us.meta.llama4-scout-17b-instruct-v1:0": "meta",
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0": "amazon",
        "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc": None,
    }
    assert {model: vendor_of(model) for model in found} == found


def test_sampling_is_refused_for_models_without_it() -> None:
    with pytest.raises(NotExpressible, match="sampling"):
        sent(CHAT, openai(temperature=0.5), sampling=False)
