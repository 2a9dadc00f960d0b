"""One line of a batch: asked until there is an answer that counts, and written as the batch's shape has it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import msgspec

from penstock.batches.lines import Asked, read_line
from penstock.batches.model import ANTHROPIC, Batch
from penstock.batches.results import Result
from penstock.kernel.delegation import Handed
from penstock.kernel.ids import new_id
from penstock.kernel.pace import LONGEST_PAUSE, Pace, again, rest
from penstock.kernel.ports import Holders, ModelAnswer, ModelAsk, ModelClient
from penstock.kernel.principal import Principal

FIRST_PAUSE = 0.5


class _Model(msgspec.Struct):
    model: str = ""


_model = msgspec.json.Decoder(_Model)


class Asking:
    """Asks lines for the batches of one process."""

    def __init__(self, client: ModelClient, holders: Holders, pace: Pace, tries: int) -> None:
        self._client = client
        self._holders = holders
        self._pace = pace
        self._tries = tries

    def principal(self, batch: Batch) -> Principal:
        """Who is behind a batch. Raises `Unauthenticated` when the key is gone."""
        return self._holders.holder_of(batch.key_id)

    async def ask(
        self, batch: Batch, number: int, line: bytes, calling: Callable[[bool], None], to: frozenset[str] = frozenset()
    ) -> Result | Handed:
        """The result of line ``number`` (from 0). ``calling`` is told when a call begins and when it is over.

        Of a line that leads to one of the providers ``to``, what is handed over to its batches instead.

        Raises `Unauthenticated` when the key behind the batch is gone.
        """
        asked = read_line(line)
        model = _name(asked)
        failures = refusals = 0
        while True:
            await self._pace.enter(batch.organisation, model, len(line))
            strained: str | None = None
            pause = 0.0
            try:
                # Looked up each time, so that a key that is revoked makes no more calls, and limits are those of now.
                principal = self._holders.holder_of(batch.key_id)
                left = batch.expires_at - time.time()
                calling(True)
                answer = await self._client.call(
                    ModelAsk(
                        path=batch.endpoint,
                        body=bytes(asked.body),
                        principal=principal,
                        seconds=max(0.001, left),
                        priority="batch",
                        labels={"batch": batch.id, "line": str(number + 1)},
                        to=to,
                    )
                )
                retry, refused = again(answer)
                if retry:
                    failures += not refused
                    refusals += refused
                    retry = failures < self._tries
                if retry:
                    pause = max(answer.retry_after or 0.0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures + refusals - 1, 10)))
                    strained = answer.error or str(answer.status) if refused or answer.status == 504 else None
            finally:
                calling(False)
                self._pace.leave(batch.organisation, model, len(line), strained=strained, pause=rest(strained, pause))
            if answer.handed is not None:
                return answer.handed
            if not retry:
                return result_of(batch, asked.custom_id, answer)
            # Spread, so that what was refused together does not come back together.
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))


def _name(asked: Asked) -> str:
    try:
        return _model.decode(asked.body).model
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""  # the line is refused for it in the API's own words


class _OpenAIResponse(msgspec.Struct):
    status_code: int
    request_id: str
    body: msgspec.Raw


class _OpenAIError(msgspec.Struct):
    code: str
    message: str


class _OpenAILine(msgspec.Struct):
    id: str
    custom_id: str
    response: _OpenAIResponse | None
    error: _OpenAIError | None


class _AnthropicLine(msgspec.Struct):
    custom_id: str
    result: dict[str, object]


_NO_BODY = b"null"


def result_of(batch: Batch, custom_id: str, answer: ModelAnswer) -> Result:
    """What the line's result is in the files that the vendor's SDK reads."""
    code = "" if 200 <= answer.status < 300 else (answer.error or f"http_{answer.status}")
    body = msgspec.Raw(answer.body or _NO_BODY)
    if batch.shape == ANTHROPIC:
        told: dict[str, object] = {"type": "errored", "error": body} if code else {"type": "succeeded", "message": body}
        made = msgspec.json.encode(_AnthropicLine(custom_id, told))
    else:
        made = msgspec.json.encode(_OpenAILine(new_id("batch_req"), custom_id, _OpenAIResponse(answer.status, answer.call, body), None))
    return Result(made, answer.cost or 0, code, answer.full)


MESSAGES = {
    "batch_expired": "This request could not be executed before the completion window expired.",
    "batch_cancelled": "This request was not executed, since the batch was cancelled.",
    "vendor_result_missing": "The provider's batch ended without a result for this request that could be read.",
    "vendor_batch_failed": "The provider did not take the batch that this request was handed to.",
    "vendor_unreachable": "The provider could not be asked for the result of this request any more.",
    "revoked_api_key": "This request was not executed, since the key of the batch may make no more calls.",
}


def without_answer(batch: Batch, line: bytes, code: str) -> bytes:
    """The result of a line that was not done, for one of the reasons in `MESSAGES`."""
    custom_id = read_line(line).custom_id
    if batch.shape != ANTHROPIC:
        return msgspec.json.encode(_OpenAILine(new_id("batch_req"), custom_id, None, _OpenAIError(code, MESSAGES[code])))
    if code not in ("batch_expired", "batch_cancelled"):
        kind = "authentication_error" if code == "revoked_api_key" else "api_error"
        error = {"type": "error", "error": {"type": kind, "message": MESSAGES[code]}, "request_id": None}
        return msgspec.json.encode(_AnthropicLine(custom_id, {"type": "errored", "error": error}))
    kind = "expired" if code == "batch_expired" else "canceled"
    return msgspec.json.encode(_AnthropicLine(custom_id, {"type": kind}))
