"""Whom and what a request names beside its key: the user, the conversation."""

from __future__ import annotations

import msgspec

from penstock.kernel.call import Call

LONGEST = 200
SESSIONS = ("session", "session.id", "session_id", "conversation_id")
USERS = ("user_id", "user.id")


def person_of(call: Call) -> str:
    """Whose call it is: the key's person or, where it has none, the user whom the request names, so that one can be erased."""
    who, fields = call.principal, call.fields
    if who is not None and who.person:
        return who.person
    if not fields:
        return ""
    for name in ("safety_identifier", "user"):
        if (raw := fields.get(name)) is not None and (found := _text(raw)):
            return _cut(found)
    if (raw := fields.get("metadata")) is not None:
        return _cut(_text_of(raw, USERS))
    return ""


def session_of(call: Call) -> str:
    """The conversation that a request names: by its label ``session``, in its metadata, or as a conversation of the Responses API."""
    found = ""
    if call.labels:
        found = next((told for name in SESSIONS if (told := call.labels.get(name))), "")
    fields = call.fields
    if not found and fields:
        if (raw := fields.get("metadata")) is not None:
            found = _text_of(raw, SESSIONS)
        if not found and (raw := fields.get("conversation")) is not None:
            found = _text(raw) or _text_of(raw, ("id",))
    return _cut(found) if found else ""


def _cut(text: str) -> str:
    return text[:LONGEST].replace("\0", "").encode("utf-8", "replace").decode()


def _text(raw: msgspec.Raw) -> str:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


def _text_of(raw: msgspec.Raw, names: tuple[str, ...]) -> str:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    return next((told for name in names if isinstance(told := found.get(name), str) and told), "")  # type: ignore[reportUnknownVariableType]
