"""A month of GenAI spans: agents that retrieve, call tools and models, with prompts and replies of real texts.

Times, tokens and sizes follow recorded traces (Azure's conversations), texts are claims and evidence of groundedness sets.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec

from penstock.storage.telemetry.span import Payload, Span

DAY = 86_400 * 10**9
MODELS = [
    ("openai", "gpt-5-mini", 0.3),
    ("anthropic", "claude-sonnet-4-5", 0.3),
    ("google", "gemini-2.5-flash", 0.2),
    ("local", "qwen3-8b", 0.2),
]
TASKS = ["support-answer", "summarise-ticket", "classify-intent", "extract-invoice", "code-review", "translate", "search-help", "chat"]


def texts(data: Path) -> list[str]:
    """Paragraphs to cut prompts and replies from."""
    found: list[str] = []
    for name in ("factcheckgpt_claim_evidence.jsonl", "wice_claim_dev.jsonl", "halueval_general.jsonl"):
        for line in (data / "groundedness" / name).read_text("utf-8").splitlines():
            row = json.loads(line)
            evidence = row.get("evidence") or row.get("chatgpt_response") or ""
            text = " ".join(evidence) if isinstance(evidence, list) else str(evidence)
            found.append(f"{row.get('claim') or row.get('user_query') or ''} {text}"[:6000])
    return found


def tokens(data: Path) -> list[tuple[int, int]]:
    """Pairs of input and output tokens as recorded."""
    with (data / "traces" / "azure_conv.csv").open() as file:
        return [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]


def generate(count: int, payloads: int, data: Path, begin: int, days: float, seed: int = 7) -> Iterator[Span]:
    """``count`` spans in the order in which they end, ``payloads`` of them (in all) with a prompt and reply of 2 KB."""
    rng = random.Random(seed)
    library, usage = texts(data), tokens(data)
    every = 4 * payloads / count
    step = days * DAY / (count / 4)

    def one(number: int) -> Iterator[Span]:
        start = begin + int(number * step + rng.random() * step)
        trace, root = f"{rng.getrandbits(128):032x}", f"{rng.getrandbits(64):016x}"
        org = f"org_{min(int(rng.expovariate(0.5)), 9)}"
        team, person = f"team_{rng.randrange(6)}", f"person_{rng.randrange(400)}"
        task = TASKS[min(int(rng.expovariate(0.4)), 7)]
        provider, model, _ = rng.choices(MODELS, [m[2] for m in MODELS])[0]
        given, made = rng.choice(usage)
        took = int(rng.lognormvariate(0, 0.6) * (0.3 + made * 0.012) * 1e9)
        failed = rng.random() < 0.02
        session = f"sess_{number // 5 % 60000:06x}"
        common: dict[str, str] = {
            "trace_id": trace, "organisation": org, "team": team, "project": f"{team}_p{rng.randrange(3)}", "person": person,
            "key": f"key_{rng.randrange(40)}", "service": "assistant", "release": f"1.{number * 8 // (count // 4)}.0",
            "environment": "production", "task": task, "session": session,
        }  # fmt: skip
        begun = start + int(took * 0.1)

        def span(name: str, kind: str, at: int, length: int, **more: object) -> Span:
            return Span(
                span_id=f"{rng.getrandbits(64):016x}",
                parent_id=root,
                kind=kind,
                name=name,
                start_ns=at,
                end_ns=at + length,
                **common,
                **more,
            )  # type: ignore[arg-type]

        yield span(
            "retrieve",
            "retrieval",
            start + 10**6,
            int(took * 0.05),
            tool="",
            attributes='{"db.collection":"help","k":8}',
            source="langchain@1.2",
        )
        yield span("lookup_order", "tool", begun, int(took * 0.03), tool=f"tool_{rng.randrange(12)}", source="langchain@1.2")
        payload = None
        if rng.random() < every:
            text = rng.choice(library)
            at = rng.randrange(max(1, len(text) - 2000))
            cut = text[at : at + 2000].ljust(1200, ".")
            payload = Payload(input=json.dumps([{"role": "user", "content": cut[:1400]}]), output=f"{cut[1400:]} order {number}")
        yield span(
            f"chat {model}", "call", begun, took, operation="chat", provider=provider, model=model, answered=f"{model}-2026-08",
            input_tokens=given, output_tokens=made, cached_tokens=given // 3 if rng.random() < 0.3 else 0,
            cost_micros=given // 3 + made * 2, currency="USD", first_token_ns=int(took * 0.15), status="failed" if failed else "ok",
            error_code="provider_timeout" if failed else "", message="the provider did not answer in time" if failed else "",
            attributes=json.dumps({
                "gen_ai.request.temperature": 0.2, "gen_ai.request.max_tokens": 1024, "http.route": "/v1/chat/completions",
                "gen_ai.response.id": f"resp_{rng.getrandbits(96):024x}",
            }),
            source="openai@2.1", payload=payload,
        )  # fmt: skip
        yield Span(
            span_id=root, kind="agent", name="support agent", agent="support", start_ns=start, end_ns=start + int(took * 1.2),
            status="failed" if failed else "ok", attributes='{"graph.node":"root","user.plan":"pro"}', source="langchain@1.2", **common,
        )  # type: ignore[arg-type]  # fmt: skip

    for number in range(count // 4):
        yield from one(number)


def write(folder: Path, count: int, payloads: int, data: Path, begin: int, days: float, batch: int) -> list[Path]:
    """Files of ``batch`` spans each, JSON lines; and ``values.json`` with what is asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    encode = msgspec.json.Encoder().encode_lines
    files: list[Path] = []
    held: list[Span] = []
    traces: list[str] = []
    for span in generate(count, payloads, data, begin, days):
        held.append(span)
        if span.kind == "agent" and len(traces) < 1000 and span.start_ns % 97 == 0:
            traces.append(span.trace_id)
        if len(held) == batch:
            files.append(folder / f"{len(files):05d}.jsonl")
            files[-1].write_bytes(encode(held))
            held.clear()
    words = ["supreme court", "music festival", "order 1200", "world war", "novel author", "basketball season"]
    until = begin + int(days * DAY)
    values = {
        "organisation": "org_0",
        "since": begin,
        "until": until,
        "hour": begin + int(days * DAY * 0.6),
        "traces": traces,
        "words": words,
    }
    (folder / "values.json").write_text(json.dumps(values))
    return files
