"""What is known about a kind of provider: the form in which `profiles` says it."""

from __future__ import annotations

import fnmatch
from typing import Any

import msgspec

CHAT = "openai.chat"
RESPONSES = "openai.responses"
COMPLETIONS = "openai.completions"
EMBEDDINGS = "openai.embeddings"
MODERATIONS = "openai.moderations"
JINA_RERANK = "jina.rerank"
COHERE_RERANK = "cohere.rerank"
TRANSCRIPTIONS = "openai.transcriptions"
TRANSLATIONS = "openai.translations"
SPEECH = "openai.speech"
IMAGES = "openai.images"
IMAGE_EDITS = "openai.image_edits"
IMAGE_VARIATIONS = "openai.image_variations"
MESSAGES = "anthropic.messages"
COUNT_TOKENS = "anthropic.count_tokens"
GENERATE = "google.generate"
GOOGLE_COUNT = "google.count_tokens"
EMBED = "google.embed"
BATCH_EMBED = "google.batch_embed"
CONVERSE = "bedrock.converse"
REALTIME = "openai.realtime"

KEY = "key"

OPENAI_PATHS = {CHAT: "/chat/completions", EMBEDDINGS: "/embeddings"}


CHAT_SHAPES = (CHAT, RESPONSES, MESSAGES, GENERATE)
ASKED_AS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*CHAT_SHAPES, COMPLETIONS), (CHAT, MESSAGES, GENERATE, CONVERSE)),
    JINA_RERANK: (COHERE_RERANK,),
    COHERE_RERANK: (JINA_RERANK,),
    **dict.fromkeys((EMBEDDINGS, EMBED, BATCH_EMBED), (EMBEDDINGS, BATCH_EMBED)),
    **dict.fromkeys((COUNT_TOKENS, GOOGLE_COUNT), (COUNT_TOKENS, GOOGLE_COUNT)),
}
"""For each shape of a client the shapes in which a provider that does not speak it may be asked, best first."""


class Reshape(msgspec.Struct, frozen=True, kw_only=True):
    """What differs in the body where a vendor's API is reached through another house: fields that it gets, and such that it may not
    have."""

    gets: dict[str, str]
    without: tuple[str, ...]

    def reshaped(self, body: bytes) -> bytes:
        """The body with its top level changed, all else the sender's own bytes."""
        fields: dict[str, Any] = _TOP.decode(body)
        for name in self.without:
            fields.pop(name, None)
        return msgspec.json.encode({**self.gets, **fields})


_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind of provider speaks and how it wants to be spoken to.

    ``paths`` maps each wire shape it speaks to a path below the base URL; ``{model}`` stands for the model's name. ``stream_paths`` are
    those for streams where they differ. ``auth`` is the header that carries the key and ``auth_prefix`` what stands before it.
    ``patterns`` are name patterns by which a bare model name is recognised as its own. ``key_env`` are the variables that its own SDK
    reads. ``stream_usage`` says whether it takes ``stream_options.include_usage``. ``max_tokens_field`` is the name it wants for the
    output cap, ``reasoning_field`` the field in which it takes back its own reasoning (None: it refuses one), ``sampling`` whether it
    takes temperature, top_p and top_k. ``only`` gives, for a shape that just some of its models take, the patterns of those; the others
    are reached through translation. ``thinking_levels`` are patterns of the models that are told in words how much to think;
    ``unsigned_call`` is what stands for a missing signature of a tool call with the models of ``signing``. ``prices_as`` is the name
    under which its prices are published (None: its own hardware or unknown). ``pass_headers`` are client headers that it understands.
    ``ways_in`` are the ways in which it lets us in: ``key``, ``aws``, ``google``, ``entra``. In ``base_url`` ``{region}`` and
    ``{project}`` stand for what the settings or the variables of ``region_env`` and ``project_env`` say; ``elsewhere`` holds the regions
    with an address of another form. ``reshapes`` tells what differs in bodies of a shape. ``probe_path`` is what is asked to find out
    whether it lets us in, where that is not the list of models. ``batches`` is whose API of batches it has: ``openai`` or ``anthropic``.
    """

    name: str
    title: str
    reference: str = ""
    base_url: str | None = None
    paths: dict[str, str] = msgspec.field(default_factory=lambda: dict(OPENAI_PATHS))
    stream_paths: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    auth: str = "authorization"
    auth_prefix: str = "Bearer "
    key_env: tuple[str, ...] = ()
    key_needed: bool = True
    patterns: tuple[str, ...] = ()
    headers: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    pass_headers: tuple[str, ...] = ()
    stream_usage: bool = True
    max_tokens_field: str = "max_tokens"
    reasoning_field: str | None = None
    sampling: bool = True
    thinking_levels: tuple[str, ...] = ()
    signing: tuple[str, ...] = ()
    unsigned_call: str | None = None
    models_path: str | None = "/models"
    prices_as: str | None = None
    local: bool = False
    kind: str = "http"
    only: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict[str, tuple[str, ...]])
    ways_in: tuple[str, ...] = (KEY,)
    region_env: tuple[str, ...] = ()
    project_env: tuple[str, ...] = ()
    elsewhere: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    reshapes: dict[str, Reshape] = msgspec.field(default_factory=dict[str, Reshape])
    probe_path: str | None = None
    batches: str | None = None

    def takes(self, shape: str, model: str) -> bool:
        """Whether a model that is reached in this shape is one that takes it."""
        patterns = self.only.get(shape)
        return patterns is None or any(fnmatch.fnmatchcase(model, pattern) for pattern in patterns)
