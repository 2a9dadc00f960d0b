"""A model asked for a response in the background: over the line, its events told as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import msgspec
from msgspec import Raw, Struct

from penstock.kernel.errors import PenstockError
from penstock.kernel.pace import again
from penstock.kernel.ports import Holders, ModelAnswer, ModelAsk, ModelClient, ModelStreams
from penstock.responses.job import Job
from penstock.responses.telling import Cut, Telling

PATH = "/v1/responses"
_BEGINS = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class Fault(Struct, frozen=True):
    """Why there is no answer: a stable code, words, and the seconds after which asking again makes sense, None where it does not."""

    code: str
    message: str
    again: float | None = None


class Context(Protocol):
    """Gives what a response follows."""

    async def before(self, reach: str | None, previous: str | None, conversation: str | None, model: str) -> Sequence[Raw]: ...


class Asking:
    """Asks models for jobs. The ports are asked for at the first job, since other rooms provide them."""

    def __init__(
        self, client: Callable[[], ModelClient], streams: Callable[[], ModelStreams], holders: Callable[[], Holders], context: Context
    ) -> None:
        self._client = client
        self._streams = streams
        self._holders = holders
        self._context = context

    async def ask(self, job: Job, cut: Cut, telling: Telling) -> dict[str, Any] | Fault:
        """The response of a model, or why there is none. What of it is streamed is told meanwhile."""
        try:
            ask = await self._ask(job)
        except PenstockError as fault:
            return Fault(fault.code, fault.message, fault.retry_after)
        if not job.stream:
            answer = await self._client().call(ask)
            if answer.error is None and 200 <= answer.status < 300:
                return _object(answer.body) or Fault("bad_reply", "the model's reply is no response", 1.0)
            return _fault(answer)
        hearing = _Hearing(job, cut, telling)
        answer = await self._streams().hear(ask, hearing.heard)
        if hearing.ended is not None:
            return hearing.ended
        if answer.error is None and 200 <= answer.status < 300:
            return _object(answer.body) or Fault("bad_reply", "the stream of the model's reply has no end", 1.0)
        return _fault(answer)

    async def _ask(self, job: Job) -> ModelAsk:
        # Looked up each time, so that a key that was revoked asks nothing more, and limits are those of now.
        principal = self._holders().holder_of(job.key_id)
        what = job.what()
        fields = dict(what.fields)
        before = await self._context.before(job.organisation, job.previous, job.conversation, job.model)
        if before:
            own = msgspec.json.decode(fields["input"])
            fields["input"] = Raw(msgspec.json.encode([*before, *([{"role": "user", "content": own}] if isinstance(own, str) else own)]))
        fields["store"] = Raw(b"false")
        fields["stream"] = Raw(b"true" if job.stream else b"false")
        return ModelAsk(
            path=PATH,
            body=msgspec.json.encode(fields),
            principal=principal,
            priority=what.priority,
            task=what.task,
            labels={**what.labels, "response": job.id},
            passed=what.passed,
        )


class _Hearing:
    """A provider's events on their way into ours: with our numbers and ids, behind what a process that died had told before."""

    def __init__(self, job: Job, cut: Cut, telling: Telling) -> None:
        self._job = job
        self._cut = cut
        self._telling = telling
        self._rest = b""
        self._renamed: dict[str, str] = {}
        self.ended: dict[str, Any] | Fault | None = None

    async def heard(self, chunk: bytes) -> None:
        """Take the next piece of the stream."""
        # With what is left of the last piece: the two characters of an end of line may come apart.
        *events, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in events:
            data = b"\n".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
            value = _object(data)
            if value is not None:
                self._take(str(value.get("type")), value)

    def _take(self, kind: str, event: dict[str, Any]) -> None:
        if kind in _BEGINS:
            return
        if kind in _ENDS:
            told = _within(event, "response")
            output = told.get("output")
            for item in cast("list[Any]", output) if isinstance(output, list) else ():
                self._rename(item)
            self.ended = _failed(told) if kind == "response.failed" else told
            return
        if kind == "error":
            told = _within(event, "error") or event
            self.ended = Fault(str(told.get("code") or "server_error"), str(told.get("message") or "the provider's stream failed"), 1.0)
            return
        if isinstance(event.get("output_index"), int):
            event["output_index"] += self._cut.items
        if isinstance(event.get("item_id"), str):
            event["item_id"] = self._renamed.get(event["item_id"], event["item_id"])
        self._rename(event.get("item"))
        self._telling.say(kind, event)

    def _rename(self, given: Any) -> None:
        """Give an item whose id was told before another one: for a client that would be the same item."""
        item = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        id = item.get("id")
        if isinstance(id, str) and id in self._cut.ids:
            item["id"] = self._renamed[id] = f"{id}_{self._cut.next}"


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _within(value: dict[str, Any], name: str) -> dict[str, Any]:
    """The object under a name, an empty one where there is none."""
    found = value.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _failed(response: dict[str, Any]) -> Fault:
    told = _within(response, "error")
    code = str(told.get("code") or "server_error")
    return Fault(code, str(told.get("message") or "the provider failed"), 1.0 if code in ("server_error", "rate_limit_exceeded") else None)


def _fault(answer: ModelAnswer) -> Fault:
    retry, _ = again(answer)
    told = _within(_object(answer.body) or {}, "error")
    message = str(told.get("message") or f"the line answered {answer.status}")
    return Fault(answer.error or f"http_{answer.status}", message, (answer.retry_after or 0.0) if retry else None)


def failure(job: Job, fault: Fault) -> dict[str, Any]:
    """The response that says so."""
    return job.shell("failed", error={"code": fault.code, "message": fault.message}, completed_at=int(time.time()))
