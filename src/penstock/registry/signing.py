"""Signatures of weights by OpenSSF model signing, with keys that never leave the organisation: no network is asked.

A signature names every file of a folder with its digest, so that a file which was changed, added or taken away is noticed. It lies beside
the weights as ``model.sig``. Format: https://github.com/ossf/model-signing-spec
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from penstock.kernel.errors import Conflict, Unavailable
from penstock.registry.scan.folder import SIGNATURE


def sign(folder: Path, private_key: Path, password: str | None = None) -> Path:
    """Write the signature of ``folder`` into it and return its path. Raises `Conflict` when the key cannot be used."""
    hashing, signing = _library("hashing"), _library("signing")
    place = folder / SIGNATURE
    place.unlink(missing_ok=True)
    ignored = hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)
    try:
        signing.Config().use_elliptic_key_signer(private_key=private_key, password=password).set_hashing_config(ignored).sign(folder, place)
    except (ValueError, TypeError, OSError) as fault:
        raise Conflict(f"{private_key.name}: the key cannot sign: {_shown(fault)}", code="signature_invalid") from fault
    return place


def verify(folder: Path, trusted: Sequence[Path]) -> str:
    """Which of the ``trusted`` public keys signed exactly these files: the SHA-256 of its PEM file, in hex.

    Raises `Conflict` with ``signature_invalid`` when none did, or any file is not as it was signed.
    """
    hashing, verifying = _library("hashing"), _library("verifying")
    place = folder / SIGNATURE
    if not trusted:
        raise Conflict("registry.trusted_keys names no public key, so no signature can be believed", code="signature_invalid")
    if place.is_symlink() or not place.is_file():
        raise Conflict(f"there is no {SIGNATURE} beside the weights; `penstock registry sign` makes one", code="signature_invalid")
    faults: list[str] = []
    for key in trusted:
        # What is hashed is ours to say: a signature that names files to leave out would cover less than it seems to.
        everything = hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)
        try:
            verifying.Config().use_elliptic_key_verifier(public_key=key).set_hashing_config(everything).verify(folder, place)
        except Exception as fault:  # the library raises what its parsers and cryptography raise; none of it is a valid signature
            faults.append(f"{key.name}: {_shown(fault)}")
        else:
            return sha256(key.read_bytes()).hexdigest()
    raise Conflict(f"no trusted key signed these files: {'; '.join(faults)[:600]}", code="signature_invalid")


def _library(part: str) -> Any:
    # It loads cryptography, protobuf and Sigstore's client: a second, and only who signs or verifies needs it. Any, since its
    # signatures leave the kind of their paths open.
    try:
        return importlib.import_module(f"model_signing.{part}")
    except ModuleNotFoundError as fault:
        said = f"signatures need the extra 'signing' ({fault.name} is missing): pip install 'penstock[signing]'"
        raise Unavailable(said, code="signing_extra_missing") from fault


def _shown(fault: BaseException) -> str:
    return " ".join(str(fault).split())[:300] or type(fault).__name__
