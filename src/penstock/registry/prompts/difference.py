"""What changed between two versions of a prompt."""

from __future__ import annotations

import difflib
from typing import Literal

from msgspec import Struct

from penstock.registry.prompts.model import PromptVersion, Variable


class VariableChange(Struct, frozen=True, kw_only=True):
    """A variable that is declared otherwise than before."""

    name: str
    change: Literal["added", "removed", "changed"]
    before: Variable | None
    after: Variable | None


class Difference(Struct, frozen=True, kw_only=True):
    """From the version ``before`` to the version ``after``: a unified diff of the texts (empty: the same), and the variables."""

    before: int
    after: int
    text: str
    variables: tuple[VariableChange, ...]


def difference(before: PromptVersion, after: PromptVersion) -> Difference:
    """What has to change for ``before`` to be ``after``."""
    lines = difflib.unified_diff(_lines(before), _lines(after), f"version {before.number}", f"version {after.number}", lineterm="")
    names = sorted(before.variables.keys() | after.variables.keys())
    changes = [_change(name, before.variables.get(name), after.variables.get(name)) for name in names]
    return Difference(
        before=before.number, after=after.number, text="\n".join(lines), variables=tuple(one for one in changes if one is not None)
    )


def _lines(version: PromptVersion) -> list[str]:
    if version.kind == "text":
        return version.messages[0].content.split("\n")
    return [line for message in version.messages for line in (f"[{message.role}]", *message.content.split("\n"))]


def _change(name: str, before: Variable | None, after: Variable | None) -> VariableChange | None:
    if before == after:
        return None
    change = "added" if before is None else "removed" if after is None else "changed"
    return VariableChange(name=name, change=change, before=before, after=after)
