"""The ledger row: what a call cost, with everything needed to compute it again."""

from __future__ import annotations

import msgspec

from penstock.finops.money import UnitPrices
from penstock.kernel.call import Call, Usage

LABEL_BYTES = 2048
NAME_LENGTH = 200


class LedgerRow(msgspec.Struct, frozen=True, array_like=True):
    """One call's money. Journalled as a MessagePack array: fields are only ever added at the end, with a default.

    ``id`` is the call's, with a dot and a number behind it for each part of a session. ``at`` is Unix milliseconds, ``amount`` micro-units
    of ``currency``, ``prices`` the frozen unit prices (None: none was known). ``status`` is ``ok``, ``failed`` or ``cancelled``, or
    ``correction``: then ``corrects`` names the row that ``amount`` is added to, ``reason`` says why and ``by`` is the id of the key that
    asked. Owners are ids. ``run`` and ``step`` (its number, from 1) name the durable run from which the call was made: a step that is done
    again after a crash has rows of both times under the same name.
    """

    id: str
    at: int
    organisation: str | None
    team: str | None
    project: str | None
    person: str | None
    key_id: str | None
    task: str | None
    model: str
    provider: str | None
    provider_model: str | None
    operation: str
    usage: Usage
    prices: UnitPrices | None
    amount: int
    currency: str
    status: str
    trace_id: str
    labels: dict[str, str]
    corrects: str | None = None
    reason: str | None = None
    by: str | None = None
    run: str | None = None
    step: int | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LedgerRow)


def row_of(call: Call, usage: Usage, prices: UnitPrices | None, amount: int, status: str) -> LedgerRow:
    """The row of a call that is over, or is about to be."""
    who = call.principal
    target = call.target
    attempt = call.last_attempt() if target is None else None
    return LedgerRow(
        call.id,
        int(call.started_at * 1000),
        who.organisation if who else None,
        who.team if who else None,
        who.project if who else None,
        who.person if who else None,
        who.key_id if who else None,
        plain(call.task) if call.task is not None else None,
        plain(call.model[:NAME_LENGTH]),
        target.provider if target else (attempt.provider if attempt else None),
        plain((target.model if target else (attempt.model if attempt else ""))[:NAME_LENGTH]) or None,
        call.operation,
        usage,
        prices,
        amount,
        "USD",
        status,
        call.trace.trace_id,
        dict(call.labels),
        run=call.step[0] if call.step is not None else None,
        step=call.step[1] if call.step is not None else None,
    )


def encode(row: LedgerRow) -> bytes:
    """The row as the spool keeps it."""
    return _encoder.encode(row)


def decode(data: bytes) -> LedgerRow:
    """The row that `encode` wrote, by this version or an earlier one. Raises `msgspec.DecodeError`."""
    row = _decoder.decode(data)
    if "\0" in row.model or (row.task and "\0" in row.task) or (row.provider_model and "\0" in row.provider_model):
        # Journalled by a version that took names as they came; such a row must not keep those behind it from the database.
        names = {name: plain(text) for name in ("model", "task", "provider_model") if (text := getattr(row, name)) is not None}
        return msgspec.structs.replace(row, **names)
    return row


def plain(text: str) -> str:
    """The text as every database takes it: U+FFFD in the place of NUL and of half surrogates. Callers may name models as they like."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
