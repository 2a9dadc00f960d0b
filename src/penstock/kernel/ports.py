"""The few protocols through which capabilities reach each other, and the registry in which `app.py` wires them.

A capability provides an implementation in its `Offer.ports` and asks for others with `Ports.get` once everything is open (in a service's
``start`` or later), so the order in which capabilities are listed does not matter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar, cast

import msgspec

from penstock.kernel.call import Call, Usage
from penstock.kernel.delegation import Handed, Returned
from penstock.kernel.journal import Journal
from penstock.kernel.principal import Principal

P = TypeVar("P")


class Ports:
    """Implementations by protocol. Storage seams (`Records`, `Counters`), the console and the ports below all live here."""

    def __init__(self) -> None:
        self._held: dict[type[Any], object] = {}

    def provide(self, kind: type[P], implementation: P) -> None:
        """Register the one implementation of ``kind``; a second one is a wiring mistake and raises RuntimeError."""
        if kind in self._held:
            raise RuntimeError(f"two capabilities provide {kind.__name__}")
        self._held[kind] = implementation

    def get(self, kind: type[P]) -> P:
        """The implementation of ``kind``; RuntimeError names what is missing."""
        found = self.find(kind)
        if found is None:
            raise RuntimeError(f"nothing provides {kind.__name__}: the capability that does is not in the house")
        return found

    def find(self, kind: type[P]) -> P | None:
        """The implementation of ``kind``, or None when no capability provides it."""
        return cast("P | None", self._held.get(kind))


class Authenticator(Protocol):
    """Turns a credential into a principal, from memory, in microseconds."""

    def authenticate(self, credential: str | None) -> Principal:
        """The principal of a live key. Raises `Unauthenticated` for none, an unknown, an expired or a revoked one."""
        ...


class Sessions(Protocol):
    """Browser sessions of people who signed in to the console with a key."""

    async def open(self, credential: str) -> tuple[str, float]:
        """Sign in: a new session token (a secret, for the cookie) and its expiry in Unix seconds. Raises `Unauthenticated`."""
        ...

    def principal(self, token: str) -> Principal | None:
        """Who the token belongs to, None when unknown, expired, or when the key behind it is gone."""
        ...

    async def close(self, token: str) -> None:
        """Sign out; an unknown token is ignored."""
        ...


class FirstKey(Protocol):
    """How a fresh installation gets its first key."""

    async def configured(self) -> bool:
        """Whether a live key exists that somebody made on purpose."""
        ...

    async def ensure(self) -> str | None:
        """Make an admin key when no key exists at all; its secret, which is told this once, or None."""
        ...


class Directory(Protocol):
    """Names of organisations, teams, projects, people and keys, for showing; from memory."""

    def name(self, id: str | None) -> str:
        """The name behind an id; the id itself when it is unknown, an em dash for None."""
        ...

    @property
    def home(self) -> str:
        """The id of the organisation that runs the installation; empty before there is one."""
        ...


class Holders(Protocol):
    """Who is behind a key, for work that goes on after the request that asked for it has been answered."""

    def holder_of(self, key_id: str) -> Principal:
        """The principal of a live key, by its id, with the limits and rights that it has now.

        Raises `Unauthenticated` when the key is unknown, has expired or was revoked.
        """
        ...


class Membership(Protocol):
    """Who has left, for work that goes on for people."""

    def has_left(self, organisation: str, person: str) -> bool:
        """Whether a person who had keys of this organisation has none that is live. Of one who never had a key nobody knows: False."""
        ...


class Standings(Protocol):
    """What keys are worth now, for whoever acts on a decision that somebody made with one earlier."""

    def standing(self, key_id: str) -> Principal | None:
        """The principal of a live key, with the rights that it has now; None where it is unknown, has expired or was revoked. No use of
        the key: when it was last used stays as it is."""
        ...


class Meter(Protocol):
    """Money of a call that goes on for long and is charged in parts: a session, response by response.

    Between ``begin`` and ``end`` the call's ``usage`` and ``cost`` are the sums of its parts.
    """

    def begin(self, call: Call) -> None:
        """The call is charged in parts from now on; what was set aside for it as a whole is given back."""
        ...

    def hold(self, call: Call) -> None:
        """Set aside what the next part may cost at most, as ``call.expected`` says. Raises `BudgetExceeded` or `StorageFull`, and then
        holds nothing."""
        ...

    async def charge(self, call: Call, usage: Usage, *, model: str, held: bool = True) -> None:
        """Write one part onto the ledger, for ``model`` of the call's provider; on return it survives the death of the process.

        ``held`` says that `hold` was called for it. Raises `StorageError` when it could not be written.
        """
        ...

    def drop(self, call: Call) -> None:
        """Give back one hold whose part will not come."""
        ...

    def end(self, call: Call) -> None:
        """Give back every hold that is left; a second time does nothing."""
        ...


class ModelAsk(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a room makes: the ``body`` of a POST to ``path``, one of the gateway's (``/v1/chat/completions``), for ``principal``.

    ``body`` must not ask for a stream. ``seconds`` is the time that the call may take, None for as long as any call. ``priority`` is
    ``interactive`` or ``batch``. ``passed`` are request headers that providers of the same shape receive (``anthropic-beta``).
    Called inside a step of a run, the call carries the step's trace. ``to`` are providers to whose batches it may be handed over.

    ``inside`` says for what the room asks (``evaluation``, ``judge``, ``shadow``) where the call is its own, and not one that it makes for
    a caller: such calls are no traffic of users, so they are not sampled. ``cache`` is as `Call.cache_wish`. ``trial`` lets the call use
    models that are registered and on their way to an approval (`Approvals.refusal`); the answer must reach no user, so a trial is neither
    answered from a cache nor kept in one, and is never handed over. Only rooms set the three: nothing that a request says may.
    """

    path: str
    body: bytes
    principal: Principal
    seconds: float | None = None
    priority: str = "interactive"
    task: str | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    passed: tuple[tuple[str, str], ...] = ()
    to: frozenset[str] = frozenset()
    inside: str = ""
    cache: str = ""
    trial: bool = False


class ModelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the line answered: the status and JSON body that a client of ``path`` would have had, refusals and failures included.

    ``call`` is the call's id on the record, ``retry_after`` the seconds after which a refusal may be over, ``cost`` micro-dollars, None
    where nothing was charged. ``error`` is the code of the error tree, None when all went well. ``handed`` says that there is no answer
    yet: it was handed over for a vendor's batch. ``full`` is what it would have cost in real time, where that is more. ``answered_by`` is
    the model that answered (``provider/model``), empty where none did.
    """

    status: int
    body: bytes
    call: str
    error: str | None = None
    retry_after: float | None = None
    usage: Usage | None = None
    cost: int | None = None
    full: int | None = None
    handed: Handed | None = None
    answered_by: str = ""


class ModelClient(Protocol):
    """The line, for rooms: a call from inside is admitted, guarded, charged and recorded like one from outside."""

    def takes(self, path: str) -> bool:
        """Whether ``path`` can be called: one of the gateway's that takes JSON and names the model in it."""
        ...

    async def call(self, ask: ModelAsk) -> ModelAnswer:
        """Make the call and wait for its end. Whatever the line raises is in the answer; cancellation goes through. `NotFound` for
        a path that `takes` does not know."""
        ...

    async def settle(self, ask: ModelAsk, handed: Handed, reply: Returned) -> ModelAnswer:
        """Do the second half of a call that was handed over: charge and record it. Nothing refuses it any more."""
        ...


class ModelStreams(Protocol):
    """The line, for rooms that hear an answer while it is given."""

    async def hear(self, ask: ModelAsk, heard: Callable[[bytes], Awaitable[None]]) -> ModelAnswer:
        """As `ModelClient.call`, for a ``body`` that asks for a stream: ``heard`` is given its pieces as they come, and waited for.

        The answer has no body then, but for a failure, before the first piece or after any; what was heard before stands.
        """
        ...


class Traffic(Protocol):
    """What goes over the line of this process, for work that gives way to it: calls of people and programs that wait."""

    @property
    def interactive(self) -> int:
        """Interactive calls in flight."""
        ...

    @property
    def interactive_started(self) -> int:
        """Interactive calls since the start; only grows."""
        ...


class FileInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A stored file. Times are Unix seconds; ``expires_at`` None keeps it until it is deleted. ``digest`` is SHA-256 in hex."""

    id: str
    organisation: str
    name: str
    purpose: str
    media: str
    size: int
    digest: str
    created_at: float
    expires_at: float | None
    created_by: str | None


class Files(Protocol):
    """Files that belong to organisations. ``reach`` is the organisation to which the reader is confined, None for all.

    Nobody learns whether a file exists that they may not see: unknown, expired, deleted and other organisations' are all `NotFound`.
    """

    async def get(self, reach: str | None, id: str) -> FileInfo:
        """One file."""
        ...

    def read(self, reach: str | None, id: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The bytes from ``offset`` on, in pieces of at most 256 KiB; memory does not grow with the file."""
        ...

    async def add(
        self,
        pieces: AsyncIterator[bytes],
        *,
        organisation: str,
        name: str,
        purpose: str,
        media: str = "application/octet-stream",
        created_by: str | None = None,
        lifetime: float | None = None,
    ) -> FileInfo:
        """Store what ``pieces`` give; there is a file once this returns, and nothing when it raises or the process dies before.

        Raises `BodyTooLarge`, and `StorageFull` when there is no room.
        """
        ...

    async def delete(self, reach: str | None, id: str) -> None:
        """Delete the file; its readers may still finish."""
        ...


class Peers(Protocol):
    """The other workers of this machine, where there are several; nobody provides it where there is one."""

    own: int
    """This worker's own seat."""

    def answer(self, topic: str, handler: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer the others' questions of this topic."""
        ...

    async def ask(self, topic: str, body: bytes = b"") -> Mapping[int, bytes | None]:
        """What each other worker answers, by its seat; None for one that does not within a second."""
        ...

    def tell(self, topic: str, body: bytes = b"") -> None:
        """Ask, and not wait for answers."""
        ...


class Broadcast(Protocol):
    """Short words to every other process that serves this installation; nobody provides it where there is none.

    A word may be lost, and nobody waits for it: what it says must be of use for a moment only.
    """

    def tell(self, topic: str, body: bytes) -> None:
        """Say it to the others; from the event loop."""
        ...

    def hear(self, topic: str, handler: Callable[[bytes], None]) -> None:
        """Be called with what the others say; one handler for each topic, given while capabilities are opened."""
        ...


class PersonalRecords(Protocol):
    """What a room keeps of people."""

    name: str

    async def erase(self, organisation: str, person: str) -> int:
        """Take away everything of a person of this organisation that is stored at this moment; how many things. Raises `StorageError`."""
        ...


class AllPersonalRecords(list[PersonalRecords]):
    """What all rooms keep of people; each adds its own when it is opened."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One measure in Prometheus terms: samples are pairs of labels and value; a counter only grows."""

    name: str
    help: str
    kind: str
    samples: tuple[tuple[Mapping[str, str], float], ...]


class MetricSource(Protocol):
    """Something that can be asked for its current measures; called on every scrape, must be quick."""

    def metrics(self) -> Iterable[Metric]: ...


class MetricSources(list[MetricSource]):
    """All sources that the capabilities offered; filled by `app.py` once everything is open."""


__all__ = [
    "AllPersonalRecords",
    "Authenticator",
    "Directory",
    "FileInfo",
    "Files",
    "FirstKey",
    "Holders",
    "Journal",
    "Membership",
    "Meter",
    "Metric",
    "MetricSource",
    "MetricSources",
    "ModelAnswer",
    "ModelAsk",
    "ModelClient",
    "ModelStreams",
    "Peers",
    "PersonalRecords",
    "Ports",
    "Sessions",
    "Standings",
    "Traffic",
]
