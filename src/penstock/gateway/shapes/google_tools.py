"""Tools as Gemini declares and chooses them, to and from the normal form (https://ai.google.dev/api/caching#Tool)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from penstock.gateway.shapes import google_json as g
from penstock.gateway.shapes.expressible import Audit
from penstock.gateway.shapes.google_schema import to_json_schema
from penstock.gateway.shapes.reader import Reader
from penstock.kernel import messages as m

NAME = "google.generate"
_DECLARED = "functionDeclarations"
_CALLING = "functionCallingConfig"


def read_tools(given: list[Reader], dropped: list[str]) -> list[m.Tool | m.OpaqueTool]:
    """Every declared function by itself, and every tool that Google runs; ``dropped`` is told what was left out."""
    tools: list[m.Tool | m.OpaqueTool] = []
    for one in given:
        tools += [_function(declared, dropped) for declared in g.messages(one, _DECLARED)]
        tools += [m.OpaqueTool(NAME, kind, Raw(msgspec.json.encode({kind: raw}))) for kind, raw in one.rest().items()]
    return tools


def _function(r: Reader, dropped: list[str]) -> m.Tool:
    schema, own = r.raw("parametersJsonSchema"), r.raw("parameters")
    if schema is None and own is not None:
        schema = to_json_schema(own)
    for told in ("response", "responseJsonSchema"):
        # What the function gives back is shown by its results; the SDK tells it ahead of every function that it calls itself.
        if r.raw(told) is not None and f"tools.{told}" not in dropped:
            dropped.append(f"tools.{told}")
    return m.Tool(r.need("name"), r.text("description"), schema, extra=r.rest())


def read_choice(r: Reader | None) -> tuple[m.ToolChoice | None, bool]:
    """Which tools may be called, and whether calls must fit their schemas."""
    config = g.message(r, _CALLING) if r is not None else None
    left = r.rest() if r is not None else {}
    if config is None:
        return (m.OpaqueChoice(NAME, Raw(msgspec.json.encode(left))), False) if left else (None, False)
    mode = config.text("mode") or "AUTO"
    names = g.texts(config, "allowedFunctionNames")
    unknown = config.rest()
    if left or unknown or mode not in ("AUTO", "MODE_UNSPECIFIED", "ANY", "NONE", "VALIDATED"):
        whole = {"mode": mode, **({"allowedFunctionNames": names} if names else {}), **unknown}
        return m.OpaqueChoice(NAME, Raw(msgspec.json.encode({_CALLING: whole, **left}))), False
    if mode == "NONE":
        return m.ChooseNone(), False
    if mode == "ANY":
        if len(names) == 1:
            return m.ChooseTool(names[0]), False
        return (m.ChooseAmong(names, required=True) if names else m.ChooseAny()), False
    return (m.ChooseAmong(names) if names else m.ChooseAuto()), mode == "VALIDATED"


def written_tools(request: m.Request, audit: Audit) -> list[dict[str, Any] | Raw]:
    """The tools of a request: all functions in one, whatever else by itself. Raises `NotExpressible`."""
    functions: list[dict[str, Any]] = []
    others: list[dict[str, Any] | Raw] = []
    for tool in request.tools:
        if isinstance(tool, m.OpaqueTool):
            audit.own(tool.shape, tool.kind, "tools")
            others.append(tool.raw)
            continue
        declared: dict[str, Any] = {"name": tool.name, **audit.extra(tool.extra, "tools")}
        if tool.description is not None:
            declared["description"] = tool.description
        if tool.schema is not None:
            declared["parametersJsonSchema"] = tool.schema
        functions.append(declared)
    return [*([{_DECLARED: functions}] if functions else ()), *others]


def written_choice(request: m.Request, audit: Audit) -> Any:
    """``toolConfig``, None where the default says the same. Raises `NotExpressible`."""
    choice = request.tool_choice
    strict = any(isinstance(tool, m.Tool) and tool.strict for tool in request.tools)
    config: dict[str, Any]
    match choice:
        case None | m.ChooseAuto():
            if not strict and choice is None:
                return None
            config = {"mode": "VALIDATED" if strict else "AUTO"}
        case m.ChooseNone():
            config = {"mode": "NONE"}
        case m.ChooseAny():
            config = {"mode": "ANY"}
        case m.ChooseTool():
            config = {"mode": "ANY", "allowedFunctionNames": [choice.name]}
        case m.ChooseAmong():
            # Names may be given with a mode that enforces schemas only; without `required`, VALIDATED is the one that forces no call.
            config = {"mode": "ANY" if choice.required else "VALIDATED", "allowedFunctionNames": list(choice.names)}
        case m.OpaqueChoice():
            audit.own(choice.shape, "tool_choice", "tool_choice")
            return choice.raw
    return {_CALLING: config}
