r"""Templates: text in which ``{{name}}`` stands for a variable, and nothing else means anything.

There are no expressions, loops or attributes, so a template can do nothing but repeat what it is given; and what it is given is put in once
and never looked at again, so a value that reads ``{{other}}`` stays those letters. ``\{{`` is a plain ``{{``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from penstock.kernel.errors import BodyTooLarge, RequestError
from penstock.registry.prompts.model import Message, Role, Variable

LARGEST = 1_048_576
"""Characters of a rendered prompt at most."""
_MARK = re.compile(r"\\\{\{|\{\{[ \t]{0,8}([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]{0,8}\}\}|\{\{")
_WORDS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
    "json": "a JSON value",
}
Pieces = tuple[tuple[str, str | None], ...]
"""Literal text, each piece followed by the variable of that name, or by nothing."""


class Template:
    """Messages and their variables, read once. Raises `RequestError` naming what is wrong with them."""

    def __init__(self, messages: Sequence[Message], variables: Mapping[str, Variable]) -> None:
        self._messages: tuple[tuple[Role, Pieces], ...] = tuple(
            (message.role, _pieces(message.content, f"messages[{number}]")) for number, message in enumerate(messages)
        )
        self._variables = dict(variables)
        self._check(messages)

    def render(self, values: Mapping[str, Any]) -> tuple[Message, ...]:
        """The messages with their variables put in.

        Raises `RequestError` (``prompt_variable_invalid``) naming the variable and what was expected of it, for one that is missing,
        unknown or not of its type, and `BodyTooLarge` when there is too much of it.
        """
        unknown = sorted(values.keys() - self._variables.keys())
        if unknown:
            there = ", ".join(sorted(self._variables)) or "none"
            raise _wrong(unknown[0][:64], f"is not a variable of this prompt; there are {there}")
        texts = {name: _given(name, variable, values) for name, variable in self._variables.items()}
        size = sum(len(text) + len(texts[name] if name else "") for _, pieces in self._messages for text, name in pieces)
        if size > LARGEST:
            raise BodyTooLarge(f"the rendered prompt has {size} characters, over {LARGEST}", param="prompt.variables")
        return tuple(
            Message(role, "".join(text + (texts[name] if name else "") for text, name in pieces)) for role, pieces in self._messages
        )

    def _check(self, messages: Sequence[Message]) -> None:
        if not any(message.content.strip() for message in messages):
            raise RequestError("messages: must not be blank", param="messages")
        spoken = False
        for number, message in enumerate(messages):
            if message.role == "system" and spoken:
                raise RequestError(f"messages[{number}]: system messages come before all others", param="messages")
            spoken = spoken or message.role != "system"
        used = {name for _, pieces in self._messages for _, name in pieces if name}
        for name in sorted(used - self._variables.keys()):
            raise RequestError(f"variables: the template uses {{{{{name}}}}}, which is not declared", param="variables")
        for name in sorted(self._variables.keys() - used):
            raise RequestError(f"variables.{name}: is declared, and the template does not use it", param="variables")
        for name, variable in self._variables.items():
            _declared(name, variable)


def _pieces(text: str, where: str) -> Pieces:
    found: list[tuple[str, str | None]] = []
    literal, at = "", 0
    for mark in _MARK.finditer(text):
        literal += text[at : mark.start()]
        at = mark.end()
        if mark[1] is not None:
            found.append((literal, mark[1]))
            literal = ""
        elif mark[0] == r"\{{":
            literal += "{{"
        else:
            line = text.count("\n", 0, mark.start()) + 1
            raise RequestError(
                f"{where}: line {line}: {{{{ must begin {{{{name}}}}; a template has variables only, and \\{{{{ is a plain {{{{",
                param="messages",
            )
    return (*found, (literal + text[at:], None))


def _declared(name: str, variable: Variable) -> None:
    """Raises `RequestError` for a declaration that contradicts itself."""
    if variable.max_length is not None and variable.type not in ("string", "list", "json"):
        raise RequestError(f"variables.{name}.max_length: only strings, lists and JSON have a length", param="variables")
    if variable.enum and variable.type in ("list", "json"):
        raise RequestError(f"variables.{name}.enum: not for {variable.type}", param="variables")
    for value in (*variable.enum, *(() if variable.default is None else (variable.default,))):
        try:
            _text(name, msgspec.structs.replace(variable, enum=variable.enum if value is variable.default else ()), value)
        except RequestError as fault:
            raise RequestError(f"its own default or enum does not fit: {fault.message}", param="variables") from fault


def _given(name: str, variable: Variable, values: Mapping[str, Any]) -> str:
    if name in values:
        return _text(name, variable, values[name])
    if variable.default is not None:
        return _text(name, variable, variable.default)
    if variable.required:
        raise _wrong(name, f"is missing; {_WORDS[variable.type]} was expected")
    return ""


def _text(name: str, variable: Variable, value: Any) -> str:
    """How a value reads in the text. Raises `RequestError` for one that does not fit."""
    kind = variable.type
    fits = (
        isinstance(value, str)
        if kind == "string"
        else isinstance(value, bool)
        if kind == "boolean"
        else isinstance(value, int) and not isinstance(value, bool)
        if kind == "integer"
        else isinstance(value, int | float) and not isinstance(value, bool)
        if kind == "number"
        else isinstance(value, list)
        if kind == "list"
        else True
    )
    if not fits:
        raise _wrong(name, f"must be {_WORDS[kind]}, not {_kind_of(value)}")
    text = value if isinstance(value, str) and kind == "string" else msgspec.json.encode(value).decode()
    if variable.enum and value not in variable.enum:
        raise _wrong(name, f"must be one of {', '.join(map(_shown, variable.enum[:20]))}")
    if variable.max_length is not None:
        length, unit = (len(cast("list[Any]", value)), "items") if kind == "list" else (len(text), "characters")
        if length > variable.max_length:
            raise _wrong(name, f"has {length} {unit}, over {variable.max_length}")
    return text


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()[:60]


def _kind_of(value: Any) -> str:
    kinds = ((bool, "true or false"), (str, "a string"), (int, "an integer"), (float, "a number"), (list, "a list"), (dict, "an object"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "null")


def _wrong(name: str, what: str) -> RequestError:
    return RequestError(f"the variable {name!r} {what}", code="prompt_variable_invalid", param=f"prompt.variables.{name}")
