"""Which addresses what others name may lead to: not into the network that this runs in."""

from __future__ import annotations

import ipaddress
import socket

from yarl import URL

CARRYING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
"""Addresses that hold one of IPv4 in their last bits: a NAT64 gateway, which stands inside, leads to it."""


class PrivateAddress(OSError):
    """A name that leads to an address inside."""


def dialled(url: str) -> str:
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
    """Whether ``host`` is an address that is not public; False for names: `resolving` sees to those."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        # 127.1, 0x7f000001 and the like: connect() takes them for addresses.
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return False
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    if any(address in network for network in CARRYING):
        mapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return not (mapped or address).is_global or address.is_multicast


def leads_inside(url: str) -> bool:
    """Whether an address names a host inside, or none at all; False for names: `resolving` sees to those."""
    name = dialled(url)
    return not name or name == "localhost" or inside(name)
