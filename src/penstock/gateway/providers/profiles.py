"""Profiles: what is known about each kind of provider, as data. No code elsewhere asks for a provider by name.

The addresses, header names and variables are those of the vendors' own API references (paths named in ``reference``).
"""

from __future__ import annotations

import fnmatch

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
REALTIME = "openai.realtime"

OPENAI_PATHS = {CHAT: "/chat/completions", EMBEDDINGS: "/embeddings"}
HEARING_PATHS = {TRANSCRIPTIONS: "/audio/transcriptions", TRANSLATIONS: "/audio/translations"}
AUDIO_PATHS = {**HEARING_PATHS, SPEECH: "/audio/speech"}
REALTIME_PATHS = {REALTIME: "/realtime?model={model}"}
"""A WebSocket instead of a POST; whoever has it serves sessions."""
IMAGE_PATHS = {IMAGES: "/images/generations", IMAGE_EDITS: "/images/edits"}
OPENAI_OTHER_PATHS = {
    EMBEDDINGS: "/embeddings",
    COMPLETIONS: "/completions",
    MODERATIONS: "/moderations",
    JINA_RERANK: "/rerank",
    IMAGE_VARIATIONS: "/images/variations",
    **AUDIO_PATHS,
    **IMAGE_PATHS,
}
"""What there is in OpenAI's manner beside conversation."""

CHAT_SHAPES = (CHAT, RESPONSES, MESSAGES, GENERATE)
ASKED_AS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*CHAT_SHAPES, COMPLETIONS), (CHAT, MESSAGES, GENERATE)),
    JINA_RERANK: (COHERE_RERANK,),
    COHERE_RERANK: (JINA_RERANK,),
    **dict.fromkeys((EMBEDDINGS, EMBED, BATCH_EMBED), (EMBEDDINGS, BATCH_EMBED)),
    **dict.fromkeys((COUNT_TOKENS, GOOGLE_COUNT), (COUNT_TOKENS, GOOGLE_COUNT)),
}
"""For each shape of a client the shapes in which a provider that does not speak it may be asked, best first."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind of provider speaks and how it wants to be spoken to.

    ``paths`` maps each wire shape it speaks to a path below the base URL; ``{model}`` stands for the model's name. ``stream_paths`` are
    those for streams where they differ. ``auth`` is the header that carries the key and ``auth_prefix`` what stands before it.
    ``patterns`` are name patterns by which a bare model name is recognised as its own. ``key_env`` are the variables that its own SDK
    reads. ``stream_usage`` says whether it takes ``stream_options.include_usage``. ``max_tokens_field`` is the name it wants for the output
    cap, ``reasoning_field`` the field in which it takes back its own reasoning (None: it refuses one), ``sampling`` whether it takes
    temperature, top_p and top_k. ``only`` gives, for a shape that just some of its models take, the patterns of those; the others are
    reached through translation. ``thinking_levels`` are patterns of the models that are told in words how much to think;
    ``unsigned_call`` is what stands for a missing signature of a tool call with the models of ``signing``. ``prices_as`` is the name under
    which its prices are published (None: its own hardware or unknown). ``pass_headers`` are client headers that it understands.
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

    def takes(self, shape: str, model: str) -> bool:
        """Whether a model that is reached in this shape is one that takes it."""
        patterns = self.only.get(shape)
        return patterns is None or any(fnmatch.fnmatchcase(model, pattern) for pattern in patterns)


def _own(name: str, title: str, port: int, key_env: tuple[str, ...] = (), more: dict[str, str] | None = None) -> Profile:
    return Profile(
        name=name,
        title=title,
        base_url=f"http://127.0.0.1:{port}/v1",
        paths={**OPENAI_PATHS, COMPLETIONS: "/completions", **(more or {})},
        key_env=key_env,
        key_needed=False,
        local=True,
    )


_ALL = (
    Profile(
        name="openai",
        title="OpenAI",
        reference="https://platform.openai.com/docs/api-reference",
        base_url="https://api.openai.com/v1",
        # Not the variations of images, which OpenAI has retired.
        paths={CHAT: "/chat/completions", RESPONSES: "/responses"}
        | {shape: path for shape, path in OPENAI_OTHER_PATHS.items() if shape not in (JINA_RERANK, IMAGE_VARIATIONS)}
        | REALTIME_PATHS,
        only={
            COMPLETIONS: ("gpt-3.5-turbo-instruct*", "davinci-*", "babbage-*", "ft:davinci-*", "ft:babbage-*"),
            REALTIME: ("*realtime*",),
        },
        key_env=("OPENAI_API_KEY",),
        patterns=(
            "gpt-*",
            "chatgpt-*",
            "o1*",
            "o3*",
            "o4*",
            "text-embedding-*",
            "codex-*",
            "omni-moderation-*",
            "text-moderation-*",
            "davinci-*",
            "babbage-*",
            "whisper-*",
            "tts-*",
            "dall-e-*",
        ),
        pass_headers=("openai-beta",),
        max_tokens_field="max_completion_tokens",
        prices_as="openai",
    ),
    Profile(
        name="azure",
        title="Azure OpenAI",
        reference="https://learn.microsoft.com/azure/ai-services/openai/reference",
        paths={
            CHAT: "/openai/deployments/{model}/chat/completions",
            EMBEDDINGS: "/openai/deployments/{model}/embeddings",
            **{shape: "/openai/deployments/{model}" + path for shape, path in (AUDIO_PATHS | IMAGE_PATHS).items()},
            REALTIME: "/openai/realtime?deployment={model}",
        },
        auth="api-key",
        auth_prefix="",
        key_env=("AZURE_OPENAI_API_KEY",),
        max_tokens_field="max_completion_tokens",
        models_path=None,
        prices_as="azure",
    ),
    Profile(
        name="anthropic",
        title="Anthropic",
        reference="https://docs.anthropic.com/en/api/messages",
        base_url="https://api.anthropic.com/v1",
        paths={MESSAGES: "/messages", COUNT_TOKENS: "/messages/count_tokens"},
        auth="x-api-key",
        auth_prefix="",
        key_env=("ANTHROPIC_API_KEY",),
        patterns=("claude-*",),
        headers={"anthropic-version": "2023-06-01"},
        pass_headers=("anthropic-beta", "anthropic-version"),
        prices_as="anthropic",
    ),
    Profile(
        name="gemini",
        title="Google Gemini",
        reference="https://ai.google.dev/api",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        paths={
            GENERATE: "/models/{model}:generateContent",
            GOOGLE_COUNT: "/models/{model}:countTokens",
            EMBED: "/models/{model}:embedContent",
            BATCH_EMBED: "/models/{model}:batchEmbedContents",
        },
        stream_paths={GENERATE: "/models/{model}:streamGenerateContent?alt=sse"},
        auth="x-goog-api-key",
        auth_prefix="",
        key_env=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        patterns=("gemini-*", "gemma-*", "learnlm-*"),
        # Gemini 2.5 takes a budget of tokens only; 3 and later take a level, and refuse a call in the history that nobody signed.
        # https://ai.google.dev/gemini-api/docs/thinking, https://ai.google.dev/gemini-api/docs/thought-signatures
        thinking_levels=("gemini-[3-9]*", "gemini-*-latest"),
        signing=("gemini-[3-9]*", "gemini-*-latest"),
        unsigned_call="skip_thought_signature_validator",
        prices_as="google",
    ),
    Profile(
        name="mistral",
        title="Mistral",
        reference="https://docs.mistral.ai/api",
        base_url="https://api.mistral.ai/v1",
        paths={**OPENAI_PATHS, MODERATIONS: "/moderations", TRANSCRIPTIONS: "/audio/transcriptions"},
        key_env=("MISTRAL_API_KEY",),
        patterns=("mistral-*", "ministral-*", "codestral-*", "magistral-*", "pixtral-*", "devstral-*", "open-mi*", "voxtral-*"),
        # Mistral refuses unknown parameters and always ends a stream with usage.
        stream_usage=False,
        prices_as="mistral",
    ),
    Profile(
        name="groq",
        title="Groq",
        reference="https://console.groq.com/docs/api-reference",
        base_url="https://api.groq.com/openai/v1",
        paths={**OPENAI_PATHS, **AUDIO_PATHS},
        key_env=("GROQ_API_KEY",),
        prices_as="groq",
    ),
    Profile(
        name="together",
        title="Together",
        reference="https://docs.together.ai/reference",
        base_url="https://api.together.xyz/v1",
        paths={**OPENAI_PATHS, COMPLETIONS: "/completions", JINA_RERANK: "/rerank", IMAGES: "/images/generations", **AUDIO_PATHS},
        key_env=("TOGETHER_API_KEY",),
        prices_as="together",
    ),
    Profile(
        name="fireworks",
        title="Fireworks",
        reference="https://docs.fireworks.ai/api-reference",
        base_url="https://api.fireworks.ai/inference/v1",
        paths={**OPENAI_PATHS, COMPLETIONS: "/completions"},
        key_env=("FIREWORKS_API_KEY",),
        prices_as="fireworks",
    ),
    Profile(
        name="deepseek",
        title="DeepSeek",
        reference="https://api-docs.deepseek.com",
        base_url="https://api.deepseek.com/v1",
        paths={CHAT: "/chat/completions"},
        key_env=("DEEPSEEK_API_KEY",),
        patterns=("deepseek-*",),
        reasoning_field="reasoning_content",
        prices_as="deepseek",
    ),
    Profile(
        name="xai",
        title="xAI",
        reference="https://docs.x.ai/docs/api-reference",
        base_url="https://api.x.ai/v1",
        paths={**OPENAI_PATHS, **IMAGE_PATHS, **REALTIME_PATHS},
        key_env=("XAI_API_KEY",),
        patterns=("grok-*",),
        prices_as="x-ai",
    ),
    Profile(
        name="openrouter",
        title="OpenRouter",
        reference="https://openrouter.ai/docs/api-reference",
        base_url="https://openrouter.ai/api/v1",
        paths={**OPENAI_PATHS, COMPLETIONS: "/completions"},
        reasoning_field="reasoning",
        key_env=("OPENROUTER_API_KEY",),
        prices_as="openrouter",
    ),
    Profile(
        name="cohere",
        title="Cohere",
        reference="https://docs.cohere.com/v2/reference",
        base_url="https://api.cohere.com",
        paths={
            CHAT: "/compatibility/v1/chat/completions",
            EMBEDDINGS: "/compatibility/v1/embeddings",
            COHERE_RERANK: "/v2/rerank",
        },
        key_env=("CO_API_KEY", "COHERE_API_KEY"),
        patterns=("command-*", "rerank-*", "embed-english-*", "embed-multilingual-*", "embed-v4*"),
        models_path=None,
        prices_as="cohere",
    ),
    Profile(
        name="jina",
        title="Jina AI",
        reference="https://api.jina.ai/redoc",
        base_url="https://api.jina.ai/v1",
        paths={EMBEDDINGS: "/embeddings", JINA_RERANK: "/rerank"},
        key_env=("JINA_API_KEY",),
        patterns=("jina-*",),
        models_path=None,
    ),
    Profile(
        name="modal",
        title="Modal",
        reference="https://modal.com/docs/examples/llm_inference",
        key_env=("MODAL_API_KEY",),
        key_needed=False,
    ),
    Profile(
        name="replicate",
        title="Replicate",
        reference="https://replicate.com/docs",
        base_url="https://openai-proxy.replicate.com/v1",
        paths={CHAT: "/chat/completions"},
        key_env=("REPLICATE_API_TOKEN",),
        prices_as="replicate",
    ),
    Profile(
        name="baseten",
        title="Baseten",
        reference="https://docs.baseten.co/inference/model-apis/overview",
        base_url="https://inference.baseten.co/v1",
        key_env=("BASETEN_API_KEY",),
    ),
    Profile(
        name="ollama",
        title="Ollama",
        reference="https://docs.ollama.com/openai",
        base_url="http://127.0.0.1:11434/v1",
        paths={**OPENAI_PATHS, COMPLETIONS: "/completions"},
        key_needed=False,
        local=True,
    ),
    _own("vllm", "vLLM", 8000, ("VLLM_API_KEY",), {JINA_RERANK: "/rerank", **HEARING_PATHS}),
    _own("sglang", "SGLang", 30000, more={TRANSCRIPTIONS: "/audio/transcriptions"}),
    _own("llamacpp", "llama.cpp", 8080, more={JINA_RERANK: "/rerank"}),
    _own("lmstudio", "LM Studio", 1234),
    Profile(
        name="openai-compatible",
        title="Any OpenAI-compatible endpoint",
        # Whoever serves less answers 404, and the next target is tried. Without completions: a conversation is had everywhere.
        paths={CHAT: "/chat/completions", **REALTIME_PATHS}
        | {shape: path for shape, path in OPENAI_OTHER_PATHS.items() if shape != COMPLETIONS},
        key_needed=False,
    ),
    Profile(
        name="minilm",
        title="Local MiniLM embeddings",
        paths={EMBEDDINGS: ""},
        key_needed=False,
        local=True,
        models_path=None,
        kind="minilm",
    ),
    Profile(
        name="replay",
        title="Replay of a recording",
        paths=dict.fromkeys(
            (*CHAT_SHAPES, COUNT_TOKENS, GOOGLE_COUNT, EMBED, BATCH_EMBED, *OPENAI_OTHER_PATHS, COHERE_RERANK),
            "",
        ),
        key_needed=False,
        models_path=None,
        kind="replay",
    ),
    Profile(name="recording", title="Recording of another provider", key_needed=False, models_path=None, kind="recording"),
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}
