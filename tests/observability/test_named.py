"""Whom and what requests name, in every way in which they do; and what is no name."""

from __future__ import annotations

import json

import msgspec
from tests.observability.calls import READER, ended

from penstock.kernel.call import Call
from penstock.observability.named import person_of, session_of


def fields(call: Call, **told: object) -> Call:
    call.fields = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in told.items()}
    return call


def test_the_person_is_the_keys_or_whom_the_request_names() -> None:
    assert person_of(fields(ended(), user="ann")) == "ann"
    assert person_of(fields(ended(), metadata={"user_id": "bo"})) == "bo"
    assert person_of(fields(ended(), user=5)) == person_of(fields(ended(), metadata=[1])) == person_of(ended()) == ""
    known = msgspec.structs.replace(READER, person="person_1")
    assert person_of(fields(ended(who=known), user="ann")) == "person_1"


def test_the_session_is_what_the_request_says() -> None:
    assert session_of(ended(labels={"session": "a"})) == "a"
    assert session_of(fields(ended(), metadata={"session_id": "b"})) == "b"
    assert session_of(fields(ended(), conversation="c")) == "c"
    assert session_of(fields(ended(), conversation={"id": "d"})) == "d"
    assert session_of(fields(ended(), conversation=None, metadata=None)) == ""
