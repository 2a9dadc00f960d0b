"""Names that others give, resolved to public addresses only. A module of its own, since aiohttp takes 0.2 s to import."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver, ResolveResult

from penstock.kernel.addresses import PrivateAddress, inside

if TYPE_CHECKING:
    from aiohttp.resolver import ThreadedResolver


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
