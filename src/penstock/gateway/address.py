"""Endpoints whose path names the model, and whose key may stand in the query: Google's way."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote

from msgspec import Struct

from penstock.kernel.errors import MalformedRequest
from penstock.kernel.web import EdgeScope

MODEL = "{model}"
VERSIONS = ("v1beta", "v1")
"""Versions of Google's API, which its clients put before the path; the same is served under each."""
STREAMING = "streamGenerateContent"
_LONGEST = 512


class Address(Struct, frozen=True):
    """What stands before and after the model in the path of a request, and whether the path asks for a stream."""

    before: str
    after: str
    stream: bool = False

    @classmethod
    def of(cls, path: str, *, stream: bool = False) -> Address:
        """The address of an endpoint whose ``path`` holds ``{model}``."""
        before, _, after = path.partition(MODEL)
        return cls(before, after, stream)

    def model(self, scope: EdgeScope) -> str:
        """The model that the path names. Raises `MalformedRequest` when it names none, or asks for a stream that is not made of events."""
        path = scope.path
        model = unquote(path[len(self.before) : len(path) - len(self.after)])
        if not 0 < len(model) <= _LONGEST:
            raise MalformedRequest(f"The path must name a model, in at most {_LONGEST} characters.", param="model")
        if self.stream and "sse" not in _query(scope, "alt"):
            raise MalformedRequest("Streams are served as server-sent events only: add '?alt=sse' to the path.", param="alt")
        return model


def key_in_query(scope: EdgeScope) -> str | None:
    """The key that stands in the query; whoever logs a request must leave the query out."""
    return next(iter(_query(scope, "key")), None)


def is_googles(scope: EdgeScope) -> bool:
    """Whether a client of Google's API asks, at a path that other APIs have too."""
    get = scope.headers.get
    return get("x-goog-api-key") is not None or get("x-goog-api-client") is not None or key_in_query(scope) is not None


def _query(scope: EdgeScope, name: str) -> list[str]:
    text = scope.query_string
    if name not in text:
        return []
    try:
        return parse_qs(text, max_num_fields=64).get(name, [])
    except ValueError:
        raise MalformedRequest("The query holds too many fields.") from None
