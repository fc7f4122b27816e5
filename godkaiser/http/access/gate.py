"""The one check for every way in: REST and the live socket ask the same questions in the same order."""

from __future__ import annotations

from collections.abc import Callable

from godkaiser.errors.access import ForgedToken, OutOfArea, PermissionDenied, UnknownSecret
from godkaiser.http.access.identity import Identity
from godkaiser.http.access.lockout import Lockout
from godkaiser.http.access.permissions import EVENTS, FOR_PEOPLE, PERMISSIONS
from godkaiser.http.access.tokens import TokenService


def check(identity: Identity, method: str, template: str) -> None:
    """Raises PermissionDenied or OutOfArea; `template` is a path of the table of permissions."""
    needed = PERMISSIONS[method, template]
    if needed is None:
        return
    if identity.role < needed:
        raise PermissionDenied(needed=needed.word, role=identity.role.word)
    area = template.split("/")[1]
    if identity.areas and area not in identity.areas:
        raise OutOfArea(areas=", ".join(identity.areas), area=area)
    if identity.is_key and (method, template) in FOR_PEOPLE:
        raise PermissionDenied(needed="login of a person", role="an API key")


def types_heard_by(identity: Identity) -> frozenset[str]:
    """The types of events that the live socket may tell."""
    return frozenset(kind for kind, endpoint in EVENTS.items() if _may(identity, *endpoint))


def _may(identity: Identity, method: str, template: str) -> bool:
    try:
        check(identity, method, template)
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
    ) -> None:
        """`tell_audit` is called with an address and what has happened there."""
        self._tokens = tokens
        self._lockout = lockout
        self._clock = clock
        self._monotonic = monotonic
        self._tell_audit = tell_audit

    def identify(self, token: str) -> Identity:
        """Raises InvalidToken, InvalidApiKey."""
        return self._tokens().identify(token, self._clock())

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
        types = types_heard_by(identity)
        if not types:
            raise OutOfArea(areas=", ".join(identity.areas), area="the live socket")
        return types
