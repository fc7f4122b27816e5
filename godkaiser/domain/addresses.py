"""Internet addresses: which one is meant, and which of them lead inside; pure."""

from __future__ import annotations

import ipaddress


def unmapped(host: str) -> str:
    """An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) as what it is; all else as it is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return host
