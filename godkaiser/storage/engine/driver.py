"""The driver of PostgreSQL, which comes with the extra [postgresql]; SQLite works without it."""

from __future__ import annotations

try:
    import psycopg2
except ModuleNotFoundError:
    psycopg2 = None  # type: ignore[assignment]

TRANSACTION_STATUS_IDLE: int = (
    0 if psycopg2 is None else psycopg2.extensions.TRANSACTION_STATUS_IDLE
)


def errors(*names: str) -> tuple[type[Exception], ...]:
    """The driver's exceptions of these names; none without the driver, since nothing raises them then."""
    return () if psycopg2 is None else tuple(getattr(psycopg2, name) for name in names)
