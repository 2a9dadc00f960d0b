"""What the demo's applications ask, in order: the same list on every run."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence

import msgspec

from penstock.demo.samples import CHATGPT, GPT4, MIXTRAL, Sample

CHAT = "openai.chat"
RESPONSES = "openai.responses"
MESSAGES = "anthropic.messages"
EMBEDDINGS = "openai.embeddings"
EMBEDDING_MODEL = "all-MiniLM-L6-v2"

TUTOR = "task:tutor.explain"
ANSWER = "task:support.answer"
CHECK = "task:finance.check"
RESILIENT = "assistant"
"""An alias whose first target is not there, so that the second answers."""
UNHURRIED = "gpt-4-live"
"""GPT-4 at its own speed whatever the demo's speed is: slow enough to be cancelled."""
ANSWERED_BY: Mapping[str, str] = {TUTOR: GPT4, ANSWER: CHATGPT, CHECK: MIXTRAL, RESILIENT: MIXTRAL, UNHURRIED: GPT4}
"""Which model answers under which name."""

CAP = 1024
"""Output cap that callers name where their API, or their budget, wants one."""
SANDBOX_CALLS = 16
BURST_CALLS = 8
BURST_LIMIT = 5


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One call as its application makes it.

    ``key`` is the name of a key of the organisation, or ``""`` (none) or ``"forged"``. ``status`` and ``code`` say what must come back;
    ``code`` is the error's: ``""`` for a reply, ``"*"`` for any. ``cancel`` leaves the stream after its first text. ``group`` ties calls
    together that share a limit and so are made one by one; what comes back then depends on the limit, and ``status`` is 0.
    """

    number: int
    key: str
    shape: str
    model: str
    text: str
    sample: Sample | None = None
    stream: bool = False
    max_tokens: int | None = None
    status: int = 200
    code: str = ""
    cancel: bool = False
    group: str = ""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    @property
    def trace_id(self) -> str:
        """The trace that the caller is in: always the same for the same call of the plan."""
        return hashlib.sha256(f"penstock demo {self.number} {self.text}".encode()).hexdigest()[:32]

    @property
    def traceparent(self) -> str:
        """The W3C header that carries it."""
        return f"00-{self.trace_id}-{self.trace_id[:16]}-01"


def plan(samples: Mapping[str, Sequence[Sample]], *, embeddings: bool) -> list[Ask]:
    """Every sample once, in three shapes, whole and streamed, with mishaps between; shuffled, but the same on every run."""
    asks: list[Ask] = []

    def add(**values: object) -> None:
        asks.append(msgspec.convert({"number": 0, **values}, Ask))

    for index, sample in enumerate(samples[GPT4]):
        shape = (CHAT, MESSAGES, CHAT, RESPONSES)[index % 4]
        model = TUTOR if index % 3 else GPT4
        asks.append(_told("learning-app", shape, model, sample, stream=index // 4 % 2 == 1, labels={"lesson": f"unit-{index % 7}"}))
    for index, sample in enumerate(samples[MIXTRAL]):
        shape = (CHAT, CHAT, MESSAGES)[index % 3]
        model = (CHECK, MIXTRAL, CHECK, RESILIENT if index % 60 == 3 else CHECK)[index % 4]
        asks.append(_told("ledger-bot", shape, model, sample, stream=index % 5 == 0, labels={"run": f"night-{index // 100}"}))
    for index, sample in enumerate(samples[CHATGPT]):
        shape = (CHAT, MESSAGES)[index % 2]
        asks.append(
            _told("helpdesk", shape, ANSWER, sample, stream=index % 3 != 0, labels={"channel": ("web", "mail", "phone")[index % 3]})
        )
    first = samples[GPT4][0]
    for index, sample in enumerate(samples[GPT4][:8]):
        asks.append(_told("mobile-app", CHAT if index % 2 else MESSAGES, UNHURRIED, sample, stream=True, cancel=True))
    for who, shape in (("forged", CHAT), ("forged", MESSAGES), ("", CHAT), ("", MESSAGES), ("forged", RESPONSES)):
        add(key=who, shape=shape, model=GPT4, text=first.question, status=401, code="*")
    for name in ("gpt-4-1106-previw", "claude-of-the-north", "task:support.anwser"):
        add(key="helpdesk", shape=CHAT, model=name, text=first.question, status=404, code="model_not_found")
    for index in range(3):
        add(
            key="learning-app",
            shape=CHAT,
            model=GPT4,
            text=f"What was never asked before, number {index}?",
            status=404,
            code="recording_miss",
        )
    for index in range(3):
        add(key="ledger-bot", shape=CHAT, model=GPT4, text=samples[GPT4][index].question, status=403, code="permission_denied")
    if embeddings:
        for sample in samples[CHATGPT][:40]:
            add(key="search-index", shape=EMBEDDINGS, model=EMBEDDING_MODEL, text=sample.question)
    random.Random("penstock demo").shuffle(asks)
    # Spread over the beginning, so that whoever watches sees the limits at work early.
    for index, sample in enumerate(samples[GPT4][:SANDBOX_CALLS]):
        asks.insert(30 + 12 * index, _told("sandbox", CHAT, GPT4, sample, max_tokens=CAP, status=0, group="budget"))
    for index, sample in enumerate(samples[MIXTRAL][:BURST_CALLS]):
        asks.insert(60 + 3 * index, _told("trial", CHAT, MIXTRAL, sample, status=0, group="rate"))
    return [msgspec.structs.replace(ask, number=number) for number, ask in enumerate(asks)]


def _told(
    key: str,
    shape: str,
    model: str,
    sample: Sample,
    *,
    stream: bool = False,
    max_tokens: int | None = None,
    status: int = 200,
    cancel: bool = False,
    group: str = "",
    labels: Mapping[str, str] | None = None,
) -> Ask:
    if shape == MESSAGES:
        max_tokens = CAP  # that API demands one
    return Ask(
        number=0,
        key=key,
        shape=shape,
        model=model,
        text=sample.question,
        sample=sample,
        stream=stream,
        max_tokens=max_tokens,
        status=status,
        cancel=cancel,
        group=group,
        labels=labels or {},
    )
