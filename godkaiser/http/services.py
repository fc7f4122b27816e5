"""What the resources need, passed in by the composition root."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from godkaiser.config.changes import Reloaded
from godkaiser.domain.entities import Issuer, Reading, SensorKey
from godkaiser.http.access.desk import AccessDesk
from godkaiser.http.access.gate import Gate
from godkaiser.http.access.idempotency import Idempotency
from godkaiser.http.access.lockout import Lockout
from godkaiser.http.access.rate_limit import RateLimit
from godkaiser.http.access.tokens import TokenService
from godkaiser.storage.engine.database import Database
from godkaiser.supervision import ActorSystem

MOST_WAITERS = 4


def _waiters() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(MOST_WAITERS)


@dataclass(frozen=True, slots=True)
class Services:
    """`clock` gives unix seconds; `started_at` is when the gateway came up."""

    system: ActorSystem
    database: Database
    desk: AccessDesk
    tokens: TokenService
    gate: Gate
    lockout: Lockout
    """Its times are monotonic, as are those of `rate_limit`."""
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    started_at: float
    version: str
    kaiser_id: str
    live: Callable[[], object]
    """What is known of the live socket; None when there is none."""
    rate_limit: RateLimit
    idempotency: Idempotency
    reload: Callable[[Issuer], Reloaded]
    stored_newest: Mapping[str, Mapping[SensorKey, Reading]] = field(default_factory=dict)
    """By device, the newest readings from before the start."""
    debug: bool = False
    """Whether the endpoints for debugging are open."""
    cors_origins: tuple[str, ...] = ()
    """Whose pages may read answers in a browser."""
    waiters: threading.BoundedSemaphore = field(default_factory=_waiters)
    """Taken by each request that waits for a device: some threads are always left for a stop."""
