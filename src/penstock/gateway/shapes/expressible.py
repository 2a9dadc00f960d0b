"""What to do with what only another shape understands: name it, or leave it out and say so when nothing depends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Raw

from penstock.gateway.shapes.embedding import EmbeddingRequest
from penstock.kernel.errors import NotExpressible
from penstock.kernel.messages import Request

# Where a shape calls something by another name than the one that encoders use, which is OpenAI's.
_NAMES: Mapping[str, Mapping[str, str]] = {
    "google.generate": {
        "content": "contents.parts",
        "frequency_penalty": "generationConfig.frequencyPenalty",
        "logprobs": "generationConfig.responseLogprobs",
        "max_tokens": "generationConfig.maxOutputTokens",
        "messages.content": "contents.parts",
        "messages.reasoning": "contents.parts.thought",
        "messages.tool_calls": "contents.parts.functionCall",
        "n": "generationConfig.candidateCount",
        "presence_penalty": "generationConfig.presencePenalty",
        "response_format": "generationConfig.responseMimeType",
        "seed": "generationConfig.seed",
        "service_tier": "serviceTier",
        "temperature": "generationConfig.temperature",
        "tool_choice": "toolConfig",
    },
}

_VALUES: Mapping[str, Callable[[Request], object]] = {
    "frequency_penalty": lambda request: request.sampling.frequency_penalty,
    "logit_bias": lambda request: request.sampling.logit_bias,
    "logprobs": lambda request: request.logprobs,
    "metadata": lambda request: request.metadata,
    "presence_penalty": lambda request: request.sampling.presence_penalty,
    "prompt_cache_key": lambda request: request.cache_key,
    "safety_identifier": lambda request: request.safety_identifier,
    "seed": lambda request: request.sampling.seed,
    "service_tier": lambda request: request.service_tier,
    "store": lambda request: request.store,
    "user": lambda request: request.user,
    "verbosity": lambda request: request.verbosity,
}
"""What a request says of a field, by its name."""


class Audit:
    """Collects, for one request and one target shape, what is left out, and refuses what cannot be said.

    ``harmless`` are fields whose absence changes nothing that was asked for: by name, with the values for which that holds (empty: all).
    """

    __slots__ = ("_dropped", "_harmless", "_shape", "_target")

    def __init__(self, request: Request | EmbeddingRequest, target: str, harmless: Mapping[str, frozenset[bytes]]) -> None:
        self._shape = request.shape
        self._target = target
        self._dropped = request.dropped
        self._harmless = harmless

    @property
    def shape(self) -> str:
        """The shape that the request came in."""
        return self._shape

    def drop(self, name: str) -> None:
        """Note that a field is left out."""
        name = self._named(name)
        if name not in self._dropped:
            self._dropped.append(name)

    def drop_all(self, request: Request, names: Iterable[str]) -> None:
        """Note that those of the fields are left out of which the request says something."""
        for name in names:
            if _VALUES[name](request) is not None:
                self.drop(name)

    def refuse_all(self, request: Request, names: Iterable[str], why: str) -> None:
        """Raise `NotExpressible` for the first of the fields by which the request asks for something."""
        for name in names:
            if _VALUES[name](request):
                raise self.refuse(name, why)

    def refuse(self, name: str, why: str) -> NotExpressible:
        """The error that says that a field has no counterpart."""
        name = self._named(name)
        return NotExpressible(f"'{name}' cannot be expressed for a provider that speaks {self._target}: {why}.", param=name)

    def _named(self, name: str) -> str:
        return _NAMES.get(self._shape, {}).get(name, name)

    def extra(self, extra: Mapping[str, Raw], place: str = "") -> Mapping[str, Raw]:
        """Unknown fields of one object that may be sent on: all of them to the shape they came in, none to another one.

        Raises `NotExpressible` for the first one that is not harmless.
        """
        if not extra or self._shape == self._target:
            return extra
        for name, raw in extra.items():
            where = f"{place}.{name}" if place else name
            values = self._harmless.get(name)
            if values is None or (values and bytes(raw) not in values):
                raise self.refuse(where, f"it belongs to {self._shape}")
            self.drop(where)
        return {}

    def own(self, shape: str, kind: str, place: str) -> None:
        """Check that something opaque belongs to the target."""
        if shape != self._target:
            raise self.refuse(place, f"only {shape} knows what '{kind}' is")
