"""Which addresses a webhook may go to: what somebody else's administrators name must not reach into the network that this runs in."""

from __future__ import annotations

from urllib.parse import urlsplit

from penstock.kernel.addresses import leads_inside
from penstock.kernel.errors import RequestError

LONGEST = 2000


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
    if leads_inside(url):
        raise RequestError("url: this leads to a private address; alerts.private_addresses lifts this", param="url")
