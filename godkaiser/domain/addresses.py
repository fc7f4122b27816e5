"""Internet addresses: normal form, and which of them are internal; pure."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable


def unmapped(host: str) -> str:
    """Convert an IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) to IPv4; return others
    unchanged.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return host


def inside(address: str) -> str:
    """The kind of an internal IP address (`loopback`, `private`, ...); "" for a public one.

    IPv4 addresses that are embedded in IPv6 (mapped, 6to4, NAT64) are classified as IPv4.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    wrapped = _wrapped(found)
    if wrapped is not None:
        return inside(str(wrapped))
    for name in ("loopback", "link_local", "unspecified", "multicast", "private"):
        if getattr(found, f"is_{name}"):
            return name.replace("_", "-")
    return "" if found.is_global else "reserved"


_ABBREVIATED = re.compile(r"(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+)){0,3}")


def _abbreviated(name: str) -> str:
    """The address that resolvers of C take such a host for (`127.1`, `0`, `2130706433`); "" when it is a name."""
    if _ABBREVIATED.fullmatch(name) is None:
        return ""
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except OSError:
        return ""


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _wrapped(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class Destinations:
    """The permitted destinations of webhooks and notifications: all public addresses, and declared
    internal ones.
    """

    def __init__(self, declared: Iterable[str] = ()) -> None:
        """`declared` are networks (`192.168.1.0/24`), addresses and host names (`panel.local`)."""
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._hosts: set[str] = set()
        for entry in declared:
            try:
                self._networks.append(ipaddress.ip_network(unmapped(entry), strict=False))
            except ValueError:
                self._hosts.add(entry.lower().rstrip("."))

    def refusal_of_host(self, host: str) -> str:
        """Why a URL's host is refused before its name is resolved; "" if it is not."""
        name = host.lower().rstrip(".")
        try:
            return self.refusal_of(host, str(ipaddress.ip_address(name.partition("%")[0])))
        except ValueError:
            is_local = name == "localhost" or name.endswith(".localhost")
            address = "127.0.0.1" if is_local else _abbreviated(name)
            return self.refusal_of(host, address) if address else ""

    def refusal_of(self, host: str, address: str) -> str:
        """Why a connection to this address of this host is refused; "" if it is allowed."""
        kind = inside(address)
        if not kind or host.lower().rstrip(".") in self._hosts:
            return ""
        plain = ipaddress.ip_address(unmapped(address).partition("%")[0])
        if any(plain in network for network in self._networks):
            return ""
        article = "an" if kind[0] in "aeiou" else "a"
        return (
            f"{host[:80]} leads to {article} {kind} address ({address}): to allow it, declare the address, its network or"
            " the host in [outbound] allow"
        )
