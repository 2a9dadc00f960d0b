"""Weights that a room is about to load, and the port through which they are looked into before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class WeightScan(Protocol):
    """Looks into folders of weights; the registry's scan. Nobody loads what was not looked into."""

    def inspect(self, folder: Path) -> tuple[str, Sequence[str]]:
        """The digest of a folder (SHA-256 in hex, of every accepted file's bytes and name), and what speaks against loading it: nothing
        where the scan accepts all of it. Reads every byte: on a thread. Raises `FileNotFoundError` where there is no folder."""
        ...


__all__ = ["WeightScan"]
