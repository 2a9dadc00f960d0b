"""What weights are made of passes the reader; what it cannot follow does not. Attacks: tests/registry/test_corpus.py."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.registry.corpus import ADVISORIES, CLASSICS, STATE, calls, text

from penstock.registry.scan.allowed import ALLOWED
from penstock.registry.scan.pickles import imports, read_pickle
from penstock.registry.scan.report import Refused

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner) | st.frozensets(st.integers()),
    max_leaves=20,
)


@given(PLAIN, st.integers(0, 5))
def test_plain_data_of_every_protocol_is_accepted(value: Any, protocol: int) -> None:
    if protocol < 4 and isinstance(value, frozenset):
        value = list(value)
    data = pickle.dumps(value, protocol=protocol)
    # Before protocol 3 Python writes empty bytes as a call of the class, which weights do not hold.
    if b"c__builtin__\nbytes" not in data:
        read_pickle(data)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read_and_never_anything_else(noise: bytes) -> None:
    for data in (noise, b"\x80\x04" + noise, STATE[:-1] + noise):
        with suppress(Refused):  # anything else that it raises fails the test
            read_pickle(data)


@given(st.data())
def test_a_changed_byte_never_lets_an_import_in(data: st.DataObject) -> None:
    raw = bytearray(calls("posix", "system", protocol=data.draw(st.sampled_from([0, 2, 4]))))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    if b"posix" in raw and b"system" in raw and imports(bytes(raw)):
        with pytest.raises(Refused):
            read_pickle(bytes(raw))


def test_ordered_dictionaries_with_metadata_are_accepted() -> None:
    state = OrderedDict(a=1.0, b=[2])
    state._metadata = OrderedDict([("", {"version": 1})])  # type: ignore[attr-defined]
    for protocol in (2, 3, 4, 5):
        read_pickle(pickle.dumps(state, protocol=protocol))


def test_the_list_holds_nothing_that_is_known_to_do_harm() -> None:
    harmful = {(module, name) for _, module, name in ADVISORIES} | set(CLASSICS)
    assert harmful & set(ALLOWED) == set()
    assert set(ALLOWED.values()) == {"constant", "call", "dict", "plain", "latin1", "dtype", "array"}


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (STATE + b"x", "pickle_trailing"),
        (b"", "pickle_broken"),
        (b"\x80\x04N", "pickle_broken"),
        (b"\x80\x04NN.", "pickle_broken"),
        (b"\x80\x04(.", "pickle_broken"),
        (b"\x80\x02cos\nsystem\n.", "pickle_import"),
        (b"\x80\x02ctorch\nSize\n}s.", "pickle_fill"),
        (b"\x80\x02]ctorch\nSize\na.", "pickle_import"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "pickle_call"),
        (b"\x80\x02ctorch\nSize\n]R.", "pickle_call"),
        (b"\x80\x02N)R.", "pickle_call"),
        (b"\x80\x04\x95\xff\xff\x00\x00\x00\x00\x00\x00N.", "pickle_broken"),
        (b"\x80\x02" + text("x") + b"Q.", "pickle_reference"),
    ],
)
def test_a_refusal_says_which_kind(stream: bytes, code: str) -> None:
    with pytest.raises(Refused) as found:
        read_pickle(stream)
    assert found.value.code == code
    assert "byte" in found.value.message


def test_references_lead_to_storages_of_the_archive_alone() -> None:
    def stream(key: str) -> bytes:
        return b"\x80\x02(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + b"K\x01tQ."

    read_pickle(stream("0"), storages=frozenset({"0"}))
    for key, storages in (("1", frozenset({"0"})), ("0", None)):
        with pytest.raises(Refused, match="reference"):
            read_pickle(stream(key), storages=storages)
