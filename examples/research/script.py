"""What the stand-in says in a piece of research."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from examples.stand_in import Call, Conversation, Said, Script

LIBRARY = os.environ.get("LIBRARY_URL", "http://127.0.0.1:8097")


def planner(said: Conversation) -> Said:
    """The three things that are named, or three views on one."""
    named = re.findall(r"[\w-]+(?: [\w-]+)?(?=,| and |\?|$)", said.asked.rpartition(":")[2])
    parts = [one.strip() for one in named if one.strip()][:3]
    return json.dumps({"parts": [*parts, "cost", "comfort", "climate"][:3]})


def researcher(said: Conversation) -> Said:
    """Search, read each page that was found, and write down what it says."""
    asked: list[Any] = said.results("library_get")
    if not asked:
        return Call("library_get", {"url": f"{LIBRARY}/search", "query": {"q": said.asked}})
    pages = asked[0]["body"]["pages"][:2] if isinstance(asked[0], dict) else []
    if pages and len(asked) == 1:
        return [Call("library_get", {"url": f"{LIBRARY}/pages/{page}"}) for page in pages]
    found = " ".join(one["body"]["text"] for one in asked[1:])
    return json.dumps({"part": said.asked, "found": found or "nothing", "pages": pages})


def writer(said: Conversation) -> Said:
    """The notes, one after the other."""
    given = json.loads(said.asked)
    return " ".join(dict.fromkeys(note["found"] for note in given["notes"] if note["pages"])) or "Nothing is known."


SCRIPTS: dict[str, Script] = {"planner": planner, "researcher": researcher, "writer": writer}
