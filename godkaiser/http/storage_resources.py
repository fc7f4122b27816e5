"""/system/spool: what waits for the database."""

from __future__ import annotations

import falcon

from godkaiser import paths
from godkaiser.http.exchange import reply
from godkaiser.http.services import Services
from godkaiser.messages import SpoolView


class StorageResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_spool(self, req: falcon.Request, resp: falcon.Response) -> None:
        """From what the spool's keeper has published: no database, no waiting."""
        reply(resp, self._services.system.published_value(paths.SPOOL, "view") or SpoolView())
