"""The normal form: a conversation, its reply and the pieces of a streamed reply, apart from any vendor's wire shape.

It can say whatever two of the wire shapes can both say. What only one shape knows stays beside it as raw JSON (``extra``, `Opaque`,
`OpaqueTool`, `OpaqueChoice`) together with the name of that shape, so that it survives a trip back into the same shape and is named
when it meets another one. The form lives in memory; what is sent or kept is a wire shape.

::

    Request     messages of parts, tools, tool choice, format, sampling, reasoning, limits
    Completion  choices of parts, finish reason, usage
    Delta       one piece of a stream: Begin, then parts piece by piece, Finish, UsageDelta

JSON inside the form (schemas, unknown fields) is `msgspec.Raw`: bytes as somebody wrote them, never re-made.

Over 400 lines, since it is one vocabulary: short types that refer to each other.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw, Struct, field

from penstock.kernel.call import Usage

Extra = dict[str, Raw]
Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "stop_sequence", "length", "context", "tool_calls", "filter", "refusal", "pause"]
"""Why generation ended: by itself, at a stop sequence, at the output cap, at the context window's end, to have tools called, by a content
filter, by the model's refusal, or paused by the provider in a long turn."""


class Cache(Struct, frozen=True):
    """A hint that everything up to here is worth caching by the provider; ``ttl`` as the vendor writes it (``5m``, ``1h``)."""

    ttl: str | None = None


class Inline(Struct, frozen=True, tag="inline"):
    """Content carried in the message itself: a MIME type and base64."""

    media_type: str
    data: str


class Link(Struct, frozen=True, tag="link"):
    """Content that the provider fetches from a URL."""

    url: str


class Stored(Struct, frozen=True, tag="stored"):
    """Content that was uploaded to the provider before, by its file id there."""

    id: str


class Written(Struct, frozen=True, tag="written"):
    """A document that is plain text."""

    text: str


class Composed(Struct, frozen=True, tag="composed"):
    """A document made of parts."""

    parts: tuple[Text | Image, ...]


class Citation(Struct, frozen=True, kw_only=True):
    """Where a statement comes from. ``start`` and ``end`` are character offsets into the text that carries it.

    ``raw`` is the citation as the vendor ``shape`` wrote it, for what the other fields do not hold.
    """

    url: str | None = None
    title: str | None = None
    quote: str | None = None
    start: int | None = None
    end: int | None = None
    shape: str = ""
    raw: Raw | None = None


class Text(Struct, frozen=True, tag="text"):
    """Plain text."""

    text: str
    citations: tuple[Citation, ...] = ()
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict[str, Raw])


class Image(Struct, frozen=True, tag="image"):
    """A picture; ``detail`` is how closely the model shall look."""

    source: Inline | Link | Stored
    detail: str | None = None
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict[str, Raw])


class Audio(Struct, frozen=True, tag="audio"):
    """Sound, said by the user, or by the model: then with ``transcript``, to be referred to until ``expires_at`` (Unix seconds)."""

    source: Inline | Link | Stored
    transcript: str | None = None
    expires_at: int | None = None
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict[str, Raw])


class Video(Struct, frozen=True, tag="video"):
    """Moving pictures; as several engines take them in chat messages (``video_url``)."""

    source: Inline | Link | Stored
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict[str, Raw])


class File(Struct, frozen=True, tag="file"):
    """A document. ``context`` is what the model is told about it, ``cited`` whether replies shall cite it."""

    source: Inline | Link | Stored | Written | Composed
    name: str | None = None
    context: str | None = None
    cited: bool = False
    detail: str | None = None
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict[str, Raw])


class ToolCall(Struct, frozen=True, tag="tool_call"):
    """The model asks for a tool. ``arguments`` is JSON text as the model wrote it: possibly empty, possibly not valid.

    ``signature`` proves to the vendor whose model wrote the call what was thought before it; as in `Reasoning`.
    """

    id: str
    name: str
    arguments: str
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict[str, Raw])
    signature: str | None = None


class ToolResult(Struct, frozen=True, tag="tool_result"):
    """What a tool gave back for the call ``call_id``; ``failed`` when it reports an error."""

    call_id: str
    parts: tuple[Part, ...]
    failed: bool = False
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict[str, Raw])


class Reasoning(Struct, frozen=True, tag="reasoning"):
    """What the model thought, as far as its vendor shows it.

    ``summary`` holds summaries instead of, or beside, the ``text`` itself. ``signature`` proves the text to the vendor that wrote it and
    names that vendor (``anthropic:...``), ``encrypted`` carries thoughts that only that vendor can read, ``id`` names the item; all three
    are opaque and go back as they came.
    """

    text: str = ""
    summary: tuple[str, ...] = ()
    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None


class Refusal(Struct, frozen=True, tag="refusal"):
    """The model declines, in its own words."""

    text: str


class Opaque(Struct, frozen=True, tag="opaque"):
    """A part (or, where it stands alone in a message, a whole item) that only ``shape`` understands; ``kind`` is its type there."""

    shape: str
    kind: str
    raw: Raw


Part = Text | Image | Audio | Video | File | ToolCall | ToolResult | Reasoning | Refusal | Opaque


class Message(Struct, frozen=True):
    """One turn, or part of one. ``name`` tells speakers of one role apart.

    Tool results stand in messages of role ``tool``, right after the assistant's message that holds the calls. ``prefill`` marks a
    last message of the assistant that the model shall continue instead of answering it.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    prefill: bool = False
    extra: Extra = field(default_factory=dict[str, Raw])


class Tool(Struct, frozen=True, tag="function"):
    """A function that the model may call; ``schema`` is the JSON Schema of its arguments (None: it takes none)."""

    name: str
    description: str | None = None
    schema: Raw | None = None
    strict: bool | None = None
    cache: Cache | None = None
    extra: Extra = field(default_factory=dict[str, Raw])


class OpaqueTool(Struct, frozen=True, tag="opaque"):
    """A tool that only ``shape`` understands, such as one that the vendor runs itself."""

    shape: str
    kind: str
    raw: Raw


class ChooseAuto(Struct, frozen=True, tag="auto"):
    """The model decides whether to call tools."""


class ChooseNone(Struct, frozen=True, tag="none"):
    """No tool may be called."""


class ChooseAny(Struct, frozen=True, tag="any"):
    """Some tool must be called."""


class ChooseTool(Struct, frozen=True, tag="tool"):
    """This tool must be called."""

    name: str


class ChooseAmong(Struct, frozen=True, tag="among"):
    """Only these tools may be called; one of them must be when ``required``."""

    names: tuple[str, ...]
    required: bool = False


class OpaqueChoice(Struct, frozen=True, tag="opaque"):
    """A choice that only ``shape`` understands."""

    shape: str
    raw: Raw


ToolChoice = ChooseAuto | ChooseNone | ChooseAny | ChooseTool | ChooseAmong | OpaqueChoice


class TextFormat(Struct, frozen=True, tag="text"):
    """The reply is free text."""


class JsonFormat(Struct, frozen=True, tag="json"):
    """The reply is some JSON object."""


class SchemaFormat(Struct, frozen=True, tag="schema"):
    """The reply is JSON that fits ``schema``; ``strict`` asks the provider to enforce it."""

    schema: Raw
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Sampling(Struct, frozen=True, kw_only=True):
    """How the next token is drawn; None leaves it to the provider. ``logit_bias`` maps token ids to a bias."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Raw | None = None


class ReasoningWish(Struct, frozen=True, kw_only=True):
    """How much the model shall think before it answers.

    ``effort`` is a word (none, minimal, low, medium, high, xhigh, max), ``budget`` a number of tokens; ``on`` is False when thinking
    shall be off and True when it shall be on without a figure. ``show`` says whether thoughts come back: ``omitted``, ``summarized``,
    or a vendor's own word.
    """

    effort: str | None = None
    budget: int | None = None
    on: bool | None = None
    show: str | None = None
    extra: Extra = field(default_factory=dict[str, Raw])


class Request(Struct, frozen=True, kw_only=True):
    """A conversation to be continued.

    ``shape`` is the wire shape it came in and to which its ``extra`` belongs. ``user`` is an opaque id of the end user, ``cache`` asks
    for caching of the whole prompt, ``cache_key`` groups prompts that share a prefix. ``n`` is the number of replies wanted.
    ``dropped`` is filled by the encoder with the names of fields that were left out because nothing that was asked for depends on them.
    """

    shape: str
    messages: tuple[Message, ...]
    tools: tuple[Tool | OpaqueTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    format: TextFormat | JsonFormat | SchemaFormat | None = None
    verbosity: str | None = None
    sampling: Sampling = Sampling()
    reasoning: ReasoningWish | None = None
    max_output: int | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    metadata: Raw | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    cache: Cache | None = None
    cache_key: str | None = None
    stream: bool = False
    include_usage: bool = False
    extra: Extra = field(default_factory=dict[str, Raw])
    dropped: list[str] = field(default_factory=list[str])


class Choice(Struct, frozen=True, kw_only=True):
    """One reply. ``stop_sequence`` is the one that was met, ``refusal`` the provider's explanation of a refusal by policy.

    ``logprobs`` are as OpenAI chat writes them.
    """

    parts: tuple[Part, ...]
    finish: FinishReason | None
    index: int = 0
    stop_sequence: str | None = None
    logprobs: Raw | None = None


class Completion(Struct, frozen=True, kw_only=True):
    """A whole reply. ``created`` is in Unix seconds. ``id`` and ``model`` are the provider's."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    created: int | None = None
    service_tier: str | None = None
    fingerprint: str | None = None


class Begin(Struct, frozen=True, tag="begin"):
    """A stream began. ``usage`` holds the input's tokens where the provider tells them first."""

    id: str
    model: str
    created: int | None = None
    usage: Usage | None = None


class TextDelta(Struct, frozen=True, tag="text"):
    """More text."""

    text: str
    choice: int = 0


class RefusalDelta(Struct, frozen=True, tag="refusal"):
    """More of a refusal."""

    text: str
    choice: int = 0


class ReasoningDelta(Struct, frozen=True, tag="reasoning"):
    """More of the thoughts, or of a summary of them."""

    text: str
    summary: bool = False
    choice: int = 0


class SealDelta(Struct, frozen=True, tag="seal"):
    """The signature or the encrypted form of the thoughts so far, or of thoughts that are not shown; whole, not in pieces."""

    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None
    choice: int = 0


class CitationDelta(Struct, frozen=True, tag="citation"):
    """A citation for the text so far."""

    citation: Citation
    choice: int = 0


class ToolBegin(Struct, frozen=True, tag="tool_begin"):
    """A tool call begins; ``index`` counts the calls of one choice and ties its arguments to it. ``signature`` as in `ToolCall`."""

    index: int
    id: str
    name: str
    choice: int = 0
    signature: str | None = None


class ArgumentsDelta(Struct, frozen=True, tag="arguments"):
    """More of the JSON text of a call's arguments."""

    index: int
    text: str
    choice: int = 0


class PartEnd(Struct, frozen=True, tag="part_end"):
    """The part that the last delta belonged to is complete."""

    choice: int = 0


class Finish(Struct, frozen=True, tag="finish"):
    """A choice is complete."""

    reason: FinishReason
    stop_sequence: str | None = None
    choice: int = 0


class UsageDelta(Struct, frozen=True, tag="usage"):
    """The usage of the whole call so far; later ones replace earlier ones."""

    usage: Usage


Delta = (
    Begin
    | TextDelta
    | RefusalDelta
    | ReasoningDelta
    | SealDelta
    | CitationDelta
    | ToolBegin
    | ArgumentsDelta
    | PartEnd
    | Finish
    | UsageDelta
)


def plain_text(parts: tuple[Part, ...]) -> str:
    """The text of ``parts`` strung together, without anything else that they hold."""
    return "".join(part.text for part in parts if isinstance(part, Text))


def arguments_object(arguments: str) -> Raw:
    """The arguments of a call as a JSON object.

    Empty text is the empty object. Text that is no JSON object (a model's slip, or a call cut off by the output cap) is kept whole
    under the key ``INVALID_JSON``, the convention of Anthropic's documentation of fine-grained tool streaming.
    """
    if not arguments.strip():
        return Raw(b"{}")
    try:
        _OBJECT.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return Raw(msgspec.json.encode({"INVALID_JSON": arguments}))
    return Raw(arguments.strip().encode())


_OBJECT = msgspec.json.Decoder(dict[str, Raw])
