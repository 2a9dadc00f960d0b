"""How the journal writes values: JSON, and nothing else in either direction."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from dbos import Serializer
from dbos._serialization import DefaultSerializer

from penstock.kernel.errors import PenstockError, StepFailed
from penstock.logs import redact

FORMAT = "penstock_json"
_FAULT = "$fault"


class Json(Serializer):
    """Values and exceptions as JSON. An exception comes back as `StepFailed`, whatever it was."""

    def name(self) -> str:
        """What stands beside each value in the database, so that a reader knows how it was written."""
        return FORMAT

    def serialize(self, data: Any) -> str:
        """Raises TypeError for what JSON cannot hold; the message names the type, not the value."""
        if isinstance(data, BaseException):
            data = {_FAULT: describe(data)}
        try:
            return msgspec.json.encode(data).decode()
        except (TypeError, OverflowError, RecursionError, UnicodeEncodeError) as fault:
            raise TypeError(f"a journalled value must be JSON: {fault}") from fault

    def deserialize(self, serialized_data: str) -> Any:
        """The value, or the `StepFailed` that an exception has become."""
        value: Any = msgspec.json.decode(serialized_data)
        if isinstance(value, dict) and _FAULT in value:
            return failure(cast("dict[str, Any]", value[_FAULT]))
        return cast("Any", value)


def describe(fault: BaseException) -> dict[str, Any]:
    """What is kept of an exception: type, message without secrets, stable code."""
    if isinstance(fault, StepFailed):
        return {"kind": fault.kind, "message": fault.message, "code": fault.step_code}
    code = fault.code if isinstance(fault, PenstockError) else None
    try:
        said = str(fault)
    except Exception:  # somebody's broken __str__ must not keep a failure from being journalled
        said = ""
    # Half of a character, as names of files that are no UTF-8 have it, can be raised and not be written.
    said = redact(said or type(fault).__name__).encode(errors="backslashreplace").decode()
    return {"kind": type(fault).__name__, "message": said, "code": code}


def failure(told: dict[str, Any]) -> StepFailed:
    """The exception that such a description stands for."""
    return StepFailed(str(told.get("message")), kind=str(told.get("kind")), step_code=told.get("code"))


def refuse_pickle() -> None:
    """Close DBOS's default way of writing and reading values, which is pickle: reading a planted row would run its code."""

    def refuse(*_: Any) -> Any:
        raise TypeError("the journal neither writes nor reads pickle")

    DefaultSerializer.serialize = refuse  # type: ignore[method-assign]
    DefaultSerializer.deserialize = refuse  # type: ignore[method-assign]
