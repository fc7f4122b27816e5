"""The one writer of the keys that sign tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from godkaiser.actors.access.messages import RotateSigningKey
from godkaiser.domain.signing_keys import SigningKey, rotated
from godkaiser.errors.access import SigningKeyGiven
from godkaiser.errors.base import GatewayError, ServiceUnavailable
from godkaiser.storage.files import signing_key_file
from godkaiser.supervision import Actor, Waiting


class SigningKeysActor(Actor):
    """Publishes "keys". A key is written to the file before it signs."""

    refusals = (GatewayError,)

    def __init__(self, given: tuple[SigningKey, ...] | None, path: Path) -> None:
        """`given` keys come from the environment and never change; None: the keys are in `path`."""
        super().__init__()
        self._given = given
        self._path = path
        self._keys: tuple[SigningKey, ...] = ()

    def on_start(self) -> None:
        self._keys = self._given if self._given is not None else self._read()
        self.context.publish("keys", self._keys)

    def on_receive(self, message: object) -> Any:
        match message:
            case RotateSigningKey(overlap_s=overlap_s):
                return self._rotate(overlap_s)
        return self.context.unhandled(message)

    def _read(self) -> tuple[SigningKey, ...]:
        """Raises Waiting; meanwhile requests use the keys that were published last."""
        try:
            return signing_key_file.read(self._path)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise Waiting(f"the key file {self._path} cannot be used: {why}") from error

    def _rotate(self, overlap_s: float) -> tuple[SigningKey, ...]:
        """Raises SigningKeyGiven, ServiceUnavailable."""
        if self._given is not None:
            raise SigningKeyGiven
        secret = signing_key_file.fresh_secret()
        keys = rotated(self._keys, secret, self.context.now(), overlap_s)
        try:
            signing_key_file.write(self._path, keys)
        except OSError as error:
            reason = f"The key file cannot be written: {error.strerror}. The key is unchanged."
            raise ServiceUnavailable(reason=reason) from error
        self._keys = keys
        self.context.publish("keys", keys)
        return keys
