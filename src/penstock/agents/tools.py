"""Tools: functions that an agent may call, with a declared effect and typed arguments. Called as they are, they are plain functions."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, cast, get_args, get_type_hints, overload

import msgspec
from msgspec import Struct

from penstock.agents.faults import Permanent
from penstock.agents.here import NotHere, here
from penstock.agents.inbox.model import Sum
from penstock.agents.recollection import Recollection
from penstock.agents.threads import THREADS
from penstock.kernel.journal import Retry, current_step

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

Effect = Literal["read", "write", "irreversible"]
"""What a tool does to the world: nothing, something that can be set right again, something that cannot."""

EFFECTS: tuple[str, ...] = get_args(Effect)

NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,63}")
"""Names that every vendor's API takes for a tool."""

P = ParamSpec("P")
R = TypeVar("R")


class ToolContext(Struct, frozen=True, kw_only=True):
    """What a tool may know of its call; a parameter of this type is given it and is not among the arguments of the model.

    ``key`` names the call: the same in every attempt and after every crash, and of no other call. Give it to whoever can refuse to do a
    thing twice. ``attempt`` counts from 1. ``run`` and ``organisation`` are those of the run, ``person`` is who it works for, if anybody.
    ``memory`` is the long-term memory that the run may use, None outside of Penstock. ``payer`` is the id of the key that pays. ``labels``
    are those of what the run has read so far.
    """

    key: str
    attempt: int
    run: str
    organisation: str
    person: str = ""
    memory: Recollection | None = None
    payer: str = ""
    labels: tuple[str, ...] = ()


class BadArguments(Exception):
    """Arguments that a tool cannot be called with; the message is for the model that wrote them."""


class Amount(Struct, frozen=True):
    """What of a call is its amount: the ``argument``, in a ``unit`` that is fixed or stands in ``unit_argument``; ``per`` of the argument
    are one of the unit (100, where it is in cents)."""

    argument: str
    unit: str = ""
    unit_argument: str = ""
    per: float = 1.0

    def read(self, arguments: Mapping[str, Any]) -> Sum:
        """The amount, without its sign; without a value where the argument is no finite number."""
        found = arguments.get(self.argument)
        unit = str(arguments.get(self.unit_argument, "")) if self.unit_argument else self.unit
        number = float(found) if isinstance(found, int | float | Decimal) and not isinstance(found, bool) else math.nan
        return Sum(abs(number) / self.per if math.isfinite(number) else None, unit)


Check = Callable[..., Awaitable[Any]]


class Tool(Generic[P, R]):
    """A function with what must be known to call it safely.

    ``honours_key``: the function gives `ToolContext.key` to a system that does nothing twice under one key, so a call in doubt is made
    again. ``check`` is asked, with the call's arguments, whether a call in doubt has happened: it returns the result, or None where it has
    not. Without either, a call in doubt is reported as such and not made again, unless it only reads.

    Policies (docs/approvals.md) go by its ``effect``, its ``owner`` and its ``amount``. ``labels`` (``untrusted``) are put on what it
    returns, and so on all that a run does once it has read that. ``told_by`` names who wrote its description, where that is neither its
    author nor whoever runs the installation (``the MCP server billing``): no validator is shown such a text.
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
        schema: Mapping[str, Any] | None = None,
        amount: Amount | None = None,
        owner: str = "",
        labels: Sequence[str] = (),
        told_by: str = "",
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        if NAME.fullmatch(self.name) is None:
            raise ValueError(f"{self.name!r} is no name for a tool: letters, digits, _ and -, at most 64, a letter first")
        if effect not in EFFECTS:
            raise ValueError(f"{self.name}: its effect is 'read', 'write' or 'irreversible', not {effect!r}")
        self.effect: Effect = effect
        self.description = description or _first_paragraph(function)
        self.honours_key = honours_key
        self.check = check
        self.retry = retry or Retry(attempts=4, first_seconds=0.5)
        self.seconds = seconds
        self.most_bytes = most_bytes
        self.amount = amount
        self.owner = owner
        self.labels = tuple(labels)
        self.told_by = told_by
        self.offered = True
        """Whether models are told of it; one that is not is still found by runs that know it."""
        self._schema = schema
        self._valid: Validator | None = None
        if schema is not None:
            self._arguments, self._context, self.returns = None, None, Any
            self.parameters = dict(schema)
            return
        self._arguments, self._context, self.returns = signature_of(self.name, function)
        if amount is not None and not {amount.argument, amount.unit_argument or amount.argument} <= set(self._arguments.__struct_fields__):
            raise ValueError(f"{self.name}: its amount is in an argument that it does not have: {amount.argument}")
        self.parameters = schema_of(self._arguments)

    @classmethod
    def of_schema(
        cls,
        function: Callable[[dict[str, Any], ToolContext], Awaitable[Any]],
        schema: Mapping[str, Any],
        *,
        name: str,
        description: str,
        effect: Effect,
        **terms: Any,
    ) -> Tool[..., Any]:
        """A tool whose arguments are told by a JSON Schema instead of type hints: ``function`` is given them as they are, and the context.

        The other terms are those of `Tool`. Raises ValueError for a schema that is none, or of something else than an object.
        """
        from jsonschema import SchemaError  # takes a tenth of a second to import, and few houses have such tools
        from jsonschema.validators import validator_for

        if schema.get("type") != "object":
            raise ValueError(f"{name}: the schema of a tool's arguments is that of an object")
        try:
            validator_for(dict(schema), default=_drafts()).check_schema(dict(schema))
        except SchemaError as fault:
            raise ValueError(f"{name}: its JSON Schema is none: {fault.message}") from fault
        return Tool(function, effect=effect, name=name, description=description or name, schema=schema, **terms)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function as it is; in the function of a workflow a call like a model's: a step, with all that is said above. Raises `NotHere`
        inside a step, unless it only reads: nobody would be asked, and nothing written down."""
        found = here()
        if found is None and self.effect != "read" and current_step.get() is not None:
            raise NotHere(
                f"{self.name} changes something, and inside a step nobody is asked for it and nothing of it is written down: "
                f"call it in the function of a @workflow, or give partial({self.name}, ...) to parallel()"
            )
        if found is None:
            return self.function(*args, **kwargs)
        if not inspect.iscoroutinefunction(self.function):
            raise NotHere(f"{self.name} is no coroutine function: call it with `await step({self.name}, ...)` in a workflow")
        return cast("R", found.noted(f"{self.name}()", found.one(partial(self, *args, **kwargs))))

    def bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call in Python. Raises TypeError, `BadArguments`."""
        fields = () if self._arguments is None else self._arguments.__struct_fields__
        if self._arguments is None and not args:
            return self.arguments(builtins(f"what {self.name} is called with", kwargs))
        if len(args) > len(fields) or kwargs.keys() & set(fields[: len(args)]):
            raise TypeError(f"{self.name}() takes {', '.join(fields) or 'nothing'}, each once")
        return self.arguments(builtins(f"what {self.name} is called with", {**dict(zip(fields, args, strict=False)), **kwargs}))

    def arguments(self, given: bytes | str | Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as their types say. Raises `BadArguments`, which says what is wrong and where."""
        if self._arguments is None:
            return self._validated(given)
        try:
            if isinstance(given, bytes | str):
                found = msgspec.json.decode(given or b"{}", type=self._arguments)
            else:
                found = msgspec.convert(given, self._arguments)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise BadArguments(f"the arguments of {self.name} are not as its schema says: {fault}") from fault
        # What is unset was not given: no JSON tells of it, and the function's own default says the same.
        fields = ((field, getattr(found, field)) for field in self._arguments.__struct_fields__)
        return {field: value for field, value in fields if value is not msgspec.UNSET}

    def _validated(self, given: bytes | str | Mapping[str, Any]) -> dict[str, Any]:
        from jsonschema import exceptions
        from referencing import Registry  # an empty one: a schema fetches nothing
        from referencing.exceptions import Unresolvable

        assert self._schema is not None
        if self._valid is None:
            registry: Registry[Any] = Registry()
            self._valid = _drafts()(self._schema, registry=registry)
        try:
            found = msgspec.json.decode(given or b"{}") if isinstance(given, bytes | str) else dict(given)
            fault: ValidationError | None = cast("Any", exceptions).best_match(self._valid.iter_errors(found))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Unresolvable) as broken:
            raise BadArguments(f"the arguments of {self.name} cannot be read as its schema says: {broken}") from broken
        if fault is not None:
            raise BadArguments(f"the arguments of {self.name} are not as its schema says: {fault.message[:1000]} - at `{fault.json_path}`")
        return found

    async def perform(self, arguments: Mapping[str, Any], context: ToolContext) -> Any:
        """Call the function; one that is no coroutine function on a thread. Raises `Transient` where
        all threads are held up."""
        given = dict(arguments)
        if self._arguments is None:
            told: Any = self.function
            return await told(given, context)
        if self._context is not None:
            given[self._context] = context
        function: Callable[..., Any] = self.function
        if inspect.iscoroutinefunction(function):
            found = await function(**given)
        else:
            found = await THREADS.call(partial(function, **given))
            if inspect.iscoroutine(found):  # of a coroutine function in a decorator that is none
                found = await found
        if inspect.iscoroutine(found):
            found.close()
            raise Permanent(f"{self.name} returned a coroutine instead of waiting for it, so nothing of that was done: `await` is left out")
        return found

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
    amount: Amount | None = None,
    owner: str = "",
    labels: Sequence[str] = (),
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(function: Any = None, /, *, effect: Effect = "read", **terms: Any) -> Any:
    """Make a function a `Tool`; its docstring's first paragraph tells models what it does, its type hints what it takes.

    ``effect`` is what it does to the world: ``read``, ``write``, ``irreversible``. The other terms are those of `Tool`.
    """

    def made(given: Callable[..., Any]) -> Tool[..., Any]:
        return Tool(given, effect=effect, **terms)

    return made if function is None else made(function)


def _drafts() -> type[Validator]:
    from jsonschema import Draft202012Validator

    return Draft202012Validator


def _first_paragraph(function: Callable[..., Any]) -> str:
    return " ".join(inspect.cleandoc(function.__doc__ or "").split("\n\n")[0].split())


def signature_of(name: str, function: Callable[..., Any]) -> tuple[type[Struct], str | None, Any]:
    """A type for the arguments, the parameter that takes the context, and what is returned."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as fault:
        raise TypeError(f"{name}: {fault}; its types must stand in its module, also where they are written as text") from fault
    fields: list[Any] = []
    context: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(f"{name}: {parameter} cannot be told to a model; give each argument a name")
        if parameter.name not in hints:
            raise TypeError(f"{name}: the argument {parameter.name!r} has no type; write one, as in `{parameter.name}: str`")
        kind = hints[parameter.name]
        if kind is ToolContext:
            context = parameter.name
        elif parameter.default is parameter.empty:
            fields.append((parameter.name, kind))
        else:
            fields.append((parameter.name, kind, parameter.default))
        if kind is not ToolContext:
            readable(f"{name}: the argument {parameter.name!r}", kind)
    made = msgspec.defstruct(f"{name}_arguments", fields, kw_only=True, forbid_unknown_fields=True)
    return made, context, hints.get("return", Any)


def builtins(what: str, value: Any) -> Any:
    """A value as JSON values. Raises TypeError, which says of ``what`` that it is none and why."""
    try:
        return msgspec.to_builtins(value)
    except TypeError as fault:
        hint = "; was `await` left out?" if inspect.iscoroutine(value) or "type coroutine " in str(fault) else ""
        raise TypeError(f"{what} cannot be kept as JSON: {fault}{hint}") from fault


def readable(what: str, kind: Any) -> None:
    """Raise TypeError for a type that JSON cannot be read as, and so cannot be told to a model."""
    try:
        msgspec.json.schema(kind)
    except TypeError as fault:
        named = getattr(kind, "__name__", str(kind))
        raise TypeError(
            f"{what} is of a type that JSON cannot be read as: {named}; take str, int, list, a dataclass or a msgspec.Struct, for instance"
        ) from fault


def schema_of(arguments: type[Struct]) -> dict[str, Any]:
    """The JSON Schema of the arguments, with the object itself at the top, where vendors expect it."""
    (top,), others = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    name = top["$ref"].rpartition("/")[2]
    found = {key: value for key, value in others.pop(name).items() if key != "title"}
    return found | ({"$defs": others} if others else {})
