"""What counts as context in a call: by wire shape and in the normal form; and that nothing found is said."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kernel import messages as m
from penstock.quality.grounded.calls import Evidence, of_body, of_messages, reply_of


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def user(*blocks: Any) -> bytes:
    return body(messages=[{"role": "user", "content": list(blocks)}])


def test_results_of_tools_count_as_a_whole() -> None:
    chat = body(
        messages=[
            {"role": "system", "content": "You are helpful."},
            {"role": "user", "content": "What is the weather in Lucerne?"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "Rain, 9 degrees."},
        ]
    )
    assert of_body(chat) == Evidence(context=("Rain, 9 degrees.",))
    result = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "Rain."}, {"type": "image", "source": {}}]}
    assert of_body(user(result)) == Evidence(context=("Rain.",), unread=("image",))
    responses = body(input=[{"role": "user", "content": "?"}, {"type": "function_call_output", "call_id": "1", "output": "Rain."}])
    assert of_body(responses).context == ("Rain.",)


def test_documents_files_and_search_results() -> None:
    inline = base64.b64encode(b"From a file.").decode()
    found = of_body(
        user(
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A document."}},
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "Composed."}]}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "search_result", "source": "x", "title": "y", "content": [{"type": "text", "text": "A hit."}]},
            {"type": "file", "file": {"filename": "a.txt", "file_data": f"data:text/plain;base64,{inline}"}},
            {"type": "input_file", "filename": "b.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
            {"type": "text", "text": "What does it say?"},
        )
    )
    assert found.context == ("A document.", "Composed.", "A hit.", "From a file.")
    assert found.unread == ("application/pdf", "document")
    assert not found.missing


def test_tagged_text_in_messages_of_system_and_user() -> None:
    system = body(
        system="Answer from <context id='3'>The Rhine is long.</context> only.", messages=[{"role": "user", "content": "How long?"}]
    )
    assert of_body(system).context == ("The Rhine is long.",)
    nested = of_body(user({"type": "text", "text": "<documents><document><source>a.txt</source>One.</document></documents> Go <b>on</b>."}))
    assert nested.context == ("\n\na.txt\nOne.\n",)
    said = body(
        messages=[{"role": "assistant", "content": "<context>invented</context>"}], instructions="<passage>P.</passage>", input="hi"
    )
    assert of_body(said).context == ("P.",)


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("<context>One.</context> and <source>Two.</source>", ("One.", "Two.")),
        ("<document>A <document>B</document></document>", ("A \nB\n",)),
        ("<context>never closed <source>Two.</source>", ("Two.",)),
        ("</source><source>Two.</SOURCE ></context>", ("Two.",)),
        ("<context>a <source>b</context> c</source>", ("a \nb",)),
        ("<contexts>no</contexts> <context/> 3 < 4 > 2", ()),
        ("<source " * 50_000 + "<context>" * 50_000 + "</source>" * 50_000, ()),
    ],
)
def test_tags_that_belong_together(text: str, context: tuple[str, ...]) -> None:
    assert of_body(body(messages=[{"role": "user", "content": text}])).context == context


def test_the_same_text_twice_is_one() -> None:
    block = {"type": "text", "text": "<context>One.</context>"}
    assert of_body(user(block, block)).context == ("One.",)


@pytest.mark.parametrize(
    "request_body", [b"", b"[]", b"{", b"\xff", b'{"messages": 3}', body(messages=[{"role": "user", "content": "hi"}])]
)
def test_no_context_is_an_answer_of_its_own(request_body: bytes) -> None:
    found = of_body(request_body)
    assert not found.context
    assert found.missing.startswith("No context found")


def test_what_could_not_be_read_is_named() -> None:
    found = of_body(user({"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}))
    assert found.missing == "The call's context could not be read as text: document."


def test_the_normal_form() -> None:
    found = of_messages(
        [
            m.Message("system", (m.Text("Use <knowledge>K.</knowledge>"),)),
            m.Message(
                "user",
                (
                    m.File(m.Written("W.")),
                    m.File(m.Composed((m.Text("C."),))),
                    m.File(m.Inline("text/markdown", base64.b64encode("é".encode()).decode())),
                    m.File(m.Inline("text/plain", "not base64!")),
                    m.File(m.Stored("file_1")),
                    m.Text("Question?"),
                ),
            ),
            m.Message("assistant", (m.Text("<context>no</context>"),)),
            m.Message("tool", (m.ToolResult("1", (m.Text("T."), m.Image(m.Link("https://example.com/a.png")))),)),
        ]
    )
    assert found.context == ("K.", "W.", "C.", "é", "T.")
    assert found.unread == ("text/plain", "file", "image")


def test_the_reply_of_each_shape() -> None:
    assert reply_of(body(choices=[{"message": {"role": "assistant", "content": "Hi."}}])) == "Hi."
    assert reply_of(body(content=[{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "Hi."}])) == "Hi."
    assert reply_of(body(output=[{"type": "message", "content": [{"type": "output_text", "text": "Hi."}]}])) == "Hi."
    assert reply_of(b"{") == reply_of(b"{}") == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["tool", "user", "document", "text", "tool_result"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["messages", "role", "content", "type", "text", "source", "input", "file", "output"]), inner, max_size=5
        )
    ),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(["messages", "system", "input", "instructions", "choices", "output", "content"]), json_values))
def test_any_body_is_read_without_a_fault(fields: dict[str, Any]) -> None:
    raw = json.dumps(fields).encode()
    assert all(text.strip() for text in of_body(raw).context)
    assert isinstance(reply_of(raw), str)
