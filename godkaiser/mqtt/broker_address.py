"""The address and the credentials of the broker, for every client of it."""

from __future__ import annotations

import ssl

import msgspec


class BrokerAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Address and credentials of the broker."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    tls: bool = False
    ca_cert: str = ""
    client_cert: str = ""
    client_key: str = ""
    keepalive_s: int = 30

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def tls_context(address: BrokerAddress) -> ssl.SSLContext:
    """Raises OSError if a file cannot be read, or contains no certificate or key."""
    context = ssl.create_default_context(cafile=address.ca_cert or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 asks for extensions that many private authorities leave out: a newer Python must not cut the
    # gateway off from its broker.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if address.client_cert:
        context.load_cert_chain(address.client_cert, address.client_key or None)
    return context
