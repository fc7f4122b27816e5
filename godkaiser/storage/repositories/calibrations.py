"""Calibration sessions: open, applied, aborted or undone; each with its points and the calibration
that it replaced.
"""

from __future__ import annotations

import msgspec

from godkaiser.domain.entities import SensorKey
from godkaiser.domain.sensors.calibration import CalibrationSession
from godkaiser.storage.engine.database import Database


def begin_session(database: Database, session: CalibrationSession) -> CalibrationSession:
    """Store a new session; returns it with its number."""
    with database.transaction():
        newest = database.fetch("SELECT max(session_id) FROM calibration_sessions")[0][0]
        numbered = msgspec.structs.replace(session, session_id=int(newest or 0) + 1)
        key = session.key
        database.execute(
            "INSERT INTO calibration_sessions"
            " (session_id, esp_id, gpio, sensor_type, address, body) VALUES (?,?,?,?,?,?)",
            (
                numbered.session_id,
                key.esp_id,
                key.gpio,
                key.sensor_type,
                key.address,
                _text(numbered),
            ),
        )
    return numbered


def save_session(database: Database, session: CalibrationSession) -> None:
    with database.transaction():
        database.execute(
            "UPDATE calibration_sessions SET body = ? WHERE session_id = ?",
            (_text(session), session.session_id),
        )


def find_session(database: Database, session_id: int) -> CalibrationSession | None:
    rows = database.fetch(
        "SELECT body FROM calibration_sessions WHERE session_id = ?", (session_id,)
    )
    return _session(rows[0][0]) if rows else None


def sessions_of(database: Database, key: SensorKey) -> list[CalibrationSession]:
    """Newest first."""
    rows = database.fetch(
        "SELECT body FROM calibration_sessions"
        " WHERE esp_id = ? AND gpio = ? AND sensor_type = ? AND address = ?"
        " ORDER BY session_id DESC LIMIT 100",
        (key.esp_id, key.gpio, key.sensor_type, key.address),
    )
    return [_session(body) for (body,) in rows]


def _text(session: CalibrationSession) -> str:
    return msgspec.json.encode(session).decode()


def _session(body: str) -> CalibrationSession:
    return msgspec.json.decode(body, type=CalibrationSession)
