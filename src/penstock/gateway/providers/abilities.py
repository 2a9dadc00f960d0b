"""What a provider's API is known to carry, beside the shapes that it speaks: for the page that lists what each can do.

Facts about wire formats, each shown by a sample of ``tests/gateway/providers/samples``; what one model makes of them is its own affair.
"""

from __future__ import annotations

import msgspec

YES, NO, DEPENDS = True, False, None


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """None where it depends on what is served there.

    ``tools`` are called, also in streams; ``images`` are taken in a conversation; ``thoughts`` or their tokens are told, ``cached`` tokens
    are told; ``limits``: the rate-limit headers are ones that Penstock hears (docs/resilience.md).
    """

    tools: bool | None = DEPENDS
    images: bool | None = DEPENDS
    thoughts: bool | None = DEPENDS
    cached: bool | None = DEPENDS
    limits: bool | None = DEPENDS


_ALL = Abilities(tools=YES, images=YES, thoughts=YES, cached=YES, limits=YES)
_NO_LIMITS = Abilities(tools=YES, images=YES, thoughts=YES, cached=YES, limits=NO)
_NONE = Abilities(tools=NO, images=NO, thoughts=NO, cached=NO, limits=NO)

ABILITIES: dict[str, Abilities] = {
    "openai": _ALL,
    "azure": _ALL,
    "azure-v1": _ALL,
    "anthropic": _ALL,
    "gemini": _NO_LIMITS,
    "vertex": _NO_LIMITS,
    "vertex-anthropic": _NO_LIMITS,
    "bedrock": _NO_LIMITS,
    "mistral": Abilities(tools=YES, images=YES, thoughts=YES, cached=NO, limits=YES),
    "groq": _ALL,
    "together": Abilities(tools=YES, images=YES, cached=NO, limits=NO),
    "fireworks": Abilities(tools=YES, images=YES, cached=YES, limits=YES),
    "deepseek": Abilities(tools=YES, images=NO, thoughts=YES, cached=YES, limits=NO),
    "xai": _NO_LIMITS,
    "openrouter": _NO_LIMITS,
    "cohere": Abilities(tools=YES, thoughts=NO, cached=NO, limits=NO),
    "jina": _NONE,
    "ollama": Abilities(tools=YES, images=YES, thoughts=YES, cached=NO, limits=NO),
    "vllm": _NO_LIMITS,
    "sglang": _NO_LIMITS,
    "llamacpp": _NO_LIMITS,
    "minilm": _NONE,
}
"""By profile; those that are missing serve whatever they serve."""


def abilities(profile: str) -> Abilities:
    """What is known of a profile's API."""
    return ABILITIES.get(profile, Abilities())
