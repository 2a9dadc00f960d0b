"""What a capability offers over HTTP: JSON routes described by types, console pages, and raw endpoints for the hot path.

A `Route` is described completely by data, so that validation, authorisation, the OpenAPI document and the docs come from one place. A
`Page` renders HTML for a signed-in person. An `Endpoint` speaks RSGI itself and is for traffic where every microsecond counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import msgspec

from penstock.kernel.principal import Principal, Scope

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response as HttpResponse

T = TypeVar("T")


Moment = Annotated[float, msgspec.Meta(ge=0, lt=253_402_300_800, description="Unix seconds.")]
"""A moment between 1970 and the year 10000, as queries give it."""


class Nothing(msgspec.Struct, frozen=True):
    """The type of an absent query or body, and of an empty answer (204)."""


class Ask:
    """One request to a `Route`: who asks, and the path, query and body, already validated."""

    __slots__ = ("_body", "_query", "path", "principal")

    def __init__(self, principal: Principal, path: dict[str, str], query: object, body: object) -> None:
        self.principal = principal
        self.path = path
        self._query = query
        self._body = body

    def query(self, kind: type[T]) -> T:
        """The query parameters as the Struct that the route declared."""
        assert isinstance(self._query, kind)
        return self._query

    def body(self, kind: type[T]) -> T:
        """The body as the Struct that the route declared."""
        assert isinstance(self._body, kind)
        return self._body


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON route under ``/v1``. ``path`` uses ``{name}`` for parameters; the handler returns a Struct of type ``returns``.

    The caller needs ``scope``. A `PenstockError` that the handler raises becomes its status with
    ``{"error": {"code", "message", "param"}}``. ``returns=Nothing`` answers 204. ``media`` is the media type of what a handler answers that
    returns a whole response of its own, and ``files`` are further ones that it may answer, for whom they are asked. ``holding`` names the
    `penstock.kernel.capability.Holding` that whoever answers must hold.
    ``failures`` are statuses that the method and path alone do not suggest, such as a 409 to a GET, with what they mean.
    """

    method: str
    path: str
    handler: Callable[[Ask], Awaitable[Any]]
    summary: str
    scope: Scope
    returns: Any
    query: type[Any] = Nothing
    body: type[Any] | None = None
    status: int = 200
    media: str = "application/json"
    files: Sequence[str] = ()
    holding: str = ""
    failures: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A console page or a fragment or form target of one, under ``/console``; the reader needs ``scope`` (None: no sign-in needed).

    ``holding`` as in a `Route`.
    """

    path: str
    handler: Callable[[HttpRequest, Principal], Awaitable[HttpResponse]]
    scope: Scope | None = Scope.READ
    methods: tuple[str, ...] = ("GET",)
    holding: str = ""


class NavItem(msgspec.Struct, frozen=True):
    """One line of the console's navigation."""

    label: str
    href: str
    icon: str
    """A name of `penstock.console.icons.ICONS`."""
    section: str
    order: int = 100
    """Low numbers come first within a section; equal ones go by label."""
    shortcut: str = ""
    """One letter: `c` makes `g` then `c` open the page. Empty for none. Two items must not share one."""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a room about one thing that another room's page is about. ``href`` holds ``{name}`` where the thing's name goes, quoted
    for a path; ``told`` says in a sentence what is to be seen there."""

    label: str
    href: str
    told: str
    order: int = 100


class EdgeHeaders(Protocol):
    """Request headers as RSGI gives them; names are lower case."""

    def get(self, key: str, default: str | None = None) -> str | None: ...
    def items(self) -> list[tuple[str, str]]: ...
    def keys(self) -> list[str]: ...


class EdgeScope(Protocol):
    """A request's head in RSGI (Granian's native interface)."""

    proto: str
    http_version: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str

    @property
    def headers(self) -> EdgeHeaders: ...


class EdgeStream(Protocol):
    """An open streamed response; ``send_bytes`` raises when the client is gone."""

    async def send_bytes(self, data: bytes) -> None: ...


class EdgeProtocol(Protocol):
    """The conversation of one request in RSGI: read the body by calling or iterating, then answer exactly once."""

    async def __call__(self) -> bytes: ...
    def __aiter__(self) -> Any: ...
    async def client_disconnect(self) -> None: ...
    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...
    def response_file(self, status: int, headers: list[tuple[str, str]], file: str) -> None: ...
    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> EdgeStream: ...


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What the OpenAPI document says about an `Endpoint`, in JSON Schemas.

    ``request`` is None where there is no body, ``reply`` where every good answer is a stream. ``schemas`` are named; the others refer to
    them as ``#/components/schemas/NAME``, and a name means the same in every description. ``event`` is the JSON in the data of each event
    where the endpoint also streams, ``ending`` how such a stream ends. ``failures`` are statuses (or ``4XX``) with what they mean, all with
    a body like ``error``. Headers and parameters of the query are by name. ``takes`` is the media type of the request, ``others`` are
    media types of good replies that are neither JSON nor events. ``good`` is the status of a good reply.
    """

    request: Mapping[str, Any] | None
    reply: Mapping[str, Any] | None
    error: Mapping[str, Any]
    failures: Mapping[str, str]
    schemas: Mapping[str, Mapping[str, Any]]
    event: Mapping[str, Any] | None = None
    ending: str = ""
    headers: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict[str, Mapping[str, Any]])
    query: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict[str, Mapping[str, Any]])
    reply_headers: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict[str, Mapping[str, Any]])
    takes: str = "application/json"
    others: tuple[str, ...] = ()
    good: str = "200"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A raw endpoint on an exact method and path. The handler authenticates, answers and never raises.

    ``path`` may hold one ``{name}``, which stands for anything, slashes included, or several, each for one segment; the first such endpoint
    that fits is the one. Where ``when`` is given, only the requests for which it is true are this endpoint's; the others go on to the route
    of the same path; without such a route it is not documented. ``describe`` is asked when the OpenAPI document is made. ``holding`` as in
    a `Route`.
    """

    method: str
    path: str
    handler: Callable[[EdgeScope, EdgeProtocol], Awaitable[None]]
    summary: str
    describe: Callable[[], Description]
    when: Callable[[EdgeScope], bool] | None = None
    holding: str = ""
