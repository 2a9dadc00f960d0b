"""Recorded bodies of the APIs that are no conversation, as people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import msgspec

from penstock.observability.transcript_realtime import read_session
from penstock.observability.turns import JsonMap, Part, Transcript, Turn, as_map, as_maps, block_of, settings_of
from penstock.observability.turns import text as as_text


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


def _file(value: object) -> Part:
    told = as_map(value)
    kind = as_text(told.get("content_type"))
    known = next((name for name in ("audio", "image", "video") if kind.startswith(name)), "file")
    return Part(
        known, f"{as_text(told.get('bytes'))} bytes, SHA-256 {as_text(told.get('sha256'))}", as_text(told.get("filename")), media=kind
    )


def _is_file(value: object) -> bool:
    return isinstance(value, dict) and "sha256" in value


def _form_request(tree: JsonMap) -> Transcript:
    listed = [one for value in tree.values() for one in (cast("list[object]", value) if isinstance(value, list) else [value])]
    parts = [Part("text", as_text(tree["prompt"]))] if "prompt" in tree else []
    parts += [_file(one) for one in listed if _is_file(one)]
    return Transcript([Turn("user", parts)], settings=settings_of(tree, "prompt", *(name for name in tree if _is_file(tree[name]))))


def _transcription_reply(tree: JsonMap) -> Transcript:
    return Transcript([Turn("assistant", [Part("text", as_text(tree.get("text")))])])


def _transcription_stream(events: Iterator[bytes]) -> Transcript | None:
    texts: list[str] = []
    for data in events:
        event = as_map(msgspec.json.decode(data))
        if event.get("type") == "transcript.text.done":
            texts = [as_text(event.get("text"))]
        elif event.get("type") == "transcript.text.delta":
            texts.append(as_text(event.get("delta")))
    return Transcript([Turn("assistant", [Part("text", "".join(texts))])]) if texts else None


def _speech_request(tree: JsonMap) -> Transcript:
    return Transcript([Turn("user", [Part("text", as_text(tree.get("input")))])], settings=settings_of(tree, "input"))


def _images_request(tree: JsonMap) -> Transcript:
    found = _form_request(tree)
    found.turns[0].parts += [block_of({"type": "input_image", **image}) for image in as_maps(tree.get("images"))]
    return found


def _images_reply(tree: JsonMap) -> Transcript:
    parts: list[Part] = []
    for image in as_maps(tree.get("data")):
        said = image.get("revised_prompt")
        parts.append(Part("image", as_text(said), media=as_text(image.get("url") or image.get("b64_json"))))
    return Transcript([Turn("assistant", parts)])


def _kept_reply(tree: JsonMap) -> Transcript:
    return Transcript([Turn("assistant", [_file(tree)])])


REQUESTS: dict[str, Callable[[JsonMap], Transcript]] = {
    "openai.completions": _completions_request,
    "openai.embeddings": _embeddings_request,
    "openai.moderations": _moderations_request,
    "openai.transcriptions": _form_request,
    "openai.translations": _form_request,
    "openai.speech": _speech_request,
    "openai.images": _images_request,
    "openai.image_edits": _images_request,
    "openai.image_variations": _images_request,
    "jina.rerank": _rerank_request,
    "cohere.rerank": _rerank_request,
}
REPLIES: dict[str, Callable[[JsonMap], Transcript]] = {
    "openai.completions": _completions_reply,
    "openai.moderations": _moderations_reply,
    "openai.transcriptions": _transcription_reply,
    "openai.translations": _transcription_reply,
    "openai.speech": _kept_reply,
    "openai.images": _images_reply,
    "openai.image_edits": _images_reply,
    "openai.image_variations": _images_reply,
    "jina.rerank": _rerank_reply,
    "cohere.rerank": _rerank_reply,
    "openai.realtime": read_session,
}
STREAMS: dict[str, Callable[[Iterator[bytes]], Transcript | None]] = {
    "openai.completions": _completions_stream,
    "openai.transcriptions": _transcription_stream,
}
