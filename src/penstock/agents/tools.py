"""Tools: functions that an agent may call, with a declared effect and typed arguments. Called as they are, they are plain functions."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Literal, ParamSpec, TypeVar, get_type_hints, overload

import msgspec
from msgspec import Struct

from penstock.kernel.journal import Retry

Effect = Literal["read", "write", "irreversible"]
"""What a tool does to the world: nothing, something that can be set right again, something that cannot."""

NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,63}")
"""Names that every vendor's API takes for a tool."""

P = ParamSpec("P")
R = TypeVar("R")


class ToolContext(Struct, frozen=True, kw_only=True):
    """What a tool may know of its call; a parameter of this type is given it and is not among the arguments of the model.

    ``key`` names the call: the same in every attempt and after every crash, and of no other call. Give it to whoever can refuse to do a
    thing twice. ``attempt`` counts from 1. ``run`` and ``organisation`` are those of the run, ``person`` is who it works for, if anybody.
    """

    key: str
    attempt: int
    run: str
    organisation: str
    person: str = ""


class BadArguments(Exception):
    """Arguments that a tool cannot be called with; the message is for the model that wrote them."""


Check = Callable[..., Awaitable[Any]]


class Tool(Generic[P, R]):
    """A function with what must be known to call it safely.

    ``honours_key``: the function gives `ToolContext.key` to a system that does nothing twice under one key, so a call in doubt is made
    again. ``check`` is asked, with the call's arguments, whether a call in doubt has happened: it returns the result, or None where it has
    not. Without either, a call in doubt is reported as such and not made again, unless it only reads.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        effect: Effect,
        name: str = "",
        description: str = "",
        honours_key: bool = False,
        check: Check | None = None,
        retry: Retry | None = None,
        seconds: float = 60.0,
        most_bytes: int = 65_536,
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        if NAME.fullmatch(self.name) is None:
            raise ValueError(f"{self.name!r} is no name for a tool: letters, digits, _ and -, at most 64, a letter first")
        self.effect: Effect = effect
        self.description = description or _first_paragraph(function)
        self.honours_key = honours_key
        self.check = check
        self.retry = retry or Retry(attempts=4, first_seconds=0.5)
        self.seconds = seconds
        self.most_bytes = most_bytes
        self._arguments, self._context, self.returns = _signature(self.name, function)
        self.parameters = _schema(self._arguments)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def arguments(self, given: bytes | str | Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as their types say. Raises `BadArguments`, which says what is wrong and where."""
        try:
            if isinstance(given, bytes | str):
                found = msgspec.json.decode(given or b"{}", type=self._arguments)
            else:
                found = msgspec.convert(given, self._arguments)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise BadArguments(f"the arguments of {self.name} are not as its schema says: {fault}") from fault
        return {field: getattr(found, field) for field in self._arguments.__struct_fields__}

    async def perform(self, arguments: Mapping[str, Any], context: ToolContext) -> Any:
        """Call the function; one that is no coroutine function on a thread of the caller's loop."""
        given = dict(arguments)
        if self._context is not None:
            given[self._context] = context
        function: Callable[..., Any] = self.function
        if inspect.iscoroutinefunction(function):
            return await function(**given)
        return await asyncio.to_thread(function, **given)

    def shown(self) -> dict[str, Any]:
        """The tool as chat completions describe it to a model."""
        told = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": told}


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *,
    effect: Effect = "read",
    name: str = "",
    description: str = "",
    honours_key: bool = False,
    check: Check | None = None,
    retry: Retry | None = None,
    seconds: float = 60.0,
    most_bytes: int = 65_536,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(function: Any = None, /, *, effect: Effect = "read", **terms: Any) -> Any:
    """Make a function a `Tool`; its docstring's first paragraph tells models what it does, its type hints what it takes.

    ``effect`` is what it does to the world: ``read``, ``write``, ``irreversible``. The other terms are those of `Tool`.
    """

    def made(given: Callable[..., Any]) -> Tool[..., Any]:
        return Tool(given, effect=effect, **terms)

    return made if function is None else made(function)


def _first_paragraph(function: Callable[..., Any]) -> str:
    return " ".join(inspect.cleandoc(function.__doc__ or "").split("\n\n")[0].split())


def _signature(name: str, function: Callable[..., Any]) -> tuple[type[Struct], str | None, Any]:
    """A type for the arguments, the parameter that takes the context, and what is returned."""
    hints = get_type_hints(function, include_extras=True)
    fields: list[Any] = []
    context: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(f"{name}: {parameter} cannot be told to a model; give each argument a name")
        if parameter.name not in hints:
            raise TypeError(f"{name}: the argument {parameter.name!r} has no type")
        kind = hints[parameter.name]
        if kind is ToolContext:
            context = parameter.name
        elif parameter.default is parameter.empty:
            fields.append((parameter.name, kind))
        else:
            fields.append((parameter.name, kind, parameter.default))
    made = msgspec.defstruct(f"{name}_arguments", fields, kw_only=True, forbid_unknown_fields=True)
    return made, context, hints.get("return", Any)


def _schema(arguments: type[Struct]) -> dict[str, Any]:
    """The JSON Schema of the arguments, with the object itself at the top, where vendors expect it."""
    (top,), others = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    name = top["$ref"].rpartition("/")[2]
    found = {key: value for key, value in others.pop(name).items() if key != "title"}
    return found | ({"$defs": others} if others else {})
