"""Profiles: what is known about each kind of provider, as data. No code elsewhere asks for a provider by name.

The addresses, header names and variables are those of the vendors' own API references (paths named in ``reference``).
"""

from __future__ import annotations

from typing import Any

from penstock.gateway.providers.profile import (
    BATCH_EMBED,
    CHAT,
    CHAT_SHAPES,
    COHERE_RERANK,
    COMPLETIONS,
    CONVERSE,
    COUNT_TOKENS,
    EMBED,
    EMBEDDINGS,
    GENERATE,
    GOOGLE_COUNT,
    IMAGE_EDITS,
    IMAGE_VARIATIONS,
    IMAGES,
    JINA_RERANK,
    KEY,
    MESSAGES,
    MODERATIONS,
    OPENAI_PATHS,
    REALTIME,
    RESPONSES,
    SPEECH,
    TRANSCRIPTIONS,
    TRANSLATIONS,
    Profile,
    Reshape,
)

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


# Gemini 2.5 takes a budget of tokens only; 3 and later take a level, and refuse a call in the history that nobody signed.
# https://ai.google.dev/gemini-api/docs/thinking, https://ai.google.dev/gemini-api/docs/thought-signatures
_GEMINI: dict[str, Any] = {
    **dict.fromkeys(("thinking_levels", "signing"), ("gemini-[3-9]*", "gemini-*-latest")),
    "unsigned_call": "skip_thought_signature_validator",
    "prices_as": "google",
}
_GOOGLES = "/publishers/google/models/{model}"
_CLAUDES = "/publishers/anthropic/models/{model}"
_PLACE = "/v1/projects/{project}/locations/{region}"
_VERTEX: dict[str, Any] = {
    "base_url": "https://{region}-aiplatform.googleapis.com" + _PLACE,
    # https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations
    "elsewhere": {
        "global": "https://aiplatform.googleapis.com" + _PLACE,
        "us": "https://aiplatform.us.rep.googleapis.com" + _PLACE,
        "eu": "https://aiplatform.eu.rep.googleapis.com" + _PLACE,
    },
    "key_needed": False,
    "ways_in": ("google",),
    "region_env": ("GOOGLE_CLOUD_LOCATION", "CLOUD_ML_REGION"),
    "project_env": ("GOOGLE_CLOUD_PROJECT", "ANTHROPIC_VERTEX_PROJECT_ID"),
    "models_path": None,
    "probe_path": "/endpoints?pageSize=1",
}

_ALL = (
    Profile(
        name="openai",
        title="OpenAI",
        reference="https://platform.openai.com/docs/api-reference",
        batches="openai",
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
        ways_in=(KEY, "entra"),
        max_tokens_field="max_completion_tokens",
        models_path=None,
        prices_as="azure",
    ),
    Profile(
        name="azure-v1",
        title="Azure OpenAI, addresses without versions",
        reference="https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle",
        paths={**OPENAI_PATHS, RESPONSES: "/responses", **AUDIO_PATHS, **IMAGE_PATHS},
        auth="api-key",
        auth_prefix="",
        key_env=("AZURE_OPENAI_V1_API_KEY",),
        ways_in=(KEY, "entra"),
        max_tokens_field="max_completion_tokens",
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
        batches="anthropic",
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
        **_GEMINI,
    ),
    Profile(
        name="vertex",
        title="Gemini on Google Vertex AI",
        reference="https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
        paths={GENERATE: f"{_GOOGLES}:generateContent", GOOGLE_COUNT: f"{_GOOGLES}:countTokens"},
        stream_paths={GENERATE: f"{_GOOGLES}:streamGenerateContent?alt=sse"},
        **_GEMINI,
        **_VERTEX,
    ),
    Profile(
        name="vertex-anthropic",
        title="Claude on Google Vertex AI",
        reference="https://docs.anthropic.com/en/api/claude-on-vertex-ai",
        paths={MESSAGES: f"{_CLAUDES}:rawPredict", COUNT_TOKENS: "/publishers/anthropic/models/count-tokens:rawPredict"},
        stream_paths={MESSAGES: f"{_CLAUDES}:streamRawPredict"},
        # The path names the model, but for counting, which has one path for all.
        reshapes={
            MESSAGES: Reshape(gets={"anthropic_version": "vertex-2023-10-16"}, without=("model",)),
            COUNT_TOKENS: Reshape(gets={"anthropic_version": "vertex-2023-10-16"}, without=()),
        },
        pass_headers=("anthropic-beta",),
        prices_as="anthropic",
        **_VERTEX,
    ),
    Profile(
        name="bedrock",
        title="Amazon Bedrock",
        reference="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
        base_url="https://bedrock-runtime.{region}.amazonaws.com",
        paths={CONVERSE: "/model/{model}/converse"},
        stream_paths={CONVERSE: "/model/{model}/converse-stream"},
        key_env=("AWS_BEARER_TOKEN_BEDROCK",),
        key_needed=False,
        ways_in=(KEY, "aws"),
        region_env=("AWS_REGION", "AWS_DEFAULT_REGION"),
        patterns=(
            *("amazon.*", "anthropic.*", "ai21.*", "cohere.*", "deepseek.*", "meta.*", "mistral.*", "openai.*", "qwen.*", "writer.*"),
            *("us.*", "eu.*", "apac.*", "jp.*", "au.*", "global.*", "arn:aws*:bedrock:*"),
        ),
        models_path=None,
        # The one call of this API that costs nothing and needs somebody whom AWS knows.
        probe_path="/async-invoke?maxResults=1",
        prices_as="aws",
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
