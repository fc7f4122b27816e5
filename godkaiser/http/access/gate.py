"""The one check for every way in: REST and the live socket ask the same questions in the same order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from godkaiser.errors.access import ForgedToken, OutOfArea, PermissionDenied, UnknownSecret
from godkaiser.http.access.identity import Identity
from godkaiser.http.access.lockout import Lockout
from godkaiser.http.access.tokens import TokenService
from godkaiser.http.endpoint import Endpoint


def check(identity: Identity, endpoint: Endpoint) -> None:
    """Raises PermissionDenied or OutOfArea."""
    needed = endpoint.role
    if needed is None:
        return
    if identity.role < needed:
        raise PermissionDenied(needed=needed.word, role=identity.role.word)
    area = endpoint.area
    if identity.areas and area not in identity.areas:
        raise OutOfArea(areas=", ".join(identity.areas), area=area)
    if identity.is_key and endpoint.for_people:
        raise PermissionDenied(needed="login of a person", role="an API key")


def _may(identity: Identity, endpoint: Endpoint) -> bool:
    try:
        check(identity, endpoint)
    except (PermissionDenied, OutOfArea):
        return False
    return True


class Gate:
    """Tells who a token or an API key belongs to. Safe from any thread; waits for nothing."""

    def __init__(
        self,
        tokens: Callable[[], TokenService],
        lockout: Lockout,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        tell_audit: Callable[[str, str], None],
        events: Mapping[str, Endpoint],
    ) -> None:
        """`tell_audit` is called with an address and what has happened there. `events` has for each type of
        event the endpoint whose users may hear it.
        """
        self._tokens = tokens
        self._lockout = lockout
        self._clock = clock
        self._monotonic = monotonic
        self._tell_audit = tell_audit
        self._events = events

    def identify(self, token: str) -> Identity:
        """Raises InvalidToken, InvalidApiKey."""
        return self._tokens().identify(token, self._clock())

    def identify_stop(self, token: str) -> Identity:
        """Also takes the stop token of a page, which is good for nothing else. Raises InvalidToken, InvalidApiKey."""
        return self._tokens().identify_stop(token, self._clock())

    def blame(self, address: str) -> None:
        """After a forged token or an unknown key from this address. Raises TooManyRequests.

        Good ones of the same address stay good: others may share it.
        """
        now = self._monotonic()
        self._lockout.check("", address, now)
        locked = self._lockout.failed("", address, now)
        if locked:
            self._tell_audit(address, locked)

    def hears(self, token: str, address: str) -> frozenset[str]:
        """What a client of the live socket may hear.

        Raises:
            InvalidToken, InvalidApiKey, TooManyRequests.
            OutOfArea: it is confined to areas in which nothing happens.
        """
        try:
            identity = self.identify(token)
        except (ForgedToken, UnknownSecret):
            self.blame(address)
            raise
        types = frozenset(kind for kind, one in self._events.items() if _may(identity, one))
        if not types:
            raise OutOfArea(areas=", ".join(identity.areas), area="the live socket")
        return types
