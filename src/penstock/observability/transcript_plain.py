"""Recorded bodies of the APIs that are no conversation, as people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import msgspec

from penstock.observability.turns import JsonMap, Part, Transcript, Turn, as_map, as_maps, as_text, block_of, settings_of


def _embeddings_request(tree: JsonMap) -> Transcript:
    given = tree.get("input")
    texts = cast("list[object]", given) if isinstance(given, list) else [given]
    return Transcript([Turn("user", [Part("text", as_text(text))]) for text in texts], settings=settings_of(tree, "input"))


def _moderations_request(tree: JsonMap) -> Transcript:
    given = tree.get("input")
    if isinstance(given, list) and all(isinstance(item, dict) for item in cast("list[object]", given)):
        return Transcript([Turn("user", [block_of(part) for part in as_maps(cast("object", given))])], settings=settings_of(tree, "input"))
    return _embeddings_request(tree)


def _moderations_reply(tree: JsonMap) -> Transcript:
    turns: list[Turn] = []
    for result in as_maps(tree.get("results")):
        flags = [name for name, flag in as_map(result.get("categories")).items() if flag is True]
        turns.append(Turn("assistant", [Part("text", "flagged: " + ", ".join(flags) if flags else "not flagged")]))
    return Transcript(turns)


def _rerank_request(tree: JsonMap) -> Transcript:
    given = tree.get("documents")
    documents = cast("list[object]", given) if isinstance(given, list) else []
    parts = [Part("text", as_text(as_map(one).get("text") or one), name=str(at)) for at, one in enumerate(documents)]
    return Transcript(
        [Turn("user", [Part("text", as_text(tree.get("query")))]), Turn("documents", parts)], settings=settings_of(tree, "query")
    )


def _rerank_reply(tree: JsonMap) -> Transcript:
    lines = [f"{as_text(one.get('index'))}: {as_text(one.get('relevance_score'))}" for one in as_maps(tree.get("results"))]
    return Transcript([Turn("assistant", [Part("text", "\n".join(lines))])])


def _completions_request(tree: JsonMap) -> Transcript:
    given = tree.get("prompt")
    listed = cast("list[object]", given) if isinstance(given, list) else []
    texts: list[object] = listed if listed and all(isinstance(one, str) for one in listed) else [given]
    return Transcript([Turn("user", [Part("text", as_text(text))]) for text in texts], settings=settings_of(tree, "prompt"))


def _completions_reply(tree: JsonMap) -> Transcript:
    choices = as_maps(tree.get("choices"))
    finish = ", ".join(as_text(choice.get("finish_reason")) for choice in choices if choice.get("finish_reason"))
    return Transcript([Turn("assistant", [Part("text", as_text(choice.get("text")))]) for choice in choices], finish)


def _completions_stream(events: Iterator[bytes]) -> Transcript | None:
    texts: dict[int, list[str]] = {}
    finish = ""
    for data in events:
        for choice in as_maps(as_map(msgspec.json.decode(data)).get("choices")):
            at = choice.get("index")
            texts.setdefault(at if isinstance(at, int) else 0, []).append(as_text(choice.get("text")))
            finish = as_text(choice.get("finish_reason")) or finish
    if not texts:
        return None
    return Transcript([Turn("assistant", [Part("text", "".join(pieces))]) for _, pieces in sorted(texts.items())], finish)


REQUESTS: dict[str, Callable[[JsonMap], Transcript]] = {
    "openai.completions": _completions_request,
    "openai.embeddings": _embeddings_request,
    "openai.moderations": _moderations_request,
    "jina.rerank": _rerank_request,
    "cohere.rerank": _rerank_request,
}
REPLIES: dict[str, Callable[[JsonMap], Transcript]] = {
    "openai.completions": _completions_reply,
    "openai.moderations": _moderations_reply,
    "jina.rerank": _rerank_reply,
    "cohere.rerank": _rerank_reply,
}
STREAMS: dict[str, Callable[[Iterator[bytes]], Transcript | None]] = {
    "openai.completions": _completions_stream,
}
