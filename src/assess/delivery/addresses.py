"""Where a message may be sent: no address of our own network, whatever name leads there.

A name is resolved, every address behind it is looked at, and the message goes
to the very address that was looked at; asking for the name a second time could
give another one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from assess.errors import InvalidRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LONGEST = 2000
# An IPv6 address of these leads to the IPv4 address in its last four bytes.
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


@dataclass(frozen=True, slots=True)
class Target:
    """An address on the web that was looked at, and where it leads."""

    parts: SplitResult
    host: str
    port: int
    addresses: tuple[Address, ...]


def split(url: str) -> tuple[SplitResult, str, int]:
    """The parts of an address, its host and its port.

    Raises
    ------
    InvalidRequest
        It is no address that a message can be sent to; code `url_refused`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as fault:
        raise _refused(f"it cannot be read: {fault}") from None
    if len(url) > LONGEST or any(not "!" <= letter <= "~" for letter in url):
        raise _refused(f"it has up to {LONGEST} visible ASCII characters")
    if parts.scheme not in ("https", "http") or not host:
        raise _refused("it begins with https:// and a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _refused("it names no user, no password and no fragment")
    return parts, host, port if port is not None else {"https": 443, "http": 80}[parts.scheme]


async def look_at(url: str, allowed: Sequence[Network] = ()) -> Target:
    """Resolve an address and refuse it unless every way that it leads is allowed.

    Parameters
    ----------
    allowed : sequence of network
        Networks that are not public and allowed all the same, without https too.

    Raises
    ------
    InvalidRequest
        With the code `url_refused`.
    """
    parts, host, port = split(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as fault:
        raise _refused(f"no address is known for {host!r}") from fault
    addresses = tuple(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
    own = [address for address in addresses if _within(address, allowed)]
    for address in addresses:
        if address not in own and not is_public(address):
            raise _refused(f"{host!r} leads to {address}, which is not a public address")
    if parts.scheme != "https" and len(own) < len(addresses):
        raise _refused("it begins with https://")
    return Target(parts, host, port, addresses)


def is_public(address: Address) -> bool:
    """Whether an address lies on the public internet, and not behind one that does.

    Examples
    --------
    >>> from ipaddress import ip_address
    >>> places = ("93.184.215.14", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1")
    >>> [is_public(ip_address(place)) for place in places]
    [True, False, False, False]
    """
    behind = _embedded(address)
    if behind is not None:
        return is_public(behind)
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    )


def _embedded(address: Address) -> Address | None:
    """The IPv4 address to which an IPv6 address leads, if it does."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(f"this address is refused: {why}", path="url", code="url_refused")
