"""What the resources need, passed in by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from godkaiser.http.lockout import Lockout
from godkaiser.http.tokens import TokenService
from godkaiser.storage.database import Database
from godkaiser.supervision import ActorSystem


@dataclass(frozen=True, slots=True)
class Services:
    """`clock` gives unix seconds; `started_at` is when the gateway came up."""

    system: ActorSystem
    database: Database
    tokens: TokenService
    lockout: Lockout
    clock: Callable[[], float]
    started_at: float
    version: str
    kaiser_id: str
