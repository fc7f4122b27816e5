"""The way from requests to the actors of `/services/access`: look at what they publish, ask them to write."""

from __future__ import annotations

from typing import Any

from godkaiser import paths
from godkaiser.actors.access.messages import KeyUsed, RotateSigningKey
from godkaiser.actors.message import Message
from godkaiser.domain.access import Access
from godkaiser.domain.signing_keys import SigningKey
from godkaiser.errors.base import ServiceUnavailable
from godkaiser.errors.safety import OutcomeUnknown
from godkaiser.http.exchange import ask
from godkaiser.supervision import ActorCrashed, ActorSystem

PATIENCE_S = 2.0
"""For a change that waits behind others: those who log in must not take all threads of the API."""


class AccessDesk:
    """Safe from any thread. Looking waits for nothing: neither for an actor, nor the database, nor a disk."""

    def __init__(
        self, system: ActorSystem, access: Access, signing_keys: tuple[SigningKey, ...]
    ) -> None:
        """`access` and `signing_keys` are of the start, until the actors publish theirs."""
        self._system = system
        self._first_access = access
        self._first_signing_keys = signing_keys

    @property
    def access(self) -> Access:
        found: Access | None = self._system.published_value(paths.ACCOUNTS, "access")
        return self._first_access if found is None else found

    @property
    def signing_keys(self) -> tuple[SigningKey, ...]:
        """The first one signs."""
        found: tuple[SigningKey, ...] | None = self._system.published_value(
            paths.SIGNING_KEYS, "keys"
        )
        return self._first_signing_keys if found is None else found

    def note_use(self, key_id: int, now: float) -> None:
        """Written down later. One that finds no room is not noted: the request does not wait for it."""
        self._system.handle(paths.ACCOUNTS).offer(KeyUsed(key_id=key_id, at=now))

    def change(self, message: Message) -> Any:
        """Ask for a change of accounts, logins or API keys.

        Raises:
            ServiceUnavailable: nothing was changed, and nothing will be.
            OutcomeUnknown, DatabaseInDoubt, and what the message names.
        """
        return self._ask(paths.ACCOUNTS, message)

    def rotate_signing_key(self, overlap_s: float) -> tuple[SigningKey, ...]:
        """All keys. Raises SigningKeyGiven, ServiceUnavailable, OutcomeUnknown."""
        keys: tuple[SigningKey, ...] = self._ask(
            paths.SIGNING_KEYS, RotateSigningKey(overlap_s=overlap_s)
        )
        return keys

    def once(self, message: Message) -> Any:
        """Ask about a command with an `Idempotency-Key`. Raises as `change`."""
        return self._ask(paths.IDEMPOTENCY, message)

    def tell_once(self, message: Message) -> None:
        """Without waiting for it."""
        self._system.handle(paths.IDEMPOTENCY).tell(message)

    def _ask(self, path: str, message: Message) -> Any:
        try:
            return ask(self._system, path, message, timeout_s=PATIENCE_S)
        except ServiceUnavailable as error:
            if isinstance(error.__cause__, ActorCrashed):
                # In the midst of it, or after it.
                raise OutcomeUnknown(path=path) from error
            raise
