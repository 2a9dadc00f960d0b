"""Toolboxes by name: what an agent takes of what the settings configure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct


class Toolbox(Struct, frozen=True):
    """The tools of ``[agents.toolboxes.NAME]``, or those ``only``, by the names that models call them by.

    Which tools that are is known when the house starts; an agent that was not started by one has none of them.
    """

    name: str
    only: tuple[str, ...] = ()


def toolbox(name: str, *, only: Sequence[str] = ()) -> Toolbox:
    """A toolbox of the settings, for the ``tools`` of an agent. A house whose settings do not have it does not start."""
    return Toolbox(name, tuple(only))
