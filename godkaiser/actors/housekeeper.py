"""The housekeeper: what is to be tidied from time to time, in the database."""

from __future__ import annotations

from godkaiser.actors.timekeeper import Tick
from godkaiser.errors import DatabaseUnavailable
from godkaiser.storage import accounts
from godkaiser.storage.database import Database
from godkaiser.supervision import Actor

PURGE_JOB = "purge_expired_tokens"


class HousekeeperActor(Actor):
    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    def on_start(self) -> None:
        self.context.join(PURGE_JOB)

    def on_receive(self, message: object) -> None:
        match message:
            case Tick(job=job, at=at) if job == PURGE_JOB:
                self._purge(at)
            case _:
                self.context.unhandled(message)

    def on_stop(self) -> None:
        self._database.close_thread()

    def _purge(self, now: float) -> None:
        try:
            purged = accounts.purge_expired(self._database, now)
        except DatabaseUnavailable as error:
            self.context.publish(PURGE_JOB, error.message)
            return
        self.context.publish(PURGE_JOB, f"{purged} removed")
