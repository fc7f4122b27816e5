"""/system/storage and /system/live: what waits for the database, and for the clients of the live socket."""

from __future__ import annotations

from typing import cast

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.storage.messages import RecorderView, SpoolView
from godkaiser.actors.storage.rollups import RollupsView
from godkaiser.domain.records.breaker import BreakerView
from godkaiser.http.endpoint import VIEWER, Endpoint
from godkaiser.http.exchange import reply
from godkaiser.http.services import Services

ALARMING = 80
"""Percent of the spool from which the gateway calls itself degraded."""

UNABLE = frozenset({"away", "blocked"})
"""States of the spool in which the database takes nothing."""


class StorageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`breaker` null: the database has none. `spool` holds what waits for the database."""

    breaker: BreakerView | None
    spool: SpoolView
    recorder: RecorderView
    rollups: RollupsView


class LiveSocket(msgspec.Struct, frozen=True, kw_only=True):
    """`waiting` events are to be told; `dropped` ones were too many."""

    port: int
    clients: int
    told: int
    dropped: int
    waiting: int


class LiveAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Null where the live socket is off."""

    live: LiveSocket | None


class SpoolHealth(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    percent: float
    alarm: int


class StorageHealth(msgspec.Struct, frozen=True, kw_only=True):
    """`error` is why the spool cannot give the database what waits."""

    breaker: str
    spool: SpoolHealth
    error: str


ENDPOINTS = (
    Endpoint(
        "GET", "/system/storage", "storage", VIEWER,
        "Show the breaker of the database, the spool, the recorder and the rollups.", StorageAnswer,
        details="`state` of the spool: idle, away, replaying, blocked.",
    ),
    Endpoint(
        "GET", "/system/live", "live", VIEWER,
        "Show the live socket: its port, its clients, events told, dropped, waiting.", LiveAnswer,
        details="See [live.md](live.md); null where it is off.",
    ),
)  # fmt: skip


class StorageResources:
    """From what the actors have published: no database, no waiting."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_storage(self, req: falcon.Request, resp: falcon.Response) -> None:
        system = self._services.system
        breaker = self._services.database.breaker
        answer = StorageAnswer(
            breaker=None if breaker is None else breaker.view(),
            spool=spool_view(self._services),
            recorder=system.published_value(paths.RECORDER, "view") or RecorderView(),
            rollups=system.published_value(paths.ROLLUPS, "view") or RollupsView(),
        )
        reply(resp, answer)

    def on_get_live(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Null where it is switched off."""
        reply(resp, LiveAnswer(live=cast("LiveSocket | None", self._services.live())))


def spool_view(services: Services) -> SpoolView:
    view = services.system.published_value(paths.SPOOL, "view")
    return view if isinstance(view, SpoolView) else SpoolView()


def storage_health(services: Services) -> StorageHealth:
    breaker = services.database.breaker
    spool = spool_view(services)
    return StorageHealth(
        breaker="none" if breaker is None else breaker.view().state,
        spool=SpoolHealth(state=spool.state, percent=spool.percent, alarm=spool.alarm),
        error=spool.last_error if spool.state in UNABLE else "",
    )
