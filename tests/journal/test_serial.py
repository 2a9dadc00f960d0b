"""What is written of values and exceptions, and what is refused."""

from __future__ import annotations

import pytest
from dbos._serialization import DBOSDefaultSerializer
from hypothesis import given
from hypothesis import strategies as st

from penstock.journal.serial import Json, refuse_pickle
from penstock.kernel.errors import Conflict, StepFailed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: not key.startswith("$")), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_comes_back_as_it_was(value: object) -> None:
    assert Json().deserialize(Json().serialize(value)) == value


def test_an_exception_comes_back_as_what_is_kept_of_it() -> None:
    told = Json().deserialize(Json().serialize(Conflict("taken")))
    assert isinstance(told, StepFailed)
    assert (told.kind, told.message, told.step_code) == ("Conflict", "taken", "conflict")
    again = Json().deserialize(Json().serialize(told))
    assert (again.kind, again.message, again.step_code) == ("Conflict", "taken", "conflict")


def test_an_exception_that_cannot_speak_is_kept_by_its_name() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert Json().deserialize(Json().serialize(Mute())).message == "Mute"


def test_what_is_no_json_is_refused_without_being_quoted() -> None:
    class Secretive:
        def __repr__(self) -> str:
            return "hunter2"

    with pytest.raises(TypeError, match="must be JSON") as caught:
        Json().serialize({"a": Secretive()})
    assert "hunter2" not in str(caught.value)


def test_pickle_is_refused_in_both_directions() -> None:
    refuse_pickle()
    with pytest.raises(TypeError, match="neither writes nor reads pickle"):
        DBOSDefaultSerializer.deserialize("gASVBAAAAAAAAABLAS4=")
    with pytest.raises(TypeError, match="neither writes nor reads pickle"):
        DBOSDefaultSerializer.serialize(1)
