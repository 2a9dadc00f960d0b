from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec
import pytest
from tests.observability.otlp.exports import NOW, OWNER, a_span, normal, read, request

from penstock.kernel.call import Usage
from penstock.observability.otlp.contents import Contents
from penstock.observability.otlp.normalise import Normaliser, Owner
from penstock.observability.otlp.sent import Attributes, Tally
from penstock.observability.otlp.table import CONTENT, COUNT, NOISE, PLAIN_RULE, TEXT, Table
from penstock.storage.telemetry.span import KINDS, Span

HELLO = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
WEATHER = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Bern"}}
REPLY = [{"role": "assistant", "parts": [{"type": "text", "content": "hello"}, WEATHER], "finish_reason": "stop"}]

GENAI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 11,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.usage.cache_read.input_tokens": 3,
    "gen_ai.conversation.id": "s1",
    "gen_ai.agent.name": "planner",
}
CHATTED = {"kind": "call", "provider": "openai", "model": "gpt-4o", "input_tokens": 11, "output_tokens": 5, "session": "s1"}
TOOL_CALLS = [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}]


def told(span: Span, side: str) -> Any:
    assert span.payload is not None
    text = getattr(span.payload, side)
    return msgspec.json.decode(text) if text[:1] in "[{" else text


def has(span: Span, **fields: Any) -> None:
    assert {name: getattr(span, name) for name in fields} == fields


def attributes(span: Span) -> dict[str, Any]:
    return msgspec.json.decode(span.attributes) if span.attributes else {}


def test_genai_with_messages_in_attributes() -> None:
    span = normal(
        GENAI
        | {
            "gen_ai.input.messages": msgspec.json.encode(HELLO).decode(),
            "gen_ai.output.messages": msgspec.json.encode(REPLY).decode(),
            "gen_ai.system_instructions": '[{"type": "text", "content": "be brief"}]',
            "gen_ai.response.id": "r1",
            "gen_ai.response.time_to_first_chunk": 0.25,
        }
    )
    has(span, **CHATTED, answered="gpt-4o-2024-08-06", cached_tokens=3, agent="planner", operation="chat", first_token_ns=250_000_000)
    assert told(span, "input") == [{"role": "system", "parts": [{"type": "text", "content": "be brief"}]}, *HELLO]
    assert told(span, "output") == REPLY
    assert attributes(span) == {"gen_ai.response.id": "r1"}


def test_genai_with_arguments_as_text() -> None:
    called = msgspec.json.encode(REPLY).decode().replace('{"city":"Bern"}', '"{\\"city\\": \\"Bern\\"}"')
    assert '"arguments":"' in called
    assert told(normal(GENAI | {"gen_ai.output.messages": called}), "output") == REPLY


def test_genai_with_messages_as_structured_attributes() -> None:
    span = normal(GENAI | {"gen_ai.input.messages": HELLO, "gen_ai.output.messages": REPLY})
    assert (told(span, "input"), told(span, "output")) == (HELLO, REPLY)


def test_genai_with_the_event_of_details() -> None:
    details = {"gen_ai.input.messages": msgspec.json.encode(HELLO).decode(), "gen_ai.output.messages": msgspec.json.encode(REPLY).decode()}
    span = normal(GENAI, events=[("gen_ai.client.inference.operation.details", details)])
    assert (told(span, "input"), told(span, "output"), span.events) == (HELLO, REPLY, "")


def test_genai_of_a_tool_and_an_agent() -> None:
    tool = normal(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "weather",
            "gen_ai.tool.call.arguments": '{"city":"Bern"}',
            "gen_ai.tool.call.result": "sun",
        }
    )
    has(tool, kind="tool", tool="weather")
    assert (told(tool, "input"), told(tool, "output")) == ({"city": "Bern"}, "sun")
    agent = normal(GENAI | {"gen_ai.operation.name": "invoke_agent"})
    has(agent, kind="agent", agent="planner", input_tokens=None)
    assert attributes(agent)["sum.input_tokens"] == 11


@pytest.mark.parametrize("body", [False, True])
def test_old_genai_with_messages_in_events(body: bool) -> None:
    def event(name: str, **said: Any) -> tuple[str, dict[str, Any]]:
        return name, {"gen_ai.event.content": msgspec.json.encode(said).decode()} if body else said

    span = normal(
        {"gen_ai.system": "openai", "gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 4, "gen_ai.usage.completion_tokens": 2},
        events=[
            event("gen_ai.system.message", content="be brief"),
            event("gen_ai.user.message", content="hi"),
            event("gen_ai.assistant.message", tool_calls=TOOL_CALLS),
            event("gen_ai.tool.message", id="c1", content="sun"),
            event("gen_ai.choice", index=0, finish_reason="stop", message={"role": "assistant", "content": "hello"}),
        ],
    )
    has(span, kind="call", provider="openai", input_tokens=4, output_tokens=2)
    assert [message["role"] for message in told(span, "input")] == ["system", "user", "assistant", "tool"]
    assert told(span, "input")[2]["parts"][-1] == WEATHER
    assert told(span, "input")[3]["parts"] == [{"type": "tool_call_response", "id": "c1", "response": "sun"}]
    assert told(span, "output") == [{"role": "assistant", "parts": [{"type": "text", "content": "hello"}], "finish_reason": "stop"}]


def test_oldest_genai_with_prompt_and_completion() -> None:
    chat = {"gen_ai.prompt": '{"messages": [{"role": "user", "content": "hi"}]}'}
    span = normal(GENAI, events=[("gen_ai.content.prompt", chat), ("gen_ai.content.completion", {"gen_ai.completion": "hello"})])
    assert told(span, "input") == HELLO
    assert told(span, "output") == "hello"


OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.model_name": "gpt-4o",
    "llm.token_count.prompt": 11,
    "llm.token_count.completion": 5,
    "llm.token_count.prompt_details.cache_read": 2,
    "session.id": "s1",
    "user.id": "ann",
    "input.value": '{"messages": "the whole request again"}',
    "input.mime_type": "application/json",
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "be brief",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.contents.0.message_content.type": "text",
    "llm.input_messages.1.message.contents.0.message_content.text": "hi",
    "llm.input_messages.1.message.contents.1.message_content.type": "image",
    "llm.input_messages.1.message.contents.1.message_content.image.image.url": "http://i/1.png",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "hello",
    "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "weather",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"city": "Bern"}',
    "llm.cost.total": 0.000123,
    "llm.invocation_parameters": "{}",
}


def test_openinference_of_a_call() -> None:
    span = normal(OPENINFERENCE)
    has(span, **CHATTED, cached_tokens=2, person="ann", cost_micros=123, currency="USD")
    assert told(span, "input") == [
        {"role": "system", "parts": [{"type": "text", "content": "be brief"}]},
        {"role": "user", "parts": [{"type": "text", "content": "hi"}, {"type": "image", "uri": "http://i/1.png"}]},
    ]
    assert told(span, "output") == [{"role": "assistant", "parts": REPLY[0]["parts"]}]
    assert attributes(span) == {"llm.invocation_parameters": "{}"}


def test_openinference_calls_some_things_a_call_that_are_none() -> None:
    bare = {"openinference.span.kind": "LLM", "llm.model_name": "m", "input.value": "tools"}
    has(normal(bare), kind="step")
    has(normal(bare | {"llm.token_count.prompt": 3}), kind="call")
    has(normal(bare | {"llm.output_messages.0.message.content": "x"}), kind="call")


def test_openinference_of_a_retrieval_and_an_embedding() -> None:
    retrieval = normal(
        {
            "openinference.span.kind": "RETRIEVER",
            "input.value": "what?",
            "retrieval.documents.0.document.id": "d1",
            "retrieval.documents.0.document.content": "because",
            "retrieval.documents.0.document.score": 0.5,
            "retrieval.documents.1.document.content": "perhaps",
        }
    )
    has(retrieval, kind="retrieval")
    assert told(retrieval, "input") == "what?"
    assert told(retrieval, "output") == [{"id": "d1", "content": "because", "score": 0.5}, {"content": "perhaps"}]
    embedding = normal(
        {
            "openinference.span.kind": "EMBEDDING",
            "embedding.model_name": "e",
            "embedding.embeddings.0.embedding.text": "a",
            "embedding.embeddings.0.embedding.vector": [0.5, 0.25],
        }
    )
    has(embedding, kind="embedding", model="e")
    assert told(embedding, "input") == ["a"]


def test_openllmetry_of_a_call_and_a_workflow() -> None:
    span = normal(
        {
            "gen_ai.system": "OpenAI",
            "llm.request.type": "chat",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 11,
            "gen_ai.usage.output_tokens": 5,
            "traceloop.association.properties.session_id": "s1",
            "traceloop.workflow.name": "joke",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "hi",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "hello",
            "gen_ai.completion.0.finish_reason": "stop",
            "gen_ai.completion.0.tool_calls.0.id": "c1",
            "gen_ai.completion.0.tool_calls.0.name": "weather",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"city": "Bern"}',
        }
    )
    has(span, **CHATTED)
    assert (told(span, "input"), told(span, "output")) == (HELLO, REPLY)
    has(normal({"traceloop.span.kind": "workflow", "traceloop.entity.input": '{"a": 1}'}), kind="chain")


def test_langfuse_of_a_generation() -> None:
    span = normal(
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "gpt-4o",
            "langfuse.observation.input": '[{"role": "user", "content": "hi"}]',
            "langfuse.observation.output": '{"role": "assistant", "content": "hello"}',
            "langfuse.observation.usage_details": '{"input": 11, "output": 5, "total": 16}',
            "langfuse.observation.cost_details": '{"total": 0.5}',
            "langfuse.observation.prompt.name": "greet",
            "langfuse.observation.prompt.version": 3,
            "langfuse.environment": "prod",
            "session.id": "s1",
            "user.id": "ann",
            "gen_ai.system": "openai",
        }
    )
    has(span, **CHATTED, cost_micros=500_000, prompt="greet@3", environment="prod", person="ann")
    assert told(span, "input") == HELLO
    assert told(span, "output") == [{"role": "assistant", "parts": [{"type": "text", "content": "hello"}]}]


def test_langfuse_says_when_the_first_token_came() -> None:
    span = normal({"langfuse.observation.completion_start_time": '"2027-01-15T07:59:59.500Z"'}, start=NOW - 10**9)
    assert span.first_token_ns == 500_000_000


def test_langsmith_of_a_run() -> None:
    lc = {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "schema", "messages", "HumanMessage"],
        "kwargs": {"content": "hi", "type": "human"},
    }
    span = normal(
        {
            "langsmith.span.kind": "llm",
            "langsmith.metadata.ls_provider": "openai",
            "langsmith.metadata.ls_model_name": "gpt-4o",
            "langsmith.metadata.thread_id": "s1",
            "gen_ai.prompt": msgspec.json.encode({"messages": [[lc]]}).decode(),
            "gen_ai.completion": '{"generations": [[{"text": "hello", "message": {"role": "assistant", "content": "hello"}}]]}',
            "gen_ai.usage.input_tokens": 11,
            "gen_ai.usage.output_tokens": 5,
        }
    )
    has(span, **CHATTED)
    assert told(span, "input") == HELLO
    assert told(span, "output")[0]["parts"] == [{"type": "text", "content": "hello"}]


def test_vercel_counts_only_what_asked_the_model() -> None:
    inner = normal(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.provider": "openai.chat",
            "ai.model.id": "gpt-4o",
            "ai.prompt.messages": '[{"role":"user","content":[{"type":"text","text":"hi"}]}]',
            "ai.response.text": "hello",
            "ai.response.toolCalls": '[{"toolCallId":"c1","toolName":"weather","input":"{\\"city\\": \\"Bern\\"}"}]',
            "ai.usage.inputTokens": 11,
            "ai.usage.outputTokens": 5,
            "ai.telemetry.metadata.sessionId": "s1",
            "gen_ai.system": "openai.chat",
            "gen_ai.usage.input_tokens": 11,
        }
    )
    has(inner, **CHATTED)
    assert told(inner, "input") == HELLO
    assert told(inner, "output")[0]["parts"] == [{"type": "text", "content": "hello"}, WEATHER]
    outer = normal({"ai.operationId": "ai.generateText", "ai.model.id": "gpt-4o", "ai.usage.inputTokens": 11, "ai.usage.outputTokens": 5})
    has(outer, kind="chain", input_tokens=None)
    tool = normal({"ai.operationId": "ai.toolCall", "ai.toolCall.name": "weather", "ai.toolCall.args": '{"city":"Bern"}'})
    has(tool, kind="tool", tool="weather")
    assert told(tool, "input") == {"city": "Bern"}


def test_pydantic_ai_of_an_agent_and_its_tool() -> None:
    agent = normal(
        {
            "agent_name": "planner",
            "model_name": "gpt-4o",
            "pydantic_ai.all_messages": msgspec.json.encode(HELLO + REPLY).decode(),
            "final_result": "hello",
            "logfire.msg": "planner run",
            "gen_ai.usage.input_tokens": 30,
        }
    )
    has(agent, kind="agent", agent="planner", model="gpt-4o", input_tokens=None)
    assert (told(agent, "input"), told(agent, "output")) == (HELLO + REPLY, "hello")
    tool = normal({"gen_ai.tool.name": "weather", "tool_arguments": '{"city":"Bern"}', "tool_response": "sun"})
    has(tool, kind="tool", tool="weather")


def test_what_no_convention_knows_stays_as_it_was() -> None:
    span = normal(
        {"http.route": "/x", "n": 1, "list": ["a"]}, resource={"service.name": "web", "deployment.environment": "prod", "host": "h"}
    )
    has(span, kind="span", service="web", environment="prod", resource='{"host":"h"}', source="a.library@3", payload=None)
    assert attributes(span) == {"http.route": "/x", "n": 1, "list": ["a"]}


def test_an_error_is_a_failure_with_its_type() -> None:
    exception = ("exception", {"exception.type": "ValueError", "exception.message": "bad", "exception.stacktrace": "..."})
    span = normal({}, status=2, events=[exception])
    has(span, status="failed", error_code="ValueError", message="bad")
    assert "stacktrace" in span.events
    has(normal({}, events=[exception]), status="ok", error_code="")
    has(normal({"error.type": "timeout"}, message="late"), status="failed", error_code="timeout")


def test_owners_are_those_of_the_key_whatever_the_span_says() -> None:
    span = normal({"user.id": "mallory", "penstock.organisation": "other"}, owner=Owner("org", "team", "project", "ann", "key"))
    has(span, organisation="org", team="team", project="project", person="ann", key="key")
    assert normal({"user.id": "bob"}).person == "bob"


def test_a_price_is_estimated_only_where_the_sender_told_none() -> None:
    asked: list[tuple[str, str, Usage]] = []

    def price(provider: str, model: str, usage: Usage) -> int:
        asked.append((provider, model, usage))
        return 77

    span = normal(GENAI, price=price)
    has(span, cost_micros=77, currency="USD")
    assert attributes(span)["penstock.cost_estimated"] is True
    assert asked == [("openai", "gpt-4o-2024-08-06", Usage(input=11, output=5, cached=3))]
    assert "penstock.cost_estimated" not in attributes(normal(OPENINFERENCE, price=price))
    has(normal(GENAI, price=lambda *_: None), cost_micros=None)


@pytest.mark.parametrize("wrong", [-1, "many", 2.5, True, 1 << 50])
def test_a_count_that_is_none_is_left_out(wrong: Any) -> None:
    (sent,), tally = read(request(a_span(GENAI | {"gen_ai.usage.input_tokens": wrong})).SerializeToString())
    span = Normaliser(Table(), OWNER, tally, None).span(sent)
    assert span.input_tokens is None
    assert tally.repaired == {"token_count": 1}


def test_a_payload_is_kept_as_far_as_there_is_room_or_not_at_all() -> None:
    data = request(a_span({"input.value": "x" * 500})).SerializeToString()
    (sent,), tally = read(data)
    span = Normaliser(Table(), OWNER, tally, None, payload_bytes=100).span(sent)
    assert told(span, "input") == "x" * 100
    assert (attributes(span), tally.repaired) == ({"penstock.payload_cut": True}, {"text_cut": 1})
    (sent,), tally = read(data)
    assert Normaliser(Table(), OWNER, tally, None, payloads=False).span(sent).payload is None


def test_every_kind_that_a_convention_means_is_a_kind_of_ours() -> None:
    table = Table()
    meant = {
        kind for rule in table.rules.values() for kind in (*(rule.values.values() if rule.target == "kind" else ()), *rule.kinds.values())
    }
    assert {kind.rstrip("?") for kind in meant} <= set(KINDS)
    fields = {rule.target for rule in table.rules.values() if rule.does <= 5} - {"", "prompt_version"}
    assert fields <= set(Span.__struct_fields__)


KNOWN = sorted(name for name, rule in Table().rules.items() if rule.does != 10)
LISTS = ("gen_ai.prompt.", "gen_ai.completion.", "llm.input_messages.", "llm.output_messages.", "retrieval.documents.")
LEAVES = ("role", "content", "message.role", "message.content", "message.tool_calls.0.tool_call.id", "tool_calls.0.name", "0.0")
WORDS = ("role", "content", "parts", "type", "text", "tool_calls", "message", "messages", "kwargs", "lc", "id", "function", "choices")


def anything(draw: random.Random, depth: int = 0) -> Any:
    """A value of any shape, many of which look like messages."""
    kind = draw.randrange(9 if depth < 4 else 6)
    if kind < 6:
        return (
            None,
            draw.random() < 0.5,
            draw.randrange(-5, 5),
            draw.random(),
            draw.choice(["user", "text", "tool_use", "{", '["a"]']),
            "",
        )[kind]
    if kind == 6:
        return [anything(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {draw.choice(WORDS): anything(draw, depth + 1) for _ in range(draw.randrange(5))}


def test_whatever_is_said_in_known_names_becomes_a_span() -> None:
    draw = random.Random(5)
    for turn in range(600):
        said: dict[str, Any] = {}
        for _ in range(draw.randrange(1, 6)):
            numbered = f"{draw.choice(LISTS)}{draw.randrange(3)}.{draw.choice(LEAVES)}"
            value = anything(draw)
            said[draw.choice([draw.choice(KNOWN), numbered])] = draw.choice([value, msgspec.json.encode(value).decode()])
        names = ("gen_ai.choice", "gen_ai.tool.message", "gen_ai.client.inference.operation.details", "exception")
        span = normal(said, events=[(draw.choice(names), said)], status=2 * (turn % 2), price=lambda *_: 1)
        assert span.kind in KINDS
        for text in (span.attributes, span.events):
            msgspec.json.decode(text or "null")
        assert all(
            isinstance(getattr(span, name), str) for name in ("model", "provider", "session", "agent", "tool", "operation", "person")
        )


PLAIN_NAMES = [name for name, rule in Table().rules.items() if rule.does in {TEXT, COUNT, CONTENT, NOISE}] + ["of.nobody", "another"]


def a_micro(provider: str, model: str, usage: Usage) -> int:
    return 1


def nothing_known(self: Table, attributes: Attributes) -> None:
    """What a table says of names that have to be looked at one by one."""


def test_what_is_known_of_a_set_of_names_says_the_same_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(7)
    texts: list[Any] = ["", "a", "chat", "Chat", "x" * 255, "x" * 256, "x" * 300, '[{"role":"user"}]']
    values = [*texts, 0, 7, -1, 2**40, 1.0, True, None, ["stop"], {"a": 1}]
    table, read_by_layout = Table(), 0
    for _ in range(500):
        said = {draw.choice(PLAIN_NAMES): draw.choice(values) for _ in range(draw.randrange(1, 9))}
        if draw.random() < 0.7:  # as most are: a text where one is meant, and a number where one is
            said = {name: 7 if table.rules.get(name, PLAIN_RULE).does == COUNT else "chat" for name in said}
        sent, tally = read(request(a_span(said)).SerializeToString())
        layout = table.layout(sent[0].attributes)
        read_by_layout += layout is not None and layout.read(sent[0].attributes, {}, {}, Contents(Counter()))
        by_layout = Normaliser(table, OWNER, tally, a_micro).span(sent[0])
        with monkeypatch.context() as without:
            without.setattr(Table, "layout", nothing_known)
            other = Tally()
            assert Normaliser(table, OWNER, other, a_micro).span(sent[0]) == by_layout
        assert other.repaired == tally.repaired
    assert read_by_layout > 150


def test_layouts_are_not_kept_of_names_without_end() -> None:
    table = Table()
    assert table.layout({f"n{number}": 1 for number in range(65)}) is None
    assert table.layout({"n" * 5000: 1}) is None
    for number in range(3000):
        assert table.layout({f"n{number}": 1}) is not None
    assert len(table._layouts) <= 1024  # pyright: ignore[reportPrivateUsage]
