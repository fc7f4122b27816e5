"""/health: whether all is well, for people and for monitors."""

from __future__ import annotations

from typing import Literal

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.link.messages import LinkView
from godkaiser.actors.safety.messages import SafetyView
from godkaiser.actors.storage.messages import RecorderView
from godkaiser.http.endpoint import Endpoint
from godkaiser.http.exchange import encode
from godkaiser.http.resources.system.storage import ALARMING, SpoolHealth, storage_health
from godkaiser.http.services import Services

LOOK_AGAIN_S = 0.1
SHOWN = 100


class BrokerHealth(msgspec.Struct, frozen=True, kw_only=True):
    connected: bool
    address: str
    error: str


class DatabaseHealth(msgspec.Struct, frozen=True, kw_only=True):
    """`breaker`: closed, open, half_open, or none."""

    ok: bool
    error: str
    breaker: str
    spool: SpoolHealth


class ActorsHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The actors that are down or wait; `paths` are the first 100 of them."""

    not_up: int
    paths: list[str]


class DevicesHealth(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    online: int
    offline: int


class HealthAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`warnings`: what an administrator should mend although everything works. `safety_on_disk`: the state of
    all stops would outlive a restart; it does not say that there is a stop. `safety_latched` is its former name.
    """

    status: Literal["healthy", "degraded"]
    version: str
    kaiser_id: str
    uptime_s: float
    broker: BrokerHealth
    database: DatabaseHealth
    warnings: list[str]
    actors: ActorsHealth
    devices: DevicesHealth
    safety: str
    safety_on_disk: bool
    safety_latched: bool
    safety_alarm: str


ENDPOINTS = (
    Endpoint(
        "GET", "/health", "health", None, "Tell whether all is well.", HealthAnswer,
        details="Broker, database with its breaker and spool, devices, safety, and the actors that are down or"
        " wait. `safety_on_disk`: the state of all stops would outlive a restart; it does not say that there is a"
        " stop (`safety` does). `safety_latched` is its former name.",
        is_unlimited=True,
    ),
)  # fmt: skip


class HealthResource:
    """From what the actors have published: no database, no waiting; looked at ten times a second at most."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._newest: tuple[float, bytes] | None = None

    def on_get_health(self, req: falcon.Request, resp: falcon.Response) -> None:
        now = self._services.clock()
        newest = self._newest
        if newest is None or not 0.0 <= now - newest[0] < LOOK_AGAIN_S:
            newest = self._newest = (now, encode(self._look()))
        resp.content_type = falcon.MEDIA_JSON
        resp.data = newest[1]

    def _look(self) -> HealthAnswer:
        system = self._services.system
        link = system.published_value(paths.BROKER, "view")
        recorder = system.published_value(paths.RECORDER, "view")
        safety = system.published_value(paths.SAFETY, "view")
        devices = [
            view.online
            for path in system.children(paths.DEVICES)
            if isinstance(view := system.published_value(path, "view"), DeviceView)
        ]
        connected = isinstance(link, LinkView) and link.connected
        storage = storage_health(self._services)
        # The spool tries again and again: its error is newer, and there also while no reading comes.
        database_error = storage.error or (
            recorder.last_error if isinstance(recorder, RecorderView) else "starting"
        )
        latched = isinstance(safety, SafetyView) and safety.latched
        not_up = sorted(actor.path for actor in system.not_up())
        healthy = (
            connected
            and not database_error
            and latched
            and storage.spool.alarm < ALARMING
            and not not_up
            and not (isinstance(recorder, RecorderView) and recorder.overload)
        )
        return HealthAnswer(
            status="healthy" if healthy else "degraded",
            version=self._services.version,
            kaiser_id=self._services.kaiser_id,
            uptime_s=round(self._services.clock() - self._services.started_at, 3),
            broker=BrokerHealth(
                connected=connected,
                address=link.address if isinstance(link, LinkView) else "",
                error=link.last_error if isinstance(link, LinkView) else "starting",
            ),
            database=DatabaseHealth(
                ok=not database_error,
                error=database_error,
                breaker=storage.breaker,
                spool=storage.spool,
            ),
            warnings=_warnings(recorder, link),
            actors=ActorsHealth(not_up=len(not_up), paths=not_up[:SHOWN]),
            devices=DevicesHealth(
                total=len(devices), online=sum(devices), offline=len(devices) - sum(devices)
            ),
            safety=safety.state if isinstance(safety, SafetyView) else "unknown",
            # Under its former name too: it was read as "a stop is latched".
            safety_on_disk=latched,
            safety_latched=latched,
            safety_alarm=safety.alarm if isinstance(safety, SafetyView) else "",
        )


def _warnings(recorder: object, link: object) -> list[str]:
    texts = []
    if isinstance(recorder, RecorderView):
        texts += [recorder.warning, recorder.overload]
    if isinstance(link, LinkView) and link.rivals:
        times = "once" if link.rivals == 1 else f"{link.rivals} times in a row"
        texts.append(
            f"Another client took one of our client ids from us ({times}): most"
            " likely a second gateway with this kaiser_id. Stop one of the two."
        )
    return [text for text in texts if text]
