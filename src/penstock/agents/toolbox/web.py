"""One HTTP exchange of a tool: where it may go, how it signs in, how much comes back, and how its failure is to be taken."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from penstock.agents.faults import InDoubt, Permanent, Transient
from penstock.agents.toolbox.references import resolved, secret
from penstock.kernel.addresses import PrivateAddress, leads_inside
from penstock.kernel.wording import as_text

REDIRECTS = 5
LONGEST_WAIT = 3600.0
TOLD = 2000
"""Characters of an error's body that are told on."""


class Auth(Struct, frozen=True, kw_only=True):
    """How to sign in: ``secret`` is ``env:NAME`` or ``file:/path``, read at each call, and told to nobody but the host.

    ``bearer`` and ``basic`` (with ``user``) are the schemes of HTTP; ``header`` and ``query`` put it under ``name``.
    """

    secret: str
    kind: Literal["bearer", "basic", "header", "query"] = "bearer"
    name: str = ""
    user: str = ""

    def __post_init__(self) -> None:
        secret(self.secret, "auth")
        if self.kind in ("header", "query") and not self.name:
            raise ValueError(f"auth: the kind {self.kind} needs the name under which the secret is sent")


class Answer(Struct, frozen=True, omit_defaults=True):
    """What a server answered. ``body`` is JSON where it said so, else text; ``cut`` is how many bytes were read when there were more."""

    status: int
    type: str
    body: Any
    cut: int = 0


class Web:
    """Makes exchanges. Without ``private`` only public hosts are reached, whatever a name or a redirect leads to."""

    def __init__(self, *, seconds: float, most_bytes: int, private: bool, hosts: Sequence[str] = ()) -> None:
        self.seconds = seconds
        self.most_bytes = most_bytes
        self._private = private
        self._hosts = frozenset(one.lower() for one in hosts)

    async def send(
        self,
        method: str,
        url: str,
        *,
        auth: Sequence[Auth] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        key: str = "",
        follow: bool = False,
    ) -> Answer:
        """The answer, if it is one of success. With ``follow``, redirects are followed, each hop looked at like the first.

        Raises `Transient`, `Permanent` and `InDoubt`. ``key`` is sent as ``Idempotency-Key``.
        """
        said = dict(headers or {})
        if key:
            said["idempotency-key"] = key
        for _ in range(REDIRECTS + 1):
            self._allowed(url)
            answer, onward = await self._one(method, url, auth, said, body)
            if onward is None or not follow:
                return answer
            if urlsplit(onward)[:2] != urlsplit(url)[:2]:
                auth = ()  # a secret is for the host that it was given for
            url = onward
        raise Permanent(f"http_redirects: it was sent on more than {REDIRECTS} times")

    def _allowed(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise Permanent("address_invalid: this is no address") from None
        if parts.scheme not in ("http", "https") or not host:
            raise Permanent("address_invalid: an address begins with https:// and names a host")
        if parts.username or parts.password:
            raise Permanent("address_invalid: no user and password in an address")
        if self._hosts and host.lower().rstrip(".") not in self._hosts:
            raise Permanent(f"address_forbidden: only {', '.join(sorted(self._hosts))} may be reached")
        if not self._private and leads_inside(url):
            raise Permanent("address_private: this leads into the network that the tool runs in")

    async def _one(
        self, method: str, url: str, auth: Sequence[Auth], headers: dict[str, str], body: bytes | None
    ) -> tuple[Answer, str | None]:
        import aiohttp  # only once something is to be sent
        from aiohttp.resolver import ThreadedResolver
        from yarl import URL

        from penstock.kernel.resolving import Public

        target, signed = _signed(URL(url), auth, headers)
        resolver = ThreadedResolver() if self._private else Public(ThreadedResolver())
        connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
        timeout = aiohttp.ClientTimeout(total=self.seconds, sock_connect=min(10.0, self.seconds))
        safe = method in ("GET", "HEAD", "OPTIONS")
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.request(method, target, headers=signed, data=body, allow_redirects=False) as reply,
            ):
                onward = reply.headers.get("location") if 300 <= reply.status < 400 else None
                if onward is not None:
                    onward = str(target.join(URL(onward)).with_fragment(None))
                answer = await self._read(reply)
                _judged(reply.status, reply.headers, answer, safe=safe)
                return answer, onward
        except PrivateAddress:
            raise Permanent("address_private: the name leads into the network that the tool runs in") from None
        except aiohttp.ClientConnectorError as fault:
            if isinstance(fault.os_error, PrivateAddress):
                raise Permanent("address_private: the name leads into the network that the tool runs in") from None
            raise Transient(f"http_unreachable: {urlsplit(url).hostname} cannot be reached: {type(fault.os_error).__name__}") from fault
        except aiohttp.ConnectionTimeoutError as fault:
            raise Transient(f"http_unreachable: {urlsplit(url).hostname} cannot be reached in time") from fault
        except (TimeoutError, aiohttp.ClientPayloadError, aiohttp.ServerConnectionError, aiohttp.ClientOSError) as fault:
            said = f"http_lost: no whole answer came within {self.seconds:g} s: {type(fault).__name__}"
            raise (Transient(said) if safe else InDoubt(said)) from fault
        except (aiohttp.ClientError, ValueError) as fault:
            # What it sent is no HTTP, or the address is one that only aiohttp finds fault with.
            raise Permanent(f"http_failed: {type(fault).__name__}") from fault

    async def _read(self, reply: Any) -> Answer:
        data = bytearray()
        more = False
        async for piece in reply.content.iter_chunked(16_384):
            data += piece
            if len(data) > self.most_bytes:
                del data[self.most_bytes :]
                more = True
                break
        media = str(reply.content_type).lower()
        return Answer(reply.status, media, _decoded(bytes(data), media, reply.charset, more), len(data) if more else 0)


def _signed(url: Any, auth: Sequence[Auth], headers: dict[str, str]) -> tuple[Any, dict[str, str]]:
    told = {"user-agent": "penstock", "accept": "application/json, text/*;q=0.9, */*;q=0.1", **headers}
    for one in auth:
        value = resolved(one.secret, "auth")
        match one.kind:
            case "bearer":
                told["authorization"] = f"Bearer {value}"
            case "basic":
                pair = f"{one.user}:{value}" if one.user else value
                told["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            case "header":
                told[one.name.lower()] = value
            case "query":
                url = url.update_query({one.name: value})
    return url, told


def _decoded(data: bytes, media: str, charset: str | None, cut: bool) -> Any:
    if not cut and (media == "application/json" or media.endswith("+json")):
        try:
            return msgspec.json.decode(data) if data else None
        except msgspec.DecodeError:
            pass  # told as the text that it is
    textual = media.startswith("text/") or media.endswith(("json", "xml", "javascript", "x-www-form-urlencoded", "yaml"))
    if textual or not data:
        return data.decode(_known(charset), "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"[{len(data)} bytes of {media}]"


def _known(charset: str | None) -> str:
    try:
        return codecs.lookup(charset or "utf-8").name
    except LookupError:
        return "utf-8"


def _judged(status: int, headers: Mapping[str, str], answer: Answer, *, safe: bool) -> None:
    """Raise what the status means for whether it happened, and for trying it again."""
    if status < 400:
        return
    body = as_text(answer.body)
    said = f"http_{status}: {body[:TOLD]}"
    asked = headers.get("retry-after", "")
    after = min(LONGEST_WAIT, float(asked)) if asked.isdigit() else 0.0
    if status in (429, 503) or (safe and status in (408, 425, 500, 502, 504)):
        raise Transient(said, after=after)
    if status in (408, 500, 502, 504):
        raise InDoubt(said)
    raise Permanent(said)
