"""The nouns as they are shown: what a program reads of a key, and where its secret is not."""

from __future__ import annotations

import logging

import msgspec
import pytest
from tests.identity.process import Process

from penstock.identity.keys import NewKey
from penstock.identity.model import Key, KeyWithSecret, Listing


async def test_a_secret_is_in_the_answer_and_in_no_repr_log_or_error(alone: Process, caplog: pytest.LogCaptureFixture) -> None:
    made = await alone.keys.create(None, NewKey(name="bot"))
    assert msgspec.json.decode(msgspec.json.encode(made))["secret"] == made.secret
    logging.getLogger("penstock.test").error("made %s and %r", made, [made])
    for shown in (repr(made), str(made), f"{made}", repr({"key": made}), caplog.text, str(ValueError(made))):
        assert made.secret not in shown
        assert made.key.id in shown


async def test_what_programs_read_of_a_key_keeps_its_shape(alone: Process) -> None:
    made = await alone.keys.create(None, NewKey(name="bot"))
    shown = msgspec.json.decode(msgspec.json.encode(made.key))
    assert sorted(shown) == [
        "created_at",
        "created_by",
        "expires_at",
        "id",
        "last4",
        "last_used_at",
        "limits",
        "models",
        "name",
        "organisation",
        "person",
        "previous_until",
        "project",
        "revoked_at",
        "scopes",
        "state",
        "tasks",
        "team",
    ]
    assert shown["scopes"] == ["call"]
    assert msgspec.json.decode(msgspec.json.encode(made), type=KeyWithSecret) == made
    page = Listing(data=[made.key])
    assert msgspec.json.decode(msgspec.json.encode(page), type=Listing[Key]) == page
    assert b'"next_cursor":null' in msgspec.json.encode(page)
