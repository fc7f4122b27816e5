"""The schema, as numbered steps forward. Each runs once, in a transaction, on either engine."""

from __future__ import annotations

from collections.abc import Mapping

from godkaiser.errors.process import StartupFailed
from godkaiser.storage.engine.database import Database

_SQLITE_WORDS: Mapping[str, str] = {
    "{serial}": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "{float}": "REAL",
    "{bool}": "INTEGER",
    "{clustered}": " WITHOUT ROWID",
    "{covered}": "",
    "{marks_key}": ", PRIMARY KEY (series_id, start_ms, end_ms)",
    "{covering_readings}": "",
    "{vacuum_often}": "",
}
_POSTGRESQL_WORDS: Mapping[str, str] = {
    "{serial}": "BIGSERIAL PRIMARY KEY",
    "{float}": "DOUBLE PRECISION",
    "{bool}": "BOOLEAN",
    "{clustered}": "",
    # Rows of one sensor are spread over the table, so a time span is read from the index alone.
    "{covered}": " INCLUDE (count, valued, total, lowest, highest, last, last_ms)",
    "{marks_key}": "",
    "{covering_readings}": """
        ALTER TABLE sensor_data DROP CONSTRAINT sensor_data_pkey,
            ADD PRIMARY KEY (series_id, at_ms, content_key) INCLUDE (value, quality)
    """,
    # Only vacuumed pages can be read from the index alone; by default vacuum waits for a fifth of
    # all rows.
    "{vacuum_often}": """
        ALTER TABLE sensor_data SET (autovacuum_vacuum_insert_scale_factor = 0.0,
            autovacuum_vacuum_insert_threshold = 200000)
    """,
}

_INITIAL = """
CREATE TABLE users (
    id {serial},
    username TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    disabled {bool} NOT NULL,
    created_at {float} NOT NULL
);
CREATE TABLE refresh_families (
    family TEXT PRIMARY KEY,
    username TEXT NOT NULL,
    current_jti TEXT NOT NULL,
    revoked {bool} NOT NULL,
    expires_at {float} NOT NULL
);
CREATE TABLE token_blacklist (
    jti TEXT PRIMARY KEY,
    expires_at {float} NOT NULL
);
CREATE TABLE devices (
    device_id TEXT PRIMARY KEY,
    body TEXT NOT NULL
);
CREATE TABLE sensors (
    esp_id TEXT NOT NULL,
    gpio INTEGER NOT NULL,
    sensor_type TEXT NOT NULL,
    address TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (esp_id, gpio, sensor_type, address)
);
CREATE TABLE actuators (
    esp_id TEXT NOT NULL,
    gpio INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (esp_id, gpio)
);
CREATE TABLE rules (
    id {serial},
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    version INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    updated_at {float} NOT NULL
);
CREATE TABLE rule_memory (
    rule_id BIGINT PRIMARY KEY,
    body TEXT NOT NULL
);
CREATE TABLE rule_executions (
    id {serial},
    rule_id BIGINT NOT NULL,
    at {float} NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX rule_executions_by_time ON rule_executions (rule_id, at);
CREATE TABLE series (
    id {serial},
    esp_id TEXT NOT NULL,
    gpio INTEGER NOT NULL,
    sensor_type TEXT NOT NULL,
    address TEXT NOT NULL,
    UNIQUE (esp_id, gpio, sensor_type, address)
);
CREATE TABLE sensor_data (
    series_id BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    content_key BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    raw {float} NOT NULL,
    value {float},
    unit TEXT NOT NULL,
    quality TEXT NOT NULL,
    PRIMARY KEY (series_id, at_ms, content_key)
){clustered};
CREATE TABLE command_history (
    correlation_id TEXT PRIMARY KEY,
    esp_id TEXT NOT NULL,
    gpio INTEGER NOT NULL,
    verb TEXT NOT NULL,
    value {float},
    duration_s {float} NOT NULL,
    issuer TEXT NOT NULL,
    requested_at {float} NOT NULL,
    state TEXT NOT NULL,
    message TEXT NOT NULL,
    verdict TEXT NOT NULL,
    ended_at {float}
);
CREATE INDEX command_history_by_actuator ON command_history (esp_id, gpio, requested_at);
CREATE TABLE actuator_runtime (
    esp_id TEXT NOT NULL,
    gpio INTEGER NOT NULL,
    desired {float} NOT NULL,
    on_since {float},
    lease_until {float},
    owner TEXT NOT NULL,
    PRIMARY KEY (esp_id, gpio)
);
CREATE TABLE safety_state (
    id INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    at {float} NOT NULL
);
CREATE TABLE audit_log (
    seq {serial},
    at {float} NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    source TEXT NOT NULL,
    result TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    details TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX audit_log_by_time ON audit_log (at);
"""

_INTERLOCKS = """
CREATE TABLE interlocks (
    id {serial},
    body TEXT NOT NULL
);
"""

_HOLDS = """
CREATE TABLE holds (
    esp_id TEXT NOT NULL,
    gpio INTEGER NOT NULL,
    held_by TEXT NOT NULL,
    until {float},
    PRIMARY KEY (esp_id, gpio)
);
"""

_MOCKS = """
CREATE TABLE mock_devices (
    mock_id TEXT PRIMARY KEY,
    body TEXT NOT NULL
);
"""

_SPOOL_POSITION = """
CREATE TABLE spool_position (
    stream TEXT PRIMARY KEY,
    epoch TEXT NOT NULL,
    position BIGINT NOT NULL
);
"""

_AUDIT_CHAIN = f"""
CREATE TABLE audit_chain (
    name TEXT PRIMARY KEY,
    hash TEXT NOT NULL
);
INSERT INTO audit_chain (name, hash)
    SELECT 'head', COALESCE((SELECT hash FROM audit_log ORDER BY seq DESC LIMIT 1), '{"0" * 64}');
CREATE INDEX command_history_by_time ON command_history (requested_at);
CREATE INDEX rule_executions_by_age ON rule_executions (at);
"""

_CALIBRATIONS = """
CREATE TABLE calibration_sessions (
    session_id BIGINT PRIMARY KEY,
    esp_id TEXT NOT NULL,
    gpio INTEGER NOT NULL,
    sensor_type TEXT NOT NULL,
    address TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX calibration_sessions_by_sensor
    ON calibration_sessions (esp_id, gpio, sensor_type, address);
CREATE TABLE recalculations (
    esp_id TEXT NOT NULL,
    gpio INTEGER NOT NULL,
    sensor_type TEXT NOT NULL,
    address TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (esp_id, gpio, sensor_type, address)
);
"""

_RULE_VERSIONS = """
CREATE TABLE rule_versions (
    rule_id BIGINT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    saved_by TEXT NOT NULL,
    saved_at {float} NOT NULL,
    PRIMARY KEY (rule_id, version)
);
INSERT INTO rule_versions (rule_id, version, body, saved_by, saved_at)
    SELECT id, version, body, updated_by, updated_at FROM rules;
ALTER TABLE rules ADD COLUMN declared TEXT NOT NULL DEFAULT '';
"""

_ROLLUP_COLUMNS = """
    series_id BIGINT NOT NULL,
    bucket_ms BIGINT NOT NULL,
    quality TEXT NOT NULL,
    count BIGINT NOT NULL,
    valued BIGINT NOT NULL,
    total {float} NOT NULL,
    lowest {float},
    highest {float},
    last {float},
    last_ms BIGINT,
    PRIMARY KEY (series_id, bucket_ms, quality){covered}
"""
# Existing readings are marked, one span for each series; their buckets are computed later.
_ROLLUPS = f"""
CREATE TABLE rollup_1m ({_ROLLUP_COLUMNS}){{clustered}};
CREATE TABLE rollup_1h ({_ROLLUP_COLUMNS}){{clustered}};
CREATE TABLE rollup_pending (
    series_id BIGINT NOT NULL,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT NOT NULL{{marks_key}}
){{clustered}};
CREATE TABLE rollup_floor (
    name TEXT PRIMARY KEY,
    at_ms BIGINT NOT NULL
);
{{covering_readings}};
{{vacuum_often}};
INSERT INTO rollup_pending (series_id, start_ms, end_ms)
    SELECT id, oldest - oldest % 60000, newest - newest % 60000 + 60000
    FROM (SELECT id,
            (SELECT min(at_ms) FROM sensor_data WHERE series_id = series.id) AS oldest,
            (SELECT max(at_ms) FROM sensor_data WHERE series_id = series.id) AS newest
        FROM series) AS stored
    WHERE oldest IS NOT NULL;
"""

_ACCESS = """
ALTER TABLE users ADD COLUMN valid_from {float} NOT NULL DEFAULT 0;
CREATE TABLE api_keys (
    id {serial},
    name TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    areas TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at {float} NOT NULL,
    expires_at {float} NOT NULL,
    last_used_at {float}
)
"""

_BROKER_ACCOUNTS = """
CREATE TABLE broker_accounts (
    device_id TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at {float} NOT NULL
)
"""

_WEBHOOKS = """
CREATE TABLE webhooks (
    webhook_id BIGINT PRIMARY KEY,
    body TEXT NOT NULL
)
"""

_ACCESS_VERSION = """
CREATE TABLE access_version (
    name TEXT PRIMARY KEY,
    version BIGINT NOT NULL
);
INSERT INTO access_version (name, version) VALUES ('access', 0);
DELETE FROM refresh_families WHERE revoked;
CREATE INDEX audit_log_by_correlation ON audit_log (correlation_id)
"""

# The times that an earlier version stored are from an unknown boot, so the actuator may be on.
_ACTUATOR_MEMORY = """
CREATE TABLE actuator_memory (
    esp_id TEXT NOT NULL,
    gpio INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (esp_id, gpio)
);
INSERT INTO actuator_memory (esp_id, gpio, body)
    SELECT esp_id, gpio, '{"boot_id":"","at":0.0,"in_doubt":true}' FROM actuator_runtime;
DROP TABLE actuator_runtime
"""


_STEPS: tuple[tuple[str, str], ...] = (
    ("initial", _INITIAL),
    ("interlocks", _INTERLOCKS),
    ("holds", _HOLDS),
    ("mock_devices", _MOCKS),
    ("spool position", _SPOOL_POSITION),
    ("audit chain", _AUDIT_CHAIN),
    ("rollups", _ROLLUPS),
    ("calibrations", _CALIBRATIONS),
    ("rule versions", _RULE_VERSIONS),
    ("access", _ACCESS),
    ("broker accounts", _BROKER_ACCOUNTS),
    ("webhooks", _WEBHOOKS),
    ("access version", _ACCESS_VERSION),
    ("actuator memory", _ACTUATOR_MEMORY),
)
NEWEST = len(_STEPS)


def version_of(database: Database) -> int:
    """The schema's version; 0 for an empty database. Changes nothing."""
    ((is_there,),) = database.fetch(
        "SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'"
        if database.is_sqlite
        else "SELECT to_regclass('schema_version') IS NOT NULL"
    )
    if not is_there:
        return 0
    (newest,) = database.fetch("SELECT max(version) FROM schema_version")[0]
    return int(newest or 0)


def texts(until: int) -> list[str]:
    """The SQL of the steps up to version `until`, with its placeholders for engine-specific words."""
    return [text for _, text in _STEPS[:until]]


def pending(database: Database) -> list[str]:
    """The names of the steps that are missing in this database.

    Raises:
        StartupFailed: the schema is newer than this program.
    """
    return [name for name, _ in _STEPS[_known_version(database) :]]


def migrate(database: Database, until: int = NEWEST) -> list[str]:
    """Upgrade the schema to the newest version, or to `until`; returns the names of the applied
    steps.

    If two programs do this at once, one waits and applies the remaining steps.

    Raises:
        StartupFailed: the schema is newer than this program.
    """
    present = _known_version(database)
    with database.transaction() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS schema_version"
            " (version INTEGER PRIMARY KEY, name TEXT NOT NULL)"
        )
    words = _SQLITE_WORDS if database.is_sqlite else _POSTGRESQL_WORDS
    taken = []
    for number, (name, text) in enumerate(_STEPS[present:until], start=present + 1):
        for word, replacement in words.items():
            text = text.replace(word, replacement)  # noqa: PLW2901
        with database.transaction() as cursor:
            if not database.is_sqlite:
                # With years of readings, a new index takes longer than the statement timeout.
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("LOCK TABLE schema_version IN EXCLUSIVE MODE")
            if version_of(database) >= number:
                continue
            for statement in filter(None, (part.strip() for part in text.split(";"))):
                cursor.execute(statement)
            cursor.execute(
                database.sql("INSERT INTO schema_version (version, name) VALUES (?, ?)"),
                (number, name),
            )
        taken.append(name)
    return taken


def _known_version(database: Database) -> int:
    present = version_of(database)
    if present > NEWEST:
        reason = (
            f"{database.shown} has schema version {present}, this program supports {NEWEST}."
            " Install the newer program again, or restore a backup from before the upgrade."
        )
        raise StartupFailed(reason=reason)
    return present
