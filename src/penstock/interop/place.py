"""Where this installation is, for clients, and which web pages may speak with it."""

from __future__ import annotations

from urllib.parse import urlsplit

from penstock.interop.settings import InteropSettings
from penstock.kernel.errors import Forbidden
from penstock.kernel.web import EdgeScope

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Place:
    """Knows the settings, and reads the rest from the request."""

    def __init__(self, settings: InteropSettings) -> None:
        self._url = settings.url.rstrip("/")
        self._origins = frozenset(origin.rstrip("/") for origin in (*settings.origins, *([self._url] if self._url else ())))

    def base(self, scope: EdgeScope) -> str:
        """The address under which clients reach this installation, without a slash at its end."""
        if self._url:
            return self._url
        host = scope.headers.get("host") or getattr(scope, "authority", None) or "localhost"
        return f"{scope.scheme}://{host}"

    def origin(self, scope: EdgeScope) -> str | None:
        """The page that asks, None where no browser does. Raises `Forbidden` for a page that may not.

        A page may make a browser that sees this machine send requests, also under a name of its own that leads here; so the host that the
        request names proves nothing.
        """
        origin = scope.headers.get("origin")
        if origin is None:
            return None
        try:
            host = urlsplit(origin).hostname
        except ValueError:  # a bracket that is never closed, and the like
            host = None
        if origin.rstrip("/") in self._origins or host in LOOPBACK:
            return origin
        raise Forbidden(f"the origin {origin[:200]!r} may not ask here; interop.origins names those that may", code="origin_not_allowed")


__all__ = ["Place"]
