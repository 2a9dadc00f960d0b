"""Arrays come back as they were certified, or not at all; nothing in them is ever run."""

from __future__ import annotations

import io
import pickle
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.routing.simulated import directions, policy

from penstock.routing.arrays import Damaged, Fit, pack, unpack
from penstock.routing.estimate import Recipe, fit
from penstock.routing.policy import Policy

ROUTER = policy(kind="router")


@pytest.fixture(scope="module")
def made() -> Fit:
    rng = np.random.default_rng(0)
    vectors = directions(40)
    fitted = fit(rng.normal(size=(40, 3)), vectors, (rng.random((40, 2)) < 0.6).astype(float), Recipe(landmarks=8))
    return Fit(estimators={"router": fitted.estimator}, known=vectors[:10], scores=np.arange(5.0), points=vectors[10:20])


def of(packed: bytes, policy: Policy = ROUTER) -> Policy:
    """A policy whose digest is right: somebody who may write the one column may write the other."""
    return msgspec.structs.replace(policy, digest=sha256(packed).hexdigest())


def stored(**arrays: Any) -> bytes:
    into = io.BytesIO()
    np.savez_compressed(into, **arrays)
    return into.getvalue()


def test_what_was_packed_estimates_the_same(made: Fit) -> None:
    packed, digest = pack(made)
    found = unpack(msgspec.structs.replace(ROUTER, digest=digest), packed)
    features, vector = np.array([0.1, -1.0, 2.0]), directions(1, 5)[0]
    assert np.array_equal(found.estimator("router").chances(features, vector), made.estimators["router"].chances(features, vector))
    assert np.abs(found.known - made.known).max() < 1e-3
    assert found.scores.tolist() == made.scores.tolist()
    with pytest.raises(KeyError):
        found.estimator("cascade")


def test_other_bytes_than_those_certified_are_refused(made: Fit) -> None:
    packed, digest = pack(made)
    for wrong in (None, b"", packed[:-1], packed + b"\0", bytes([packed[0] ^ 1]) + packed[1:]):
        with pytest.raises(Damaged, match="not those that were certified" if wrong is not None else "its arrays are gone"):
            unpack(msgspec.structs.replace(ROUTER, digest=digest), wrong)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_no_byte_that_falls_over_breaks_more_than_its_policy(made: Fit, data: st.DataObject) -> None:
    packed, _ = pack(made)
    broken = bytearray(packed)
    for at in data.draw(st.lists(st.integers(0, len(packed) - 1), min_size=1, max_size=6)):
        broken[at] = data.draw(st.integers(0, 255))
    cut = bytes(broken[: data.draw(st.integers(0, len(packed)))])
    for one in (bytes(broken), cut):
        try:
            found = unpack(of(one), one)
        except Damaged:
            continue
        assert found.estimators["router"].candidates == 2  # a byte that nobody reads


@pytest.mark.parametrize("blob", [b"", b"PK", b"not an archive", b"\x93NUMPY\x01\x00", b"\x80\x04N."])
def test_what_is_no_archive_is_damaged(blob: bytes) -> None:
    with pytest.raises(Damaged, match="cannot be read"):
        unpack(of(blob), blob)


def test_a_pickle_is_not_run(tmp_path: Path, made: Fit) -> None:
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return ran.write_text, ("x",)

    arrays = {**{f"router/{k}": v for k, v in made.estimators["router"].arrays.items()}, "known": made.known, "points": made.points}
    inside = stored(**arrays, scores=np.array([Hostile()], dtype=object))
    plain = pickle.dumps(Hostile())
    member = io.BytesIO()
    with zipfile.ZipFile(member, "w") as archive:
        archive.writestr("known.npy", plain)
        archive.writestr("scores.npy", plain)
        archive.writestr("points.npy", plain)
    for blob in (inside, plain, member.getvalue()):
        with pytest.raises(Damaged):
            unpack(of(blob), blob)
    assert not ran.exists()


def test_arrays_of_another_version_are_damaged(made: Fit) -> None:
    watched: dict[str, Any] = {"known": made.known, "scores": made.scores, "points": made.points}
    own = {f"router/{name}": array for name, array in made.estimators["router"].arrays.items()}
    for blob, said in [
        (stored(**watched), "hold no estimate"),
        (stored(**own), "cannot be read"),
        (stored(**watched, **{name: own[name] for name in list(own)[1:]}), "cannot be read"),
        (stored(**watched, **{**own, "router/recipe": np.zeros(9)}), "cannot be read"),
        (stored(**watched, **{**own, "router/landmarks": np.zeros(3)}), "cannot be read"),
        (stored(**{**watched, "known": np.array(["a"])}, **own), "cannot be read"),
    ]:
        with pytest.raises(Damaged, match=said):
            unpack(of(blob), blob)
    packed, digest = pack(made)
    with pytest.raises(Damaged, match="router of 3 candidates"):
        unpack(policy(kind="router", candidates=("a", "b", "c"), digest=digest), packed)
    with pytest.raises(Damaged, match="cascade of 2"):
        unpack(policy(kind="cascade", digest=digest), packed)


def test_an_array_that_claims_to_be_huge_is_damaged(made: Fit) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000000), }".ljust(118) + b"\n"
    huge = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for name in ("known", "scores", "points"):
            archive.writestr(f"{name}.npy", huge)
    with pytest.raises(Damaged, match="cannot be read"):
        unpack(of(into.getvalue()), into.getvalue())
