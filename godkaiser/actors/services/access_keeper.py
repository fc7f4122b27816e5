"""The access keeper: writes down which API keys were used, and reads what another gateway has changed.

Requests are checked against memory and never wait for it. While the database is away it tries again.
"""

from __future__ import annotations

from collections.abc import Callable

from godkaiser.actors.message import Message
from godkaiser.errors.base import ServiceUnavailable
from godkaiser.storage.engine.database import Database
from godkaiser.supervision import Actor

EVERY_S = 5.0


class RefreshAccess(Message, frozen=True, kw_only=True):
    """To oneself."""


class AccessKeeperActor(Actor):
    def __init__(self, database: Database, refresh: Callable[[], None]) -> None:
        """`refresh` raises ServiceUnavailable while the database is away."""
        super().__init__()
        self._database = database
        self._refresh = refresh

    def on_start(self) -> None:
        self._schedule()

    def on_receive(self, message: object) -> None:
        match message:
            case RefreshAccess():
                self._attempt()
                self._schedule()
            case _:
                self.context.unhandled(message)

    def _attempt(self) -> None:
        try:
            self._refresh()
        except ServiceUnavailable:
            return
        finally:
            self._database.close_thread()

    def _schedule(self) -> None:
        self.context.schedule(EVERY_S, RefreshAccess(), key="refresh")
