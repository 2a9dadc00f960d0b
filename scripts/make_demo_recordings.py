"""Turn public data with recorded replies of real models into recordings that the demo plays.

::

    python scripts/make_demo_recordings.py --data DIR              the samples that ship with Penstock
    python scripts/make_demo_recordings.py --data DIR --all --out full   every row, for a longer demo

``DIR`` holds ``routellm/gsm8k_responses.csv`` (lm-sys/RouteLLM: routellm/evals/gsm8k) and ``groundedness/halueval_general.jsonl``
(RUCAIBox/HaluEval: data/general_data.json). The same input gives the same bytes.

What the data does not say is computed, and the header of each recording says so: times are modelled, tokens are estimated.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
import math
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from penstock.gateway.recordings.exchange import VERSION, Exchange, Header, keys_of, to_line

ROWS = 300
SHAPE = "openai.chat"
ROUTELLM = "lm-sys/RouteLLM: routellm/evals/gsm8k/gsm8k_responses.csv"
GPT4 = "gpt-4-1106-preview"
MIXTRAL = "mistralai/Mixtral-8x7B-Instruct-v0.1"
CHATGPT = "gpt-3.5-turbo"

# Median seconds to the first token, and output tokens a second.
# Speeds: artificialanalysis.ai as of February 2024 (tokens/s: Mixtral 8x7B 107, GPT-3.5 Turbo 78, GPT-4 Turbo 20).
# First token: GPT-4 Turbo 0.50 s (latestly.ai, API response times, "streaming start"); GPT-3.5 Turbo Instruct 0.63 s
# (artificialanalysis.ai); Mixtral as Together served Llama 2 13B, the size of its active weights, 0.54 s
# (ray-project/llmperf-leaderboard, December 2023).
PACE = {GPT4: (0.50, 20.0), MIXTRAL: (0.54, 107.0), CHATGPT: (0.63, 78.0)}
# Spread of the logarithms: LLMPerf's quartiles for Together (0.46 / 0.54 / 0.60 s; 98 / 102 / 108 tokens/s) give 0.2 and 0.07.
FIRST_SPREAD, SPEED_SPREAD = 0.2, 0.07

NOTE = (
    "Replies are real, as published. Times are modelled: log-normal around published medians for each model, seeded by the match key. "
    "Tokens are estimated: one for every 4 characters, rounded up, plus 7 for the frame of a one-message prompt. "
    "The data holds the question alone: whatever stood before it in the prompt is not known. "
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with routellm/ and groundedness/")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "src/penstock/demo/recordings")
    parser.add_argument("--all", action="store_true", help=f"every row instead of {ROWS} questions of each file")
    asked = parser.parse_args()
    rows = None if asked.all else ROWS
    asked.out.mkdir(parents=True, exist_ok=True)

    sampled = "" if rows is None else f"A sample: the {rows} questions whose SHA-256 is smallest. "
    for name, model in (("gsm8k-gpt4", GPT4), ("gsm8k-mixtral", MIXTRAL)):
        write(
            asked.out / f"{name}.jsonl.gz",
            Header(
                penstock_recording=VERSION,
                source=f"{ROUTELLM} (questions: GSM8K test split, openai/grade-school-math, MIT)",
                licence="Apache-2.0",
                note=NOTE + sampled + "meta.correct is RouteLLM's own verdict on the reply.",
                timing="modelled",
                usage="estimated",
            ),
            gsm8k(asked.data / "routellm/gsm8k_responses.csv", model, rows),
        )
    write(
        asked.out / "halueval.jsonl.gz",
        Header(
            penstock_recording=VERSION,
            source="RUCAIBox/HaluEval: data/general_data.json",
            licence="MIT",
            note=NOTE
            + sampled
            + f"The data says ChatGPT without a version; it stands here as {CHATGPT}. meta.hallucination and meta.spans are human labels.",
            timing="modelled",
            usage="estimated",
        ),
        halueval(asked.data / "groundedness/halueval_general.jsonl", rows),
    )


def gsm8k(path: Path, model: str, rows: int | None) -> Iterator[Exchange]:
    """Each chosen question as asked of ``model``; the same questions for every model."""
    with path.open(newline="", encoding="utf-8") as file:
        found = [(row["prompt"], number, row) for number, row in enumerate(csv.DictReader(file))]
    for question, number, row in chosen(found, rows):
        meta = {"dataset": "gsm8k", "row": number, "correct": row[model] == "True"}
        yield exchange(model, question, row[f"{model}_response"], meta)


def halueval(path: Path, rows: int | None) -> Iterator[Exchange]:
    """Each chosen query with ChatGPT's reply and what people found wrong with it."""
    with path.open(encoding="utf-8") as file:
        found = [(row["user_query"], row["ID"], row) for row in map(json.loads, file)]
    for query, number, row in chosen(found, rows):
        meta = {"dataset": "halueval", "id": number, "hallucination": row["hallucination"] == "yes", "spans": row["hallucination_spans"]}
        yield exchange(CHATGPT, query, row["chatgpt_response"], meta)


def chosen(found: list[tuple[str, Any, dict[str, Any]]], rows: int | None) -> list[tuple[str, Any, dict[str, Any]]]:
    """All rows in their order, or those with the smallest digests among the questions that occur once."""
    if rows is None:
        return found
    often: dict[str, int] = {}
    for question, _, _ in found:
        often[question] = often.get(question, 0) + 1
    once = [item for item in found if often[item[0]] == 1]
    return sorted(once, key=lambda item: hashlib.sha256(item[0].encode()).digest())[:rows]


def exchange(model: str, question: str, answer: str, meta: dict[str, Any]) -> Exchange:
    """A chat completion that was asked and answered with these words."""
    request = {"model": model, "messages": [{"role": "user", "content": question}]}
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in request.items()}
    key = keys_of(SHAPE, fields).exact
    prompt, output = tokens(question) + 7, tokens(answer)
    first_ms, total_ms = pace(model, key, output)
    body = {
        "id": f"chatcmpl-{key[:24]}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output},
    }
    return Exchange(
        shape=SHAPE,
        request=fields,
        headers=[("content-type", "application/json")],
        body=msgspec.json.encode(body),
        first_byte_ms=first_ms,
        total_ms=total_ms,
        meta=meta,
    )


def tokens(text: str) -> int:
    """An estimate, by OpenAI's rule of thumb of 4 characters a token in English."""
    return max(1, math.ceil(len(text) / 4))


def pace(model: str, key: str, output: int) -> tuple[float, float]:
    """Milliseconds to the first byte and to the end."""
    first, speed = PACE[model]
    dice = random.Random(key)
    first_ms = 1e3 * first * math.exp(dice.gauss(0, FIRST_SPREAD))
    return first_ms, first_ms + 1e3 * output / (speed * math.exp(dice.gauss(0, SPEED_SPREAD)))


def write(path: Path, header: Header, exchanges: Iterable[Exchange]) -> None:
    """One gzip member without a time stamp, so that the same data gives the same bytes."""
    plain = io.BytesIO()
    plain.write(msgspec.json.encode(header) + b"\n")
    count = 0
    for one in exchanges:
        plain.write(to_line(one))
        count += 1
    packed = gzip.compress(plain.getvalue(), compresslevel=9, mtime=0)
    path.write_bytes(packed)
    print(f"{path}: {count} exchanges, {len(packed):,} bytes")


if __name__ == "__main__":
    main()
