"""/system/storage and /system/live: what waits for the database, and for the clients of the live socket."""

from __future__ import annotations

from typing import Any

import falcon

from godkaiser import paths
from godkaiser.actors.storage.messages import RecorderView, SpoolView
from godkaiser.actors.storage.rollups import RollupsView
from godkaiser.http.exchange import reply
from godkaiser.http.services import Services

ALARMING = 80
"""Percent of the spool from which the gateway calls itself degraded."""

UNABLE = frozenset({"away", "blocked"})
"""States of the spool in which the database takes nothing."""


class StorageResources:
    """From what the actors have published: no database, no waiting."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_storage(self, req: falcon.Request, resp: falcon.Response) -> None:
        system = self._services.system
        breaker = self._services.database.breaker
        body = {
            "breaker": None if breaker is None else breaker.view(),
            "spool": spool_view(self._services),
            "recorder": system.published_value(paths.RECORDER, "view") or RecorderView(),
            "rollups": system.published_value(paths.ROLLUPS, "view") or RollupsView(),
        }
        reply(resp, body)

    def on_get_live(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Null where it is switched off."""
        reply(resp, {"live": self._services.live()})


def spool_view(services: Services) -> SpoolView:
    view = services.system.published_value(paths.SPOOL, "view")
    return view if isinstance(view, SpoolView) else SpoolView()


def storage_health(services: Services) -> dict[str, Any]:
    """For /health: the breaker's state, and the spool in short."""
    breaker = services.database.breaker
    spool = spool_view(services)
    return {
        "breaker": "none" if breaker is None else breaker.view().state,
        "spool": {
            "state": spool.state,
            "percent": spool.percent,
            "alarm": spool.alarm,
        },
    }


def spool_error(services: Services) -> str:
    """Why it cannot replay; empty while it can."""
    spool = spool_view(services)
    return spool.last_error if spool.state in UNABLE else ""
