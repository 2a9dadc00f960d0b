"""Fuzz everything that reads bytes from outside, guided by coverage: python scripts/fuzz.py [--seconds 90] [--only request,...]

Needs `atheris` (CPython up to 3.13 on Linux), which is no dependency of ours: install it beside Penstock. Each target runs in a process of
its own; an input that raises anything but the errors that the function promises ends it, is kept in ``.fuzz/`` and printed. What is
found becomes a test; what ran is told in docs/fuzzing.md.

Over 400 lines, since the seeds stand beside the targets that they are for.
"""
# ruff: noqa: E501 - the seeds have one message a line

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

HOME = Path(".fuzz")
CHAT = {
    "model": "m", "max_tokens": 5, "stream": True, "system": "be brief", "temperature": 0.5, "tool_choice": "auto",
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
        {"role": "tool", "tool_call_id": "t", "content": "4"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
}  # fmt: skip
CLAUDE = {
    "model": "c", "max_tokens": 5, "system": [{"type": "text", "text": "be brief"}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "4"}]}]},
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "tool", "name": "f"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
}  # fmt: skip
RESPONSES = {
    "model": "m", "instructions": "be brief", "store": False, "max_output_tokens": 5,
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}, {"type": "function_call", "call_id": "t", "name": "f", "arguments": "{}"},
              {"type": "function_call_output", "call_id": "t", "output": "4"}],
    "text": {"format": {"type": "json_schema", "name": "s", "schema": {}}},
}  # fmt: skip
GEMINI = {
    "system_instruction": {"parts": {"text": "be brief"}},
    "contents": [
        {"role": "user", "parts": [{"text": "hi"}, {"inline_data": {"mime_type": "image/png", "data": "iVBORw0KGgo="}}, {"fileData": {"fileUri": "https://x/a.pdf"}}]},
        {"role": "model", "parts": [{"text": "hm", "thought": True, "thoughtSignature": "c2ln"}, {"functionCall": {"id": "t", "name": "f", "args": {"a": 1}}, "thoughtSignature": "cGVuc3RvY2s6Z29vZ2xlOnM="}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "t", "name": "f", "response": {"output": "4"}}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}}}]}, {"googleSearch": {}}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}, "safetySettings": [{"category": "x", "threshold": "OFF"}],
    "generationConfig": {"maxOutputTokens": 5, "topK": 4.0, "stopSequences": ["x"], "responseMimeType": "application/json", "responseSchema": {"type": "STRING"}, "thinkingConfig": {"thinkingLevel": "LOW"}},
}  # fmt: skip
GEMINI_REPLY = {
    "candidates": [{"content": {"parts": [{"text": "hm", "thought": True}, {"text": "hi"}, {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}]}, "finishReason": "STOP", "index": 0,
                    "logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": -1.0}], "topCandidates": [{"candidates": []}]}}],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "thoughtsTokenCount": 1}, "modelVersion": "g", "responseId": "r",
}  # fmt: skip
GEMINI_EMBEDDINGS = {"requests": [{"model": "models/g", "content": {"parts": [{"text": "hi"}]}, "taskType": "CLUSTERING"}]}
CHAT_REPLY = {
    "id": "x", "model": "m", "created": 1,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi", "reasoning_content": "hm", "tool_calls": CHAT["messages"][2]["tool_calls"]}, "finish_reason": "tool_calls"}],  # type: ignore[index]
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
}  # fmt: skip
CLAUDE_REPLY = {
    "id": "x", "type": "message", "role": "assistant", "model": "c", "content": [{"type": "text", "text": "hi"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}],
    "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 1},
}  # fmt: skip


def sse(*events: object) -> bytes:
    """A stream of these events."""
    out = b""
    for event in events:
        name = f"event: {event['type']}\n" if isinstance(event, dict) and "type" in event else ""
        out += f"{name}data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()
    return out


CHAT_STREAM = sse(
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "h"}, "finish_reason": None}]},
    {
        "choices": [
            {
                "index": 0,
                "delta": {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{}"}}]},
                "finish_reason": None,
            }
        ]
    },
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    "[DONE]",
)
CLAUDE_STREAM = sse(
    {"type": "message_start", "message": {**CLAUDE_REPLY, "content": []}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "h"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
)
GEMINI_STREAM = sse(
    {"candidates": [{"content": {"parts": [{"text": "h"}]}, "index": 0}], "usageMetadata": {"promptTokenCount": 1}},
    {**GEMINI_REPLY},
)
GOOGLE_REFUSAL = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}],
    }
}
SEEDS: dict[str, list[bytes]] = {
    "request": [
        json.dumps(seed).encode()
        for seed in (
            CHAT,
            CLAUDE,
            RESPONSES,
            {"model": "m", "input": ["a", [1, 2]]},
            GEMINI,
            GEMINI_EMBEDDINGS,
            {"generateContentRequest": GEMINI},
        )
    ],
    "reply": [
        json.dumps(seed).encode()
        for seed in (
            CHAT_REPLY,
            CLAUDE_REPLY,
            {"error": {"message": "no", "type": "x"}},
            GEMINI_REPLY,
            GOOGLE_REFUSAL,
            {"embeddings": [{"values": [0.5]}], "data": [{"embedding": "AAAAPw=="}]},
        )
    ],
    "stream": [CHAT_STREAM, CLAUDE_STREAM, GEMINI_STREAM],
    "record": [
        json.dumps(CHAT).encode(),
        json.dumps(CLAUDE_REPLY).encode(),
        CHAT_STREAM,
        CLAUDE_STREAM,
        json.dumps(GEMINI).encode(),
        GEMINI_STREAM,
    ],
    "redact": [
        b'{"a": "sk-proj-0123456789abcdefghij", "b": "-----BEGIN PRIVATE KEY-----"}',
        b"postgresql://u:p@h/ Bearer abcdefghijklmnopqrstuv",
    ],
    "form": [
        b'--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--XX\r\nContent-Disposition: form-data; name="file"; filename="../a.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\nRIFF\x00\r\n--XX--\r\n",
        b"--XX\r\nContent-Disposition: form-data; name=\"a\"; filename*=UTF-8''%e2%82%ac.png\r\nContent-Transfer-Encoding: binary\r\n\r\nx\r\n--XX--",
    ],
    "frame": [
        b'{"type": "response.done", "response": {"id": "r", "usage": {"input_tokens": 9, "output_token_details": {"audio_tokens": 3}}}}',
        b'{"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/pcmu"}, "transcription": {"model": "w"}}}}}',
        b'{"type": "input_audio_buffer.append", "event_id": "e", "audio": "AAAA"}',
        b'{"type": "error", "error": {"code": "c", "event_id": "e"}, "usage": {"type": "duration", "seconds": 1.5}}',
        b"\x05\x81\x8e\0\0\0\0" + b'{"type": "xyz"}'[:14] + b"\x88\x82\0\0\0\0\x03\xe8",
    ],
    "head": [b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"a=b, c=d", b"Bearer psk_x"],
    "otlp": [
        b"\x00"
        + bytes.fromhex("0a380a140a120a0c736572766963652e6e616d6512020a0012201a1e0a10")
        + bytes(range(16))
        + b"\x12\x08"
        + b"abcdefgh",
        b'\x01{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "startTimeUnixNano": "1700000000000000000", "attributes": [{"key": "gen_ai.input.messages", "value": {"stringValue": "[{\\"role\\": \\"user\\", \\"content\\": \\"hi\\"}]"}}, {"key": "llm.input_messages.0.message.content", "value": {"arrayValue": {"values": [{"intValue": "1"}]}}}]}]}]}]}',
        b'\x02{"gen_ai.prompt.0.tool_calls.0.arguments": "{}", "gen_ai.completion": {"choices": [{"message": {"role": "a", "content": [{"type": "tool_use"}]}}]}, "ai.response.toolCalls": "[{}]", "langfuse.observation.usage_details": "{\\"input\\": -1}", "gen_ai.usage.input_tokens": 1.5, "gen_ai.system_instructions": [{"type": "text"}]}',
    ],
    "spool": [b"\xd5PJ1\x03\x00\x00\x00abcdxyz"],
    "answer": [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
}


def target(name: str) -> Callable[[bytes], None]:
    """What is called with each input."""
    from penstock.gateway.shapes import SHAPES, chat
    from penstock.kernel.errors import NotExpressible, RequestError, UpstreamError

    shapes = list(SHAPES.values())
    chats = [chat(SHAPES[n]) for n in ("openai.chat", "anthropic.messages", "google.generate", "openai.responses")]
    spoken_by_providers = chats[:3]
    plain = [shape for shape in shapes if shape.operation != "chat"]

    def request(data: bytes) -> None:
        from penstock.gateway.shapes.shape import PLAIN
        from penstock.gateway.translation import translate

        for shape in shapes:
            try:
                fields, head = shape.read(data)
                shape.upstream_body(fields, model="m", stream=head.stream, want_usage=head.stream)
            except RequestError:
                continue
            for other in [*spoken_by_providers, *plain]:
                if other.operation != shape.operation or (other is shape and other in plain):
                    continue
                try:
                    made = translate(shape, other, fields, model="m", stream=head.stream, dialect=PLAIN)
                except RequestError:
                    continue
                # What we make of it must be a request of that shape, and mean the same to whoever reads it there.
                again, _ = other.read(made.body)
                translate(other, other, again, model="m", stream=head.stream, dialect=PLAIN)

    def reply(data: bytes) -> None:
        from penstock.gateway.shapes import google_error
        from penstock.gateway.shapes.embedding import EmbeddingRequest

        google_error.retry_delay(data)
        google_error.blames_key(data)
        for shape in shapes:
            shape.usage(data)
        for spoken in spoken_by_providers:
            try:
                completion = spoken.decode_reply(data)
            except UpstreamError:
                continue
            for shape in chats:
                try:
                    body = shape.encode_reply(completion, model="m")
                except (UpstreamError, NotExpressible):
                    continue
                json.loads(body)
        asked = EmbeddingRequest(shape="openai.embeddings", texts=("a",), packed=True)
        for name in ("openai.embeddings", "google.embed", "google.batch_embed"):
            with contextlib.suppress(UpstreamError):
                vectors = SHAPES[name].decode_reply(data)  # type: ignore[attr-defined]
                if len(vectors.vectors) == 1:
                    json.loads(SHAPES["openai.embeddings"].encode_reply(vectors, model="m", request=asked))  # type: ignore[attr-defined]
                    json.loads(SHAPES["google.batch_embed"].encode_reply(vectors, model="m", request=asked))  # type: ignore[attr-defined]

    def stream(data: bytes) -> None:
        size = data[0] % 61 + 1 if data else 1
        parts = [data[at : at + size] for at in range(1, len(data), size)]
        for spoken in spoken_by_providers:
            tap = spoken.tap(keep_usage=False)
            with contextlib.suppress(UpstreamError):
                for part in parts:
                    tap.feed(part)
                tap.close()
            for shape in chats:
                decoder, encoder = spoken.stream_decoder(), shape.stream_encoder(model="m", include_usage=True)
                with contextlib.suppress(UpstreamError, NotExpressible):
                    for part in parts:
                        for delta in decoder.feed(part):
                            encoder.encode(delta)
                    for delta in decoder.close():
                        encoder.encode(delta)
                    encoder.finish()

    def record(data: bytes) -> None:
        from penstock.observability.transcript import condense, read_condensed, read_reply, read_request

        for shape in SHAPES:
            condensed = condense(shape, data)
            if condensed is not None:
                read_condensed(condensed)
            read_request(shape, data)
            read_reply(shape, data)

    def redact(data: bytes) -> None:
        from penstock.observability.redaction import Redactor

        found, _ = Redactor(emails=True, phones=True).bytes(data)
        try:
            json.loads(data)
        except (ValueError, RecursionError):
            return
        json.loads(found)

    def form(data: bytes) -> None:
        import asyncio

        from penstock.gateway.uploads import sound
        from penstock.gateway.uploads.upload import Form

        size = data[0] % 61 + 1 if data else 1

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(1, len(data), size):
                yield data[at : at + size]

        async def read() -> None:
            one = Form("multipart/form-data; boundary=XX", pieces(), declared=None, most=1 << 20, hold=1 << 20)
            await one.begin()
            sent = one.encoded("other")
            told = {name: json.loads(bytes(raw)) for name, raw in one.fields().items()}
            for file in one.files:
                sound.milliseconds(file.first, file.size)
                if "/" in file.filename or "\\" in file.filename or '"' in file.filename:
                    raise AssertionError(file.filename)

            async def again() -> AsyncIterator[bytes]:
                yield sent

            # What we send must be a form that says the same, whatever stood in the one that came.
            other = Form(one.media, again(), declared=None, most=1 << 21, hold=1 << 21)
            await other.begin()
            if "model" in told and isinstance(told["model"], str):
                told["model"] = "other"
                if {name: json.loads(bytes(raw)) for name, raw in other.fields().items()} != told:
                    raise AssertionError(told)

        with contextlib.suppress(RequestError):
            asyncio.run(read())

    def frame(data: bytes) -> None:
        from websockets.frames import OP_CONT, OP_TEXT, Frame
        from websockets.protocol import Protocol, Side

        from penstock.gateway.realtime import events
        from penstock.gateway.realtime.tally import Tally

        tally = Tally(100, 4096)

        def event(message: bytes) -> None:
            try:
                read = events.read(message)
            except RequestError as fault:
                json.loads(events.error_event(fault))
                return
            tally.client(read)
            tally.server(read)
            tally.begun(events.response_id(read))
            done = events.ended(read)
            used = [one for one in (done.usage, events.transcribed(read), tally.unfinished()) if one is not None]
            if any(getattr(one, field) < 0 for one in used for field in one.__struct_fields__):
                raise AssertionError(used)
            tally.done(done.id, done.usage)
            tally.expected(events.cap(read))
            events.complaint(read)
            json.loads(events.error_event(RequestError("x"), read.id))

        event(data)
        # The same as frames on a connection, however they are cut.
        side, size = Protocol(Side.SERVER, max_size=4096), data[0] % 61 + 1 if data else 1
        for at in range(1, len(data), size):
            side.receive_data(data[at : at + size])
            for found in side.events_received():
                if isinstance(found, Frame) and found.opcode in (OP_TEXT, OP_CONT):
                    event(bytes(found.data))
        json.loads(tally.kept())

    def head(data: bytes) -> None:
        from penstock.gateway.address import Address, key_in_query
        from penstock.gateway.asked import estimate_tokens
        from penstock.gateway.http import credential, parse_labels
        from penstock.kernel.call import Trace

        text = data.decode("latin-1")
        trace = Trace.begin(text, text)
        if len(trace.header()) != 55:
            raise AssertionError(trace.header())
        credential({"authorization": text}.get)
        with contextlib.suppress(RequestError):
            asked = SimpleNamespace(path=f"/v1beta/models/{text}:generateContent", query_string=f"key={text}", headers={})
            Address.of("/v1beta/models/{model}:generateContent").model(asked)  # type: ignore[arg-type]
            key_in_query(asked)  # type: ignore[arg-type]
        estimate_tokens(data)
        with contextlib.suppress(RequestError):
            parse_labels(text)

    def otlp(data: bytes) -> None:
        from penstock.observability.otlp.json_form import JsonReader
        from penstock.observability.otlp.mend import count_once, mend
        from penstock.observability.otlp.normalise import Normaliser, Owner
        from penstock.observability.otlp.protobuf import Reader
        from penstock.observability.otlp.sent import Limits, Origin, Sent, Tally
        from penstock.observability.otlp.table import Table

        tally, limits, now = Tally(), Limits(text_bytes=500, attributes=20, events=5), 1_800_000_000_000_000_000
        kind, body = data[:1], data[1:]
        sent: list[Sent] = []
        with contextlib.suppress(RequestError):
            if kind == b"\x02":  # attributes as they are, past the readers
                with contextlib.suppress(ValueError, RecursionError):
                    told = json.loads(body)
                    if isinstance(told, dict):
                        sent = [Sent("1" * 32, "2" * 16, "", "", 0, now, now, told, [], [], 0, "", Origin({}))]
            else:
                reader = JsonReader(body, limits, tally) if kind == b"\x01" else Reader(body, limits, tally)
                sent = [one for one in reader.spans() if one is not None]
                if len(sent) + tally.refused.total() != tally.spans:
                    raise AssertionError(tally.refused)
        normaliser = Normaliser(Table(), Owner("o"), tally, lambda provider, model, usage: usage.total)
        spans = [normaliser.span(one) for one in mend(sent, now, 1, tally)]
        count_once(spans)
        for span in spans:
            for text in (span.attributes, span.resource, span.events, span.links):
                json.loads(text or "null")
            if not (0 < span.start_ns <= span.end_ns <= now + 1 and len(span.trace_id) == 32):
                raise AssertionError(span)

    def spool(data: bytes) -> None:
        from penstock.storage.segments import scan

        found = scan(data, base=8)
        if found.end > 8 + len(data) or found.damaged > len(data):
            raise AssertionError(found)

    def answer(data: bytes) -> None:
        import asyncio

        from penstock.gateway.client import Client, Origin, _Connection  # pyright: ignore[reportPrivateUsage]

        loop = asyncio.new_event_loop()
        try:
            connection = _Connection(Client(Origin("http://h/v1")), loop, "h")
            connection._done = connection._released = False  # pyright: ignore[reportPrivateUsage] - an exchange is under way
            size = data[0] % 61 + 1 if data else 1
            for at in range(1, len(data), size):
                connection.data_received(data[at : at + size])
        finally:
            loop.close()

    return locals()[name]  # type: ignore[no-any-return]


def run_one(name: str, seconds: int) -> None:
    """Fuzz one target in this process; does not return."""
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["penstock"]):
        call = target(name)
        for seed in SEEDS[name]:
            call(seed)
    corpus = HOME / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=20000", "-timeout=20", f"-artifact_prefix={HOME}/{name}-", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], call)
    atheris.Fuzz()


def main() -> int:
    """Run the targets one after another; 1 when one of them found something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=90)
    parser.add_argument("--only", default=",".join(SEEDS))
    parser.add_argument("--target", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.target:
        run_one(chosen.target, chosen.seconds)
        return 0
    failed = 0
    for name in chosen.only.split(","):
        command = [sys.executable, __file__, "--target", name, "--seconds", str(chosen.seconds)]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        text = ended.stdout + ended.stderr
        runs = next((line.split()[-1] for line in text.splitlines() if "number_of_executed_units" in line), "?")
        print(f"{name:10} {runs:>10} inputs, {'nothing found' if ended.returncode == 0 else 'FOUND'}", flush=True)
        if ended.returncode:
            failed += 1
            print(text[-3000:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
