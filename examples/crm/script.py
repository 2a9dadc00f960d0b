"""What the stand-in says as a clerk."""

from __future__ import annotations

import re
from typing import Any

from examples.stand_in import Call, Conversation, Said, Script

STAGES = {"signed": "won", "not interested": "lost", "wants an offer": "talking"}


def clerk(said: Conversation) -> Said:
    """Find the contact, change it, add the note, and say what was done."""
    name = re.search(r"\b([A-Z]\w+ [A-Z]\w+)\b", said.asked)
    if name is None:
        return "The note names nobody; nothing was changed."
    found = said.results("find_contacts")
    if not found:
        return Call("find_contacts", {"q": name[0]})
    contacts: list[Any] = found[0]["body"] if isinstance(found[0], dict) else []
    if len(contacts) != 1:
        return f"{len(contacts)} contacts are called {name[0]}; nothing was changed."
    id = contacts[0]["id"]
    phone = re.search(r"\+\d[\d ]+\d", said.asked)
    stage = next((stage for words, stage in STAGES.items() if words in said.asked), None)
    change = {**({"phone": phone[0]} if phone else {}), **({"stage": stage} if stage else {})}
    if change and not said.results("change_contact"):
        return Call("change_contact", {"id": id, "body": change})
    if not said.results("add_note"):
        return Call("add_note", {"id": id, "body": {"text": said.asked.strip()}})
    told = ", ".join(f"{field} is {value}" for field, value in change.items()) or "nothing else changed"
    return f"{name[0]}: the note is there; {told}."


SCRIPTS: dict[str, Script] = {"clerk": clerk}
