"""JSON-RPC as MCP speaks it over HTTP: one message a request, the versions, and the checks that the newest of them asks for.

From 2026-07-28 on each request carries its version and the client's capabilities; before, an ``initialize`` came first. No state is kept
in either case.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct

from penstock.kernel.errors import PenstockError
from penstock.kernel.vendor import Asked

MODERN = ("2026-07-28",)
OLDER = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Versions with a handshake, the newest first."""
ASSUMED = "2025-03-26"
"""What a request without a version speaks, as the specification says."""

PARSE, REQUEST, METHOD, PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
HEADER, CAPABILITY, VERSION = -32020, -32021, -32022
OURS = -32000
"""What the line or a run refuses; ``data.code`` is the stable code."""
STATUS = {PARSE: 400, REQUEST: 400, PARAMS: 400, HEADER: 400, CAPABILITY: 400, VERSION: 400, METHOD: 404}

META = "io.modelcontextprotocol/"
NAMED = {"tools/call": "name"}
"""Parameters that ``Mcp-Name`` repeats, by method."""
LONGEST_ID = 200


class Fault(Exception):
    """An error of JSON-RPC."""

    def __init__(self, code: int, message: str, data: Any = None, *, id: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.id = id


class Request(Struct, frozen=True, kw_only=True):
    """A message: a notification where ``id`` is None. ``modern``: it speaks of itself, as versions since 2026-07-28 do."""

    id: str | int | None
    method: str
    params: dict[str, Any]
    version: str
    modern: bool

    @property
    def meta(self) -> Mapping[str, Any]:
        """What stands beside the parameters."""
        return _object(self.params.get("_meta"))

    def capability(self, *path: str) -> bool:
        """Whether the client says of itself that it can do this; only since it says so with each request."""
        found: Any = self.meta.get(META + "clientCapabilities")
        for name in path:
            found = _object(found).get(name)
        return found is not None

    @property
    def progress(self) -> str | int | None:
        """The token under which the client wants to be told how it goes."""
        token = self.meta.get("progressToken")
        return token if isinstance(token, str | int) and not isinstance(token, bool) else None

    def text(self, name: str, *, longest: int = 400) -> str:
        """A parameter that must be there. Raises `Fault`."""
        value = self.params.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= longest:
            raise Fault(PARAMS, f"params.{name} must be text of 1 to {longest} characters", id=self.id)
        return value


def read(asked: Asked, body: bytes) -> Request:
    """The message of a request. Raises `Fault`."""
    try:
        message: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Fault(PARSE, "the body is not valid JSON") from None
    if not isinstance(message, dict):
        raise Fault(REQUEST, "the body must be one JSON-RPC message; batches are not taken")
    given = cast("dict[str, Any]", message)
    id = given.get("id")
    if "id" in given and (isinstance(id, bool) or not isinstance(id, str | int) or len(str(id)) > LONGEST_ID):
        raise Fault(REQUEST, "id must be text or a whole number")
    method, params = given.get("method"), given.get("params")
    if given.get("jsonrpc") != "2.0" or not isinstance(method, str) or not method:
        raise Fault(REQUEST, "the message needs jsonrpc '2.0' and a method", id=id)
    if params is not None and not isinstance(params, dict):
        raise Fault(PARAMS, "params must be an object", id=id)
    named = cast("dict[str, Any]", params or {})
    version = asked.header("mcp-protocol-version")
    modern = version in MODERN or META + "protocolVersion" in _object(named.get("_meta")) or method == "server/discover"
    if modern and "id" in given:
        version = _envelope(asked, method, named, version, id)
    elif version is not None and version not in (*MODERN, *OLDER):
        raise Fault(VERSION, "this version is not spoken here", {"supported": [*MODERN, *OLDER], "requested": version[:100]}, id=id)
    return Request(id=id, method=method[:200], params=named, version=version or ASSUMED, modern=modern)


def _envelope(asked: Asked, method: str, params: dict[str, Any], header: str | None, id: Any) -> str:
    meta = params.get("_meta")
    missing = [META + name for name in ("protocolVersion", "clientCapabilities") if META + name not in _object(meta)]
    if missing:
        raise Fault(PARAMS, f"params._meta lacks {', '.join(missing)}", id=id)
    version = _object(meta)[META + "protocolVersion"]
    if header is None or header != version:
        raise Fault(HEADER, "the header MCP-Protocol-Version is not the version of the request", id=id)
    if asked.header("mcp-method") != method:
        raise Fault(HEADER, "the header Mcp-Method is not the method of the request", id=id)
    named = NAMED.get(method)
    if named is not None and params.get(named) is not None and _plain(asked.header("mcp-name")) != params[named]:
        raise Fault(HEADER, f"the header Mcp-Name is not params.{named}", id=id)
    if version not in MODERN:
        raise Fault(VERSION, "this version is not spoken here", {"supported": [*MODERN, *OLDER], "requested": version}, id=id)
    return header


def _plain(value: str | None) -> str | None:
    """A header's value; one that a header cannot hold comes as Base64."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def result(id: Any, value: Mapping[str, Any]) -> dict[str, Any]:
    """A good answer."""
    return {"jsonrpc": "2.0", "id": id, "result": dict(value)}


def failure(fault: Fault) -> dict[str, Any]:
    """A bad one."""
    error: dict[str, Any] = {"code": fault.code, "message": fault.message}
    if fault.data is not None:
        error["data"] = fault.data
    return {"jsonrpc": "2.0", "id": fault.id, "error": error}


def of_house(fault: PenstockError, id: Any = None) -> Fault:
    """A refusal of the house as an error of JSON-RPC."""
    code = PARAMS if 400 <= fault.status < 500 and fault.status not in (401, 403, 409, 429) else OURS
    return Fault(INTERNAL if fault.status == 500 else code, fault.message, {"code": fault.code, "param": fault.param}, id=id)


__all__ = [
    "ASSUMED",
    "CAPABILITY",
    "HEADER",
    "METHOD",
    "MODERN",
    "OLDER",
    "PARAMS",
    "PARSE",
    "REQUEST",
    "STATUS",
    "VERSION",
    "Fault",
    "Request",
    "failure",
    "of_house",
    "read",
    "result",
]
