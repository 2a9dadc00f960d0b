"""The console's door: how often a wrong key may be tried, by one address and by all together."""

from __future__ import annotations

import ipaddress
import logging
import math
from collections.abc import Iterable, Sequence

from penstock.identity.settings import IdentitySettings
from penstock.kernel.errors import LimitExceeded, SettingsError, Unauthenticated
from penstock.kernel.ports import Metric, Sessions
from penstock.storage.counters import Counters, take_later

_log = logging.getLogger("penstock.identity")

EVERYBODY = "door"
"""Name of the counter of all addresses together; that of one address adds the address."""

MOST_FAMILIAR = 1000
"""Addresses that are remembered because somebody came in from them; the one that came in longest ago is forgotten first."""

TOO_MANY = "too_many_sign_ins"

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Door:
    """Signs in whoever holds a key, and makes those wait who try keys that are not there.

    Only wrong keys count. An address that has used up its tries waits, with a right key too, or waiting would cost a guesser nothing. What
    all addresses together may try has a ceiling as well, for those who guess from many; it does not hold for addresses from which
    somebody came in before, so that guessers cannot lock out the people who work here. Since no try above the ceiling is counted,
    the counters of addresses are bounded by it.
    """

    def __init__(self, sessions: Sessions, counters: Counters, settings: IdentitySettings) -> None:
        self._sessions = sessions
        self._counters = counters
        self._each = settings.sign_in_guesses
        self._all = settings.sign_in_guesses_total
        self._proxies = _networks(settings.trusted_proxies)
        self._familiar: dict[str, None] = {}
        self._came_in = 0
        self._refused = 0
        self._waiting = 0

    async def open(self, caller: str, credential: str) -> tuple[str, float]:
        """A session's token and end, as `Sessions.open` gives and raises.

        Raises `LimitExceeded` with the code ``too_many_sign_ins`` while ``caller`` (see `caller`) or everybody must wait.
        """
        # Taken before the key is looked at and given back when it was right: tries that come at once cannot overtake the count.
        takes = await self._admit(caller)
        try:
            opened = await self._sessions.open(credential)
        except Unauthenticated as fault:
            self._refused += 1
            _log.warning("sign-in refused", extra={"client": caller, "code": fault.code})
            raise
        except BaseException:
            self._give_back(takes)
            raise
        self._give_back(takes)
        self._came_in += 1
        self._remember(caller)
        return opened

    def caller(self, peer: str | None, forwarded: Sequence[str] = ()) -> str:
        """Who is at the door: the address of the connection, or, when that is a trusted proxy's, what it says in X-Forwarded-For.

        ``forwarded`` are that header's values in order. Proxies add on the right, so the right-most address that is no trusted proxy's
        counts: what a client wrote into the header itself stands left of it. An IPv6 host has a whole /64 to choose from and
        is told by that.
        """
        found = _address(peer or "")
        if found is None:
            return "unknown"
        for text in reversed([part for value in forwarded for part in value.split(",")]):
            if not self._is_proxy(found):
                break
            before = _address(text)
            if before is None:
                break
            found = before
        if isinstance(found, ipaddress.IPv6Address):
            return str(ipaddress.IPv6Network((found, 64), strict=False))
        return str(found)

    def is_encrypted(self, peer: str | None, scheme: str, forwarded: str | None) -> bool:
        """Whether the browser came over TLS: to us, or to a trusted proxy, which says so in X-Forwarded-Proto (``forwarded``)."""
        if scheme == "https":
            return True
        found = _address(peer or "")
        # Of several proxies the last one to speak is the one that we know.
        return found is not None and self._is_proxy(found) and (forwarded or "").rpartition(",")[2].strip().lower() == "https"

    def metrics(self) -> Iterable[Metric]:
        outcomes = {"in": self._came_in, "refused": self._refused, "throttled": self._waiting}
        samples = tuple(({"outcome": outcome}, float(count)) for outcome, count in outcomes.items())
        help = "Sign-ins at the console: in, refused for a wrong key, throttled after too many wrong keys."
        yield Metric(name="penstock_sign_ins", help=help, kind="counter", samples=samples)

    async def _admit(self, caller: str) -> list[tuple[str, int]]:
        limits = [(f"{EVERYBODY}:{caller}", self._each)]
        if caller not in self._familiar:
            limits.append((EVERYBODY, self._all))
        taken: list[tuple[str, int]] = []
        for key, per_minute in limits:
            wait = self._counters.take(key, 1, per_minute)
            if wait > 0 and (wait := await take_later(self._counters, key, 1, per_minute, wait)) > 0:
                self._give_back(taken)
                self._waiting += 1
                whose = "from your address" if key != EVERYBODY else "from many addresses"
                said = f"too many wrong keys were tried {whose}; try again in {math.ceil(wait)} s"
                raise LimitExceeded(said, code=TOO_MANY, retry_after=wait)
            taken.append((key, per_minute))
        return taken

    def _give_back(self, taken: Iterable[tuple[str, int]]) -> None:
        for key, per_minute in taken:
            self._counters.adjust(key, -1, per_minute)

    def _remember(self, caller: str) -> None:
        self._familiar.pop(caller, None)
        self._familiar[caller] = None
        if len(self._familiar) > MOST_FAMILIAR:
            del self._familiar[next(iter(self._familiar))]

    def _is_proxy(self, address: _Address) -> bool:
        return any(address in network for network in self._proxies)


def _networks(texts: Iterable[str]) -> tuple[_Network, ...]:
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
    except ValueError as fault:
        raise SettingsError(
            f"identity.trusted_proxies: {fault}; give addresses or networks such as 10.0.0.0/8", param="identity.trusted_proxies"
        ) from fault


def _address(text: str) -> _Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
