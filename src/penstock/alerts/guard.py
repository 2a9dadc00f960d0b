"""Which addresses a webhook may go to: what somebody else's administrators name must not reach into the network that this runs in."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from penstock.kernel.errors import RequestError

if TYPE_CHECKING:
    from aiohttp.resolver import ThreadedResolver

LONGEST = 2000


class PrivateAddress(OSError):
    """A name that leads to an address inside."""


def check_url(url: str, *, private: bool) -> None:
    """Raise `RequestError` for what is no address of a receiver: another scheme than http(s), a user or password in it, or, unless
    ``private``, anything but https to a public host."""
    if len(url) > LONGEST or not url.isprintable() or " " in url:
        raise RequestError(f"url: an address has at most {LONGEST} printable characters", param="url")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise RequestError("url: this is no address", param="url") from None
    if parts.scheme not in ("https", "http") or not host:
        raise RequestError("url: it begins with https:// and names a host", param="url")
    if parts.username or parts.password:
        raise RequestError("url: no user and password in an address; the receiver knows us by the signature", param="url")
    if private:
        return
    if parts.scheme != "https":
        raise RequestError("url: only https:// is sent to; alerts.private_addresses lifts this", param="url")
    name = _dialled(url)
    if not name or inside(name) or name == "localhost":
        raise RequestError("url: this leads to a private address; alerts.private_addresses lifts this", param="url")


def _dialled(url: str) -> str:
    """The host that aiohttp connects to: it takes full-width digits and other dots for the plain ones, and asks no resolver about what
    looks like an address. Empty for what looks like one and is none."""
    try:
        name = (URL(url).raw_host or "").lower().rstrip(".")
    except ValueError:
        return ""
    if ":" in name or name.replace(".", "").isdigit():
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return ""
    return name


def inside(host: str) -> bool:
    """Whether ``host`` is an address that is not public; False for names, which `Public` sees to when they are resolved."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        # 127.1, 0x7f000001 and the like: connect() takes them for addresses.
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return False
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return not (mapped or address).is_global or address.is_multicast


class Public(AbstractResolver):
    """Resolves names to public addresses only, at the moment of connecting, so that a name cannot lead elsewhere after it was checked."""

    def __init__(self, resolver: ThreadedResolver) -> None:
        self._resolver = resolver

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """The public addresses. Raises `PrivateAddress` where one is not."""
        found = await self._resolver.resolve(host, port, family)
        if any(inside(one["host"]) for one in found):
            raise PrivateAddress(None, "the name leads to a private address")
        return found

    async def close(self) -> None:
        """Nothing is open."""
        await self._resolver.close()
