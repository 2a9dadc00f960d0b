"""What the stand-in says: a drafter who reads the sources and gets one number wrong at first, and a verifier who looks it up."""

from __future__ import annotations

import json
import re
from typing import Any

from examples.stand_in import Call, Conversation, Said, Script


def drafter(said: Conversation) -> Said:
    """Every sentence of every source is a claim. In the first draft the months of the log are wrong."""
    given = json.loads(said.asked)
    before, wrong = given.get("before"), {one["claim"] for one in given.get("wrong", ())}
    names = said.results("list_sources")
    if not names:
        return Call("list_sources")
    texts = said.results("read_source")
    if not texts:
        return [Call("read_source", {"name": name}) for name in names[0]]
    right = [_claim(name, sentence) for name, text in zip(names[0], texts, strict=True) for sentence in _sentences(text)]
    if before is None:
        slip = [{**one, "text": one["text"].replace("24", "36"), "quote": one["quote"].replace("24", "36")} for one in right]
        return json.dumps({"title": given["subject"], "claims": slip})
    claims = [right[n] if n in wrong else one for n, one in enumerate(before["claims"])]
    return json.dumps({"title": before["title"], "claims": claims})


def verifier(said: Conversation) -> Said:
    """Read each source once, and hold each claim against it."""
    given = json.loads(said.asked)
    claims: list[dict[str, str]] = given["draft"]["claims"] if "draft" in given else given["claims"]
    names = list(dict.fromkeys(one["source"] for one in claims))
    texts = said.results("read_source")
    if not texts:
        return [Call("read_source", {"name": name}) for name in names]
    by_name = dict(zip(names, texts, strict=True))
    found: list[dict[str, Any]] = []
    for number, one in enumerate(claims):
        holds = one["text"] in _sentences(str(by_name[one["source"]]))
        found.append({"claim": number, "holds": holds, "why": "it says so" if holds else f"{one['source']} says otherwise"})
    return json.dumps(found)


def _claim(source: str, sentence: str) -> dict[str, str]:
    return {"text": sentence, "source": source, "quote": sentence}


def _sentences(text: str) -> list[str]:
    body = " ".join(line for line in text.splitlines() if not line.startswith("#"))
    return [one.strip() for one in re.findall(r"[^.]+\.", body)]


SCRIPTS: dict[str, Script] = {"drafter": drafter, "verifier": verifier}
