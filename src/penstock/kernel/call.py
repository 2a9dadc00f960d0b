"""The call: who, what, until when, under which trace; and the reply that comes back.

Everything on the line receives the same mutable `Call` and adds what it knows: authentication the principal, admission the queue
time, the chooser the targets, the sender the attempts, the charge the cost. A reply is bytes in the shape that the client speaks,
whole or as a stream; nobody re-makes bytes that nobody needs to understand.

Over 400 lines, since what walks the line is one vocabulary and is read together.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from penstock.kernel.ids import new_id, new_span_id, new_trace

if TYPE_CHECKING:
    from penstock.kernel.choice import Choice
    from penstock.kernel.delegation import Handover
    from penstock.kernel.errors import PenstockError
    from penstock.kernel.principal import Principal

Headers = list[tuple[str, str]]


class Usage(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What one call used, as the provider counted it, or estimated by us when ``estimated`` is true.

    ``input`` counts all input tokens, with ``cached`` (read from the provider's prompt cache) and ``cache_written`` among them;
    ``output`` counts all output tokens with ``reasoning`` among them. ``audio_input`` and ``audio_output``, ``image_input`` and
    ``image_output`` are parts of both. What some vendors sell by other measures stands beside: ``images`` made, milliseconds of sound
    heard (``audio_ms``), ``characters`` spoken, ``searches`` (search units of a reranking).
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_written: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    estimated: bool = False
    image_input: int = 0
    image_output: int = 0
    images: int = 0
    audio_ms: int = 0
    characters: int = 0
    searches: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output


class Target(msgspec.Struct, frozen=True):
    """One place where the call can be served: a provider's name, the model as the provider calls it, and as we call it.

    Targets of equal ``rank`` stand in for each other and share calls by ``weight``; those of a higher rank are fallbacks.
    """

    provider: str
    model: str
    name: str
    rank: int = 0
    weight: float = 1.0


class Attempt(msgspec.Struct, kw_only=True):
    """One try at one target. Times are milliseconds since the call started; ``first_token_ms`` is the first body byte.

    ``status`` is the provider's HTTP status, None when none came. ``error`` is a code of the error tree, None on success. ``skipped`` says
    why the target was passed over (``circuit``, ``rate_limit``, ``capacity``); then nothing was sent. ``hedge`` marks a second attempt
    that was made because the first was slow.
    """

    provider: str
    model: str
    started_ms: float
    first_token_ms: float | None = None
    ended_ms: float | None = None
    status: int | None = None
    error: str | None = None
    message: str | None = None
    skipped: str | None = None
    hedge: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard said: ``allow``, ``flag``, ``redact``, ``block`` or ``not_scanned``; never silence."""

    guard: str
    verdict: str
    reason: str | None = None


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Money of one call in micro-units of ``currency``; ``priced`` is false when no price is known (then the amount is 0).

    ``full`` is what it would have cost in real time, where a vendor's batch did it for less."""

    amount: int
    currency: str = "USD"
    priced: bool = True
    full: int | None = None


class Recall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the reply of a call that no provider saw comes from; ``kind`` is ``exact`` or ``semantic``.

    ``call`` is the id of the call that ``provider`` answered with its ``model``, ``age`` the seconds since then. ``usage`` is what that
    reply had used, and ``saved`` what it would cost at today's prices, in micro-units; None where no price is known. ``similarity`` is the
    cosine between the two questions, for ``semantic`` ones.
    """

    kind: str
    call: str
    provider: str
    model: str
    age: int
    similarity: float | None = None
    usage: Usage | None = None
    saved: int | None = None


class Installment(msgspec.Struct, frozen=True, kw_only=True):
    """What one of several models that a call asked has used and cost, on the ledger already.

    ``attempts`` is how many attempts of the call there were by then.
    """

    target: Target
    usage: Usage
    cost: Cost
    attempts: int


class StageTime(msgspec.Struct, frozen=True):
    """Where time went on the way in: milliseconds since the call started at which a station was reached, and until the next one was.

    The last station's time runs to the end of the call, the way back included.
    """

    name: str
    started_ms: float
    took_ms: float


class Trace:
    """W3C trace context: the trace that the call belongs to, the caller's span, and our own span."""

    __slots__ = ("flags", "parent_id", "span_id", "state", "trace_id")

    def __init__(self, trace_id: str, span_id: str, parent_id: str | None, flags: str, state: str | None) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.flags = flags
        self.state = state

    @classmethod
    def begin(cls, traceparent: str | None = None, tracestate: str | None = None) -> Trace:
        """Continue the caller's trace, or start one when the header is absent or not valid (W3C: then it is ignored)."""
        if traceparent is not None and len(traceparent) >= 55:
            version, _, rest = traceparent.partition("-")
            fields = rest.split("-")
            if (
                len(version) == 2
                and version != "ff"
                and (len(fields) == 3 or version != "00")
                and len(fields) >= 3
                and _is_hex(version + fields[0] + fields[1] + fields[2])
                and len(fields[0]) == 32
                and len(fields[1]) == 16
                and len(fields[2]) == 2
                and fields[0] != "0" * 32
                and fields[1] != "0" * 16
            ):
                return cls(fields[0], new_span_id(), fields[1], fields[2], tracestate)
        return cls(*new_trace(), None, "01", None)

    def header(self) -> str:
        """The ``traceparent`` to send on, with our span as the parent."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


_HEX = frozenset("0123456789abcdef")


def _is_hex(text: str) -> bool:
    return _HEX.issuperset(text)


class Upload(Protocol):
    """A request that is sent on while it arrives. ``repeatable`` says whether it may still be sent again, from its beginning."""

    @property
    def repeatable(self) -> bool: ...


class Session(Protocol):
    """A conversation over a connection that stays open; the sender opens the provider's end of it."""

    @property
    def responses(self) -> int: ...


class Call:
    """One trip down the line. Created by the edge that parsed it, mutated by the stages, read by the record.

    ``operation`` is what is asked for (``chat``, ``embeddings``, ``transcription`` ...), ``shape`` the wire shape of the client
    (``openai.chat``, ``anthropic.messages``, ``cohere.rerank`` ...). ``body`` is the
    request as received and ``fields`` its top level, each value still raw JSON. ``model`` is the name as asked for, ``task`` the task when
    one was named. ``deadline`` is on the `time.monotonic` clock. ``labels`` are the caller's own words.
    ``priority`` is ``interactive`` or ``batch``; empty until admission where the caller named none.

    ``fault`` is what the edge found wrong with the request (not JSON, too large): the call walks the line all the same, so that it is
    authenticated and recorded, and admission raises the fault. ``input_estimate`` is the expected number of input tokens,
    ``max_output`` the caller's own cap on output tokens, and ``expected`` what the call may use at most where tokens of text are not the
    whole of it (None: the former two say it). ``want_usage`` says whether the client asked for usage in its stream.
    ``passthrough`` are request headers that providers of the same shape receive. ``outcome`` is ``pending`` until the record stage sets
    ``ok``, ``refused``, ``failed`` or ``cancelled``. ``reached`` says when each station was reached, on the clock of ``started``; see
    `stage_times`. ``reply_text`` holds the reply's bytes as far as the record keeps them; where ``keepsake`` is set, the record keeps what
    that gives instead, asked once the call is over (a digest, for what nobody could read). ``counted`` says that the record's summaries
    have the call already. ``form`` is the request where it came as a form with files, sent on while it arrives; then ``body`` and
    ``fields`` describe it, files by digest and size. ``step`` is the durable run, and the number of its step, from which the call was made.
    ``cache_wish`` is what the caller says about the cache (``off``, ``on``, ``refresh``; empty: nothing); ``recalled`` says where the reply
    comes from when no provider was asked for it.
    ``session`` is a conversation that the call opens; it is charged in ``parts``, as many as have been charged by now, while ``usage`` and
    ``cost`` are their sums. ``choice`` says why its models were chosen, where evidence chose. ``asks_all`` says that the targets may be
    asked one after the other, all of them paid, so that money is set aside for all; ``installments`` are those that are paid.
    ``handover`` is set on calls of batches that may go to a vendor's own, and on those that come back from it. ``prompt`` is the stored
    prompt that the call named, ``name@number``. ``inside`` says for what a room of ours makes the call (``evaluation``, ``judge``,
    ``shadow``; empty for callers' own), and ``trial`` that it may use models on their way to an approval; no request sets either.
    """

    __slots__ = (
        "_at_end",
        "asks_all",
        "attempts",
        "body",
        "cache_wish",
        "choice",
        "client",
        "cost",
        "counted",
        "credential",
        "deadline",
        "error",
        "expected",
        "fault",
        "fields",
        "first_token_ms",
        "form",
        "handover",
        "id",
        "input_estimate",
        "inside",
        "installments",
        "keepsake",
        "labels",
        "max_output",
        "model",
        "notes",
        "operation",
        "outcome",
        "parts",
        "passthrough",
        "principal",
        "priority",
        "prompt",
        "queued_ms",
        "reached",
        "recalled",
        "reply_status",
        "reply_text",
        "session",
        "shape",
        "started",
        "started_at",
        "step",
        "stream",
        "target",
        "targets",
        "task",
        "total_ms",
        "trace",
        "trial",
        "usage",
        "verdicts",
        "want_usage",
    )

    def __init__(
        self,
        *,
        operation: str,
        shape: str,
        credential: str | None,
        deadline: float,
        trace: Trace,
        body: bytes = b"",
        client: str = "",
    ) -> None:
        self.id = new_id("call")
        self.operation = operation
        self.shape = shape
        self.credential = credential
        self.deadline = deadline
        self.trace = trace
        self.body = body
        self.client = client
        self.started = time.perf_counter()
        self.started_at = time.time()
        self.fields: dict[str, msgspec.Raw] = {}
        self.model = ""
        self.task: str | None = None
        self.stream = False
        self.max_output: int | None = None
        self.expected: Usage | None = None
        self.input_estimate = 0
        self.priority = ""
        self.principal: Principal | None = None
        self.labels: Mapping[str, str] = {}
        self.passthrough: Headers = []
        self.targets: list[Target] = []
        self.target: Target | None = None
        self.attempts: list[Attempt] = []
        self.verdicts: list[Verdict] = []
        self.reached: list[tuple[str, float]] = []
        self.notes: list[str] = []
        self.queued_ms = 0.0
        self.first_token_ms: float | None = None
        self.total_ms = 0.0
        self.usage: Usage | None = None
        self.cost: Cost | None = None
        self.error: PenstockError | None = None
        self.outcome = "pending"
        self.reply_status = 0
        self.reply_text: list[bytes] = []
        self.fault: PenstockError | None = None
        self.want_usage = False
        self.counted = False
        self.keepsake: Callable[[], bytes] | None = None
        self.form: Upload | None = None
        self.step: tuple[str, int] | None = None
        self.cache_wish = ""
        self.recalled: Recall | None = None
        self.session: Session | None = None
        self.parts = 0
        self.handover: Handover | None = None
        self.prompt: str | None = None
        self.choice: Choice | None = None
        self.asks_all = False
        self.inside = ""
        self.trial = False
        self.installments: tuple[Installment, ...] = ()
        self._at_end: list[Callable[[Call], None]] = []

    def at_end(self, callback: Callable[[Call], None]) -> None:
        """Have ``callback`` called once when the call is over, however it ended; for giving back what admission took."""
        self._at_end.append(callback)

    def end(self) -> None:
        """Tell everyone who asked that the call is over. Whoever created the call does this last; a second time does nothing."""
        while self._at_end:
            self._at_end.pop()(self)

    def stage_times(self) -> list[StageTime]:
        """Where time went, station by station in the order of the line; only the stations that the call reached."""
        started, end = self.started, self.started + self.total_ms / 1e3
        moments = [*(at for _, at in self.reached), end][1:]
        return [
            StageTime(name, round((at - started) * 1e3, 3), max(0.0, round((after - at) * 1e3, 3)))
            for (name, at), after in zip(self.reached, moments, strict=True)
        ]

    def last_attempt(self) -> Attempt | None:
        """The last attempt for which something was sent, or begun to be sent."""
        return next((a for a in reversed(self.attempts) if a.skipped is None), None)

    def elapsed_ms(self) -> float:
        """Milliseconds since the call was received."""
        return (time.perf_counter() - self.started) * 1e3

    def remaining(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self.deadline - time.monotonic()

    def __repr__(self) -> str:
        # The credential and the body stay out: a repr ends up in logs.
        return f"<Call {self.id} {self.shape} model={self.model!r} outcome={self.outcome}>"


class Reply:
    """What goes back: bytes in the client's shape, whole (``body``) or as a stream (``chunks``); exactly one of them is set.

    A stage that must act when the stream ends wraps ``chunks``. The sender sets ``finished`` before it yields the bytes that tell
    the client that the reply is complete, so that a wrapper which acts on ``finished`` acts before the client can know.
    """

    __slots__ = ("body", "chunks", "finish_reason", "finished", "headers", "status")

    def __init__(
        self,
        *,
        status: int = 200,
        headers: Headers | None = None,
        body: bytes | None = None,
        chunks: AsyncIterator[bytes] | None = None,
    ) -> None:
        self.status = status
        self.headers: Headers = headers if headers is not None else []
        self.body = body
        self.chunks = chunks
        self.finished = body is not None
        self.finish_reason: str | None = None

    def __repr__(self) -> str:
        kind = "stream" if self.chunks is not None else f"{len(self.body or b'')} bytes"
        return f"<Reply {self.status} {kind}>"


JsonObject = dict[str, Any]
