"""What agents and workflows have in common: a name under which they are started, a typed input, a typed output."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from penstock.agents.limits import Limits
from penstock.agents.tools import NAME, BadArguments, builtins, schema_of, signature_of

TEXT: dict[str, Any] = {"type": "string"}


class Asker(Struct, frozen=True, kw_only=True):
    """What a run carries of whoever asked for it, where that was another run: its ``labels``, those of what it had ``read``, the ids of
    the keys and people ``by`` whom it was made what it is, beside the key and the person that the run has itself, and the ``limits`` that
    it was started with."""

    labels: Mapping[str, str] = {}
    read: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    limits: Limits = Limits()


NOBODY = Asker()


class Startable:
    """Something that runs durably. ``arguments`` is the type of its input, an object; None takes one text.

    Raises ValueError for a name that cannot be one.
    """

    kind: Literal["agent", "workflow"]

    def __init__(
        self, name: str, *, description: str, limits: Limits, arguments: type[Struct] | None, output: Any, text_name: str = "question"
    ) -> None:
        if NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name for {self.kind}s: letters, digits, _ and -, at most 64, a letter first")
        self.name = name
        self.description = description
        self.limits = limits
        self.arguments = arguments
        self.output = output
        self._text_name = text_name
        """What the one text is called in a call by name."""

    @property
    def run(self) -> str:
        """The name of its runs on the journal."""
        return f"{self.kind}/{self.name}"

    @property
    def tool_name(self) -> str:
        """What it is called where a model may ask for it."""
        return self.name

    @property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of its input."""
        return TEXT if self.arguments is None else schema_of(self.arguments)

    @property
    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of its output."""
        return TEXT if self.output is str else {} if self.output is Any else msgspec.json.schema(self.output)

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of what a model calls it with: an object always."""
        if self.arguments is not None:
            return self.input_schema
        told = {"type": "string", "description": "What is wanted, with all that is needed to do it."}
        return {"type": "object", "properties": {self._text_name: told}, "required": [self._text_name], "additionalProperties": False}

    def as_tool(self) -> dict[str, Any]:
        """It as a tool of an agent, as chat completions describe it."""
        told = {"name": self.tool_name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": told}

    def take(self, given: Any) -> Any:
        """An input as JSON values, with defaults filled in. Raises `BadArguments`."""
        if self.arguments is None:
            if not isinstance(given, str) or not given:
                raise BadArguments(f"the {self.kind} {self.name} takes text")
            return given
        try:
            return msgspec.to_builtins(msgspec.convert(given, self.arguments))
        except msgspec.ValidationError as fault:
            raise BadArguments(f"the input of {self.name} is not as its schema says: {fault}") from fault

    def called(self, arguments: str) -> Any:
        """The input of a model's call, which is JSON if all is well. Raises `BadArguments`."""
        try:
            given = msgspec.json.decode(arguments or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise BadArguments(f"the arguments of {self.tool_name} are not as its schema says: {fault}") from fault
        if self.arguments is not None:
            return self.take(given)
        if not isinstance(given, dict) or given.keys() != {self._text_name}:  # type: ignore[reportUnknownMemberType]
            raise BadArguments(f"the arguments of {self.tool_name} are not as its schema says: an object with {self._text_name!r} alone")
        return self.take(given[self._text_name])

    def bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The input of a call in Python. Raises TypeError where it does not fit."""
        if self.arguments is None:
            given = [*args, *kwargs.values()]
            if len(given) != 1 or not kwargs.keys() <= {self._text_name}:
                raise TypeError(f"{self.name}() takes one text, {self._text_name!r}")
            return self.take(builtins(f"the input of {self.name}", given[0]))
        fields = self.arguments.__struct_fields__
        if len(args) > len(fields) or kwargs.keys() & set(fields[: len(args)]):
            raise TypeError(f"{self.name}() takes {', '.join(fields) or 'nothing'}, each once")
        return self.take(builtins(f"the input of {self.name}", {**dict(zip(fields, args, strict=False)), **kwargs}))

    def typed(self, output: Any) -> Any:
        """An output that was journalled, as its type says."""
        return msgspec.convert(output, self.output)


def described(function: Callable[..., Any]) -> tuple[str, str]:
    """A function's docstring whole, and its first paragraph on one line."""
    whole = inspect.cleandoc(function.__doc__ or "")
    return whole, " ".join(whole.split("\n\n")[0].split())


def input_of(name: str, function: Callable[..., Any]) -> tuple[type[Struct] | None, str, Any]:
    """The type of a function's arguments, None for one text alone and then its name, and what it returns."""
    arguments, context, returns = signature_of(name, function)
    if context is not None:
        raise TypeError(f"{name}: a context is for tools; {context!r} cannot be told")
    fields = msgspec.structs.fields(arguments)
    if len(fields) == 1 and fields[0].type is str and fields[0].required:
        return None, fields[0].name, returns
    return arguments, "", returns
