"""What a database is found to be when it is opened. The kind: a database that looks usable at the start and is not."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import time
from contextlib import closing

import psycopg2
import pytest

from godkaiser.config.settings import Config, DatabaseConfig, GatewayConfig
from godkaiser.domain.declared import NOTHING
from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.errors.process import DatabaseAway, StartupFailed
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.storage.audit.trail import AuditEntry, append_entries
from godkaiser.storage.engine import engines, migrations
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.series.readings import ReadingWriter
from godkaiser.storage.stores import open_stores
from tests.provision.install import find
from tests.provision.proxy import Proxy

NOW = 1_767_096_000.0


def reading(n):
    key = SensorKey("ESP_A00001", 4, "ds18b20")
    return Reading(key, NOW + n, NOW + n, n, n, "°C", Quality.GOOD, "", n)


def config_of(folder, url=""):
    return Config(gateway=GatewayConfig(data_dir=str(folder)), database=DatabaseConfig(url=url))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused_with_the_command_that_makes_one(
    postgres, encoding
):
    connection = psycopg2.connect(postgres._url("postgres"))
    connection.autocommit = True
    name = f"old_{encoding.lower()}"
    connection.cursor().execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    )
    connection.close()
    with pytest.raises(StartupFailed, match=encoding) as refusal:
        open_database(postgres._url(name))
    assert not isinstance(refusal.value, DatabaseAway)
    command = re.search(r"createdb \S+ \S+ \S+ (\S+),", refusal.value.message)
    assert command is not None
    created = command[0].rstrip(",").split()
    subprocess.run(
        [find("createdb") or "createdb", "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "test",
         *created[1:]],
        check=True,
    )  # fmt: skip
    database = open_database(postgres._url(command[1]))
    migrations.migrate(database)
    ReadingWriter(database).write([reading(1)])
    database.close_all()


@pytest.mark.parametrize("trace", ["safety.latch", "jwt.key"])
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_lost_database_file_is_not_taken_for_a_first_start(tmp_path, trace, how):
    (tmp_path / trace).write_bytes(b"x")
    if how == "empty":
        (tmp_path / "godkaiser.db").touch()
    with pytest.raises(DatabaseAway, match="mounted") as refusal:
        open_stores(config_of(tmp_path), NOTHING)
    assert trace in refusal.value.message and "backup" in refusal.value.message
    assert (tmp_path / "godkaiser.db").exists() == (how == "empty")
    (tmp_path / trace).unlink()
    database, spool = open_stores(config_of(tmp_path), NOTHING)
    spool.close()
    database.close_all()


def test_an_empty_database_on_a_server_is_not_taken_for_a_first_start(tmp_path, postgres_url):
    (tmp_path / "safety.latch").write_bytes(b"x")
    with pytest.raises(DatabaseAway, match="there was a database"):
        open_stores(config_of(tmp_path, postgres_url), NOTHING)


def damage(path, *tables):
    """Write over the first page of each table; without any, over all but the file's first."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        pages = [
            connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = ?", (t,)
            ).fetchone()[0]
            for t in tables
        ]
    data = bytearray(path.read_bytes())
    for page in pages or range(2, len(data) // size + 1):
        data[(page - 1) * size : (page - 1) * size + 200] = b"\xff" * 200
    path.write_bytes(data)


def test_a_damaged_page_is_a_database_that_is_of_no_use_and_no_crash(tmp_path):
    path = tmp_path / "godkaiser.db"
    database = open_database(f"sqlite:///{path}")
    migrations.migrate(database)
    ReadingWriter(database).write([reading(n) for n in range(1000)])
    database.close_all()
    damage(path, "sensor_data")
    again = open_database(f"sqlite:///{path}")
    with pytest.raises(DatabaseUnavailable, match="malformed"):
        again.fetch("SELECT count(raw) FROM sensor_data WHERE at_ms > 0")
    with pytest.raises(DatabaseUnavailable, match="malformed"):
        ReadingWriter(again).write([reading(5000)])
    assert again.fetch("SELECT count(*) FROM devices") == [(0,)]
    again.close_all()
    damage(path)
    with pytest.raises(DatabaseAway, match="malformed"):
        open_stores(config_of(tmp_path), NOTHING)


def test_a_table_that_is_gone_is_told_and_others_are_still_served(database):
    with database.transaction() as cursor:
        cursor.execute("DROP TABLE holds")
    with pytest.raises(DatabaseUnavailable, match="holds"):
        database.fetch("SELECT * FROM holds")
    assert database.fetch("SELECT count(*) FROM devices") == [(0,)]


def test_an_option_of_the_url_replaces_the_usual_one_and_a_wrong_one_is_told(postgres_url):
    database = open_database(f"{postgres_url}?connect_timeout=7&options=-c%20work_mem%3D8MB")
    assert database.fetch("SHOW work_mem") == [("8MB",)]
    assert database.fetch("SHOW enable_bitmapscan") == [("off",)]
    database.close_all()
    with pytest.raises(StartupFailed, match="no_such") as refusal:
        open_database(f"{postgres_url.replace('test@', 'test:secret@')}?no_such=1")
    assert not isinstance(refusal.value, DatabaseAway)
    assert "secret" not in refusal.value.message


def test_a_transaction_of_a_client_that_was_cut_off_lets_go_of_its_locks(postgres):
    """Otherwise nobody could write to the audit trail until the server's TCP gives up, after hours."""
    url = postgres.create_database()
    proxy = Proxy(postgres.port)
    database = open_database(url)
    migrations.migrate(database)
    far = open_database(url.replace(f":{postgres.port}/", f":{proxy.port}/")).probing()
    try:
        with pytest.raises(DatabaseUnavailable, match="within 2 s"), far.transaction() as cursor:
            cursor.execute("SELECT hash FROM audit_chain WHERE name = 'head' FOR UPDATE")
            proxy.freeze()
            cursor.execute("SELECT 1")
        began = time.monotonic()
        with database.transaction():
            append_entries(database, [AuditEntry(at=NOW, who="a", what="b")])
        assert time.monotonic() - began < 10.0
    finally:
        proxy.thaw()
        proxy.close()
        far.close_all()
        database.close_all()


def test_a_long_query_leaves_no_long_log_behind(sqlite_url, tmp_path, monkeypatch):
    # openrundev/openrun#104: the log of SQLite keeps the size that one forgotten reader gave it.
    monkeypatch.setattr(engines, "WAL_LEFT_BYTES", 1_000_000)
    database = open_database(sqlite_url)
    migrations.migrate(database)
    writer = ReadingWriter(database)
    file, log = tmp_path / "test.db", tmp_path / "test.db-wal"
    with closing(sqlite3.connect(file, isolation_level=None)) as forgotten:
        forgotten.execute("BEGIN")
        forgotten.execute("SELECT count(*) FROM sensor_data").fetchone()
        for first in range(0, 40_000, 500):
            writer.write([reading(n) for n in range(first, first + 500)])
        assert log.stat().st_size > 2_000_000
    for n in range(40_000, 40_002):
        writer.write([reading(n)])
    assert log.stat().st_size <= 1_000_000
    database.close_all()


def test_after_a_failover_no_connection_stays_at_the_server_that_only_reads(postgres_url):
    # gpustack/gpustack#6107: it answers SELECT 1, so that a pool takes it for good.
    database = open_database(postgres_url)
    migrations.migrate(database)
    database.close_all()
    name = postgres_url.rpartition("/")[2]
    connection = psycopg2.connect(postgres_url)
    connection.autocommit = True
    # Sessions keep what they began with: these are at the old server, later ones at the new.
    connection.cursor().execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database = open_database(postgres_url)
    prompt = database.probing()
    assert [d.fetch("SHOW transaction_read_only") for d in (database, prompt)] == [[("on",)]] * 2
    connection.cursor().execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    connection.close()
    assert database.is_alive()
    for used in (prompt, database):
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            ReadingWriter(used).write([reading(1)])
        ReadingWriter(used).write([reading(1)])
    database.close_all()


def test_numbers_go_on_beyond_32_bits(postgres_url):
    # home-assistant/core#119167 and #129694: rows or their sequence end at 2,147,483,647.
    database = open_database(postgres_url)
    migrations.migrate(database)
    sequences = [name for (name,) in database.fetch("SELECT sequencename FROM pg_sequences")]
    with database.transaction() as cursor:
        for name in sequences:
            cursor.execute(f"SELECT setval('{name}', 2147483647)")
    append_entries(database, [AuditEntry(at=NOW, who="user:a", what="w")])
    ReadingWriter(database).write([reading(1)])
    ids = [database.fetch(f"SELECT max({column}) FROM {table}")[0][0] for table, column in
           (("audit_log", "seq"), ("series", "id"), ("sensor_data", "series_id"))]  # fmt: skip
    assert ids == [2147483648] * 3
    database.close_all()


def test_a_full_disk_is_the_reason_that_is_told(tmp_path):
    """SQLite ends the transaction itself then, so that rolling it back fails as well."""
    database = open_database(f"sqlite:///{tmp_path / 'full.db'}")
    with database.transaction() as cursor:
        cursor.execute("CREATE TABLE t (body TEXT)")
        (pages,) = cursor.execute("PRAGMA page_count").fetchone()
    database.engine.connection().execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(DatabaseUnavailable, match="full"), database.transaction() as cursor:
        cursor.execute("INSERT INTO t VALUES (?)", ("x" * 100_000,))
    database.close_all()


def test_a_database_that_is_gone_is_not_made_anew(tmp_path):
    path = tmp_path / "data" / "gateway.db"
    database = open_database(f"sqlite:///{path}")
    assert database.fetch("SELECT 1") == [(1,)]
    database.close_thread()
    path.parent.rename(tmp_path / "elsewhere")
    path.parent.mkdir()
    with pytest.raises(DatabaseUnavailable):
        database.fetch("SELECT 1")
    assert list(path.parent.iterdir()) == []
