"""Explains why a connection to the broker failed, in texts that say what an administrator must
change.

A broker that needs TLS, or a client certificate, does not say so in MQTT: it ends the connection,
at best with a TLS alert. The likely cause is derived from the address and from that alert.
"""

from __future__ import annotations

import socket
import ssl

import paho.mqtt.client as mqtt

from godkaiser.mqtt.broker_address import BrokerAddress

ABOUT_CERTIFICATE = (
    "CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "ALERT_UNKNOWN_CA", "BAD_CERTIFICATE",
    "ALERT_CERTIFICATE", "DECRYPT_ERROR", "UNSUPPORTED_CERTIFICATE", "ACCESS_DENIED",
)  # fmt: skip
NO_TLS = ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF", "RECORD_LAYER_FAILURE", "PACKET_LENGTH")


class MendedClient(mqtt.Client):
    """Paho's client; it keeps the error that ended its reading, and does not leak sockets."""

    failure: OSError | None = None

    def _sock_recv(self, bufsize: int) -> bytes:
        try:
            return super()._sock_recv(bufsize)
        except BlockingIOError:
            raise
        except OSError as error:
            self.failure = error
            raise

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        """Close the socket when the handshake fails; Paho would leak it."""
        context = self._ssl_context
        if context is None:
            msg = "TLS needs a context"
            raise ValueError(msg)
        wrapped = context.wrap_socket(
            tcp_sock, server_hostname=self._host, do_handshake_on_connect=False
        )
        try:
            wrapped.settimeout(self.connect_timeout)
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped


def reason_unusable(address: BrokerAddress, error: OSError) -> str:
    """Why TLS was not tried at all."""
    files = ", ".join(filter(None, (address.ca_cert, address.client_cert, address.client_key)))
    return f"the certificates in {files} cannot be used: {error.strerror or error}"


def reason_unconnected(address: BrokerAddress, error: Exception) -> str:
    """Why TCP or the TLS handshake failed."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: no broker listens at this address"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the broker's certificate is not trusted ({error.verify_message.rstrip('.')}): check [mqtt]"
            " ca_cert, and that host is a name in that certificate"
        )
    if isinstance(error, ssl.SSLError):
        return _reason_by_tls(address, error)
    if isinstance(error, TimeoutError):
        return "no answer in time: is the host up, and does its firewall let us in?"
    if address.tls and isinstance(error, ConnectionResetError | BrokenPipeError):
        return _expects_no_tls(address)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def reason_unanswered(address: BrokerAddress, failure: OSError | None) -> str:
    """Why the broker ended the connection without an answer to the CONNECT."""
    if isinstance(failure, ssl.SSLError):
        return _reason_by_tls(address, failure)
    ended = "the broker ended the connection without an answer"
    if not address.tls:
        return (
            f"{ended}: most likely port {address.port} is for TLS. Set [mqtt] tls = true and ca_cert, or take"
            " its port without TLS"
        )
    return f"{ended}: most likely {_about_certificate(address)}"


def reason_silent(address: BrokerAddress, timeout_s: float) -> str:
    """Why no answer came for `timeout_s`, although the TCP connection was accepted."""
    other = "with" if not address.tls else "without"
    return (
        f"no answer within {timeout_s:.0f} s: port {address.port} is taken by something that does not speak"
        f" MQTT, speaks it {other} TLS only, or is overloaded"
    )


def _reason_by_tls(address: BrokerAddress, error: ssl.SSLError) -> str:
    what = f"{error.reason or ''} {error}".upper()
    if any(sign in what for sign in NO_TLS):
        return _expects_no_tls(address)
    alert = (error.reason or str(error)).lower().replace("_", " ")
    if any(sign in what for sign in ABOUT_CERTIFICATE):
        return f"{_about_certificate(address)} ({alert})"
    return f"TLS with the broker failed: {alert}"


def _about_certificate(address: BrokerAddress) -> str:
    if address.client_cert:
        return (
            "the broker refuses our client certificate. Check that [mqtt] client_cert was issued by the"
            " authority that the broker trusts, and has not expired"
        )
    return "the broker wants a client certificate: set [mqtt] client_cert and client_key"


def _expects_no_tls(address: BrokerAddress) -> str:
    return (
        f"the broker does not speak TLS on port {address.port}: take its port for TLS (often 8883), or set"
        " [mqtt] tls = false"
    )
