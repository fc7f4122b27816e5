"""Outbound HTTP connections: only to checked addresses, and with one deadline for the whole
delivery.

A name is resolved once, and the connection goes to the checked address, so a name that changes to
an internal address has no effect. A receiver that sends a byte now and then is cut off like a
silent one.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from godkaiser.domain.addresses import Destinations
from godkaiser.errors.base import ValidationFailed

DELIVERY_S = 8.0
"""Deadline for a whole delivery: name, connection, TLS, request and answer."""
RESOLVERS = 32
"""Maximum number of simultaneous look-ups; a resolver that does not answer blocks its thread for a
while.
"""

_resolving = threading.BoundedSemaphore(RESOLVERS)


class NotAcceptedError(OSError):
    """The answer was not 2xx; `code` is the status."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        super().__init__(f"answered with {code} {reason}"[:200])


class Deadline:
    """The moment, on the monotonic clock, at which a delivery ends at the latest."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds
        self.has_passed = False

    def left_s(self) -> float:
        """The seconds left. Raises TimeoutError if none are left."""
        left = self._at - time.monotonic()
        if left <= 0.0:
            raise self.error()
        return left

    def error(self) -> TimeoutError:
        return TimeoutError(f"it took longer than {self._seconds:g} s")

    @contextmanager
    def cuts(self, link: socket.socket) -> Iterator[None]:
        """End every use of the connection inside this context at the deadline.

        A socket timeout limits each read; this limits everything, including the TLS handshake.
        """
        # A duplicate descriptor, because TLS takes over the original.
        own = link.dup()
        timer = threading.Timer(max(0.0, self._at - time.monotonic()), self._cut, (own,))
        timer.daemon = True
        timer.start()
        try:
            yield
        except OSError as error:
            if self.has_passed:
                raise self.error() from error
            raise
        finally:
            timer.cancel()
            timer.join()
            own.close()
        if self.has_passed:
            # A truncated header can look complete.
            raise self.error()

    def _cut(self, link: socket.socket) -> None:
        self.has_passed = True
        try:
            link.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The other side has already closed it.
            return


class Outbound:
    """Makes outbound requests. Safe from any thread."""

    def __init__(self, destinations: Destinations) -> None:
        self._destinations = destinations

    def check(self, url: str) -> None:
        """Raises ValidationFailed if the URL is clearly internal, even before its name is resolved."""
        refusal = self._destinations.refusal_of_host(urlsplit(url).hostname or "")
        if refusal:
            raise ValidationFailed(reason=f"url: {refusal}.")

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], within_s: float = DELIVERY_S
    ) -> None:
        """POST JSON to another program.

        Raises:
            OSError: the destination is not allowed, or there was no 2xx answer in time.
        """
        deadline = Deadline(within_s)
        try:
            parts = urlsplit(url)
            is_tls, host, port = parts.scheme == "https", parts.hostname or "", parts.port
        except ValueError as error:
            raise OSError(str(error)[:200]) from error
        link = self._connected(host, port or (443 if is_tls else 80), deadline)
        try:
            with deadline.cuts(link):
                if is_tls:
                    context = ssl.create_default_context()
                    link = context.wrap_socket(
                        link, server_hostname=host, do_handshake_on_connect=False
                    )
                    link.do_handshake()
                _request(link, url, body, headers)
        finally:
            link.close()

    def _connected(self, host: str, port: int, deadline: Deadline) -> socket.socket:
        """Connect to the first allowed address that answers. Raises OSError."""
        refusal = self._destinations.refusal_of_host(host)
        if refusal:
            raise PermissionError(refusal)
        return connected(
            host, port, deadline, lambda address: self._destinations.refusal_of(host, address)
        )


def connected(
    host: str, port: int, deadline: Deadline, refusal_of: Callable[[str], str] = lambda _address: ""
) -> socket.socket:
    """To the first address that is not refused and answers. Raises OSError."""
    failure: OSError | None = None
    for address in resolve(host, port, deadline):
        refusal = refusal_of(address)
        if refusal:
            failure = failure or PermissionError(refusal)
            continue
        try:
            return socket.create_connection((address, port), timeout=deadline.left_s())
        except OSError as error:
            failure = error
    raise failure or OSError(f"{host[:80]} has no address")


def resolve(host: str, port: int, deadline: Deadline) -> list[str]:
    """The addresses of a name. Raises OSError; the system's resolver has no timeout of its own."""
    if not _resolving.acquire(timeout=deadline.left_s()):
        raise deadline.error()
    found: list[str] = []
    errors: list[OSError] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(str(entry[4][0]) for entry in entries)
        except (OSError, UnicodeError) as error:
            errors.append(error if isinstance(error, OSError) else OSError(str(error)))
        finally:
            _resolving.release()
            done.set()

    threading.Thread(target=look_up, name="resolver", daemon=True).start()
    if not done.wait(deadline.left_s()):
        raise deadline.error()
    if errors:
        raise errors[0]
    return list(dict.fromkeys(found))


def _request(link: socket.socket, url: str, body: bytes, headers: Mapping[str, str]) -> None:
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    connection.sock = link
    sent = {"Host": parts.netloc.rpartition("@")[2], "Content-Type": "application/json",
            "User-Agent": "god-kaiser", "Connection": "close", **headers}  # fmt: skip
    try:
        connection.request("POST", path, body, sent)
        answer = connection.getresponse()
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(str(error)[:200] or type(error).__name__) from error
    # Only the status matters; the rest is not read.
    answer.close()
    if not http.HTTPStatus.OK <= answer.status < http.HTTPStatus.MULTIPLE_CHOICES:
        raise NotAcceptedError(answer.status, answer.reason)
