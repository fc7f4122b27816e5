"""Backup, restore and the move to PostgreSQL: all of it comes back, or nothing is changed."""

from __future__ import annotations

import json
import sqlite3
import threading

import pytest

from godkaiser.domain.access import Account, Login
from godkaiser.domain.entities import DeviceRecord, Quality, Reading, SensorKey
from godkaiser.domain.rules.rules import RuleDefinition
from godkaiser.errors.storage import BackupRefused
from godkaiser.storage.audit import chain as audit_chain
from godkaiser.storage.audit import trail as audit
from godkaiser.storage.backup import backup
from godkaiser.storage.engine import migrations, move, tables
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.engine.migrations import migrate
from godkaiser.storage.repositories import accounts, registry, rules
from godkaiser.storage.repositories.access_book import AccessBook
from godkaiser.storage.series.readings import ReadingQuery, ReadingWriter, readings_page

ELSE = Account("else", "hash", "admin", disabled=False)
NOW = 1_767_096_000.0
KEY = SensorKey("ESP_A00001", 4, "ds18b20", "28FF641E8D3C0C79")


def quiet(*_):
    pass


def reading(n, key=KEY):
    value = None if n % 7 == 0 else n / 2
    return Reading(key, NOW + n, NOW + n, float(n), value, '°C\t"\\', Quality.GOOD, content_key=n)


def fill(database, readings=500):
    registry.save_device(database, DeviceRecord(device_id="ESP_A00001", name="line\nend \\N"))
    rules.insert_rule(
        database, RuleDefinition(name="Vent", conditions=(), actions=()), "user:admin", NOW
    )
    admin = Account("admin", "hash", "admin", disabled=False, created_at=NOW)
    book = AccessBook(database)
    book.add_user(admin)
    book.begin_login(admin, Login("f", "admin", "j", NOW + 9))
    ReadingWriter(database).write([reading(n) for n in range(readings)])
    audit.append_entries(
        database, [audit.AuditEntry(at=NOW + n, who="user:admin", what=f"{n}") for n in range(20)]
    )


def content(database):
    return {
        name: sorted(map(repr, database.fetch(f"SELECT * FROM {name}"))) for name in tables.names()
    }


@pytest.fixture
def empty_url(request, tmp_path, database):
    if database.is_sqlite:
        return f"sqlite:///{tmp_path / 'new' / 'restored.db'}"
    return request.getfixturevalue("postgres").create_database()


def test_a_backup_brings_everything_back(database, empty_url, tmp_path):
    fill(database)
    made = backup.create(database, tmp_path / "b", NOW, quiet)
    assert made.tables["sensor_data"] == 500
    backup.restore(empty_url, tmp_path / "b", quiet, force=False)
    restored = open_database(empty_url)
    assert content(restored) == content(database)
    assert audit_chain.examine(restored).problem == ""
    # Numbers go on behind those that were restored.
    assert rules.insert_rule(
        restored, RuleDefinition(name="More", conditions=(), actions=()), "u", NOW
    ).rule_id == 2  # fmt: skip
    assert ReadingWriter(restored).write([reading(1), reading(9999)]).stored == 1
    restored.close_all()


def test_a_backup_beside_a_writer_is_of_one_moment(database, empty_url, tmp_path, monkeypatch):
    """Each transaction writes a reading and an audit entry: there are as many of one as of the other."""
    monkeypatch.setattr(backup, "PAGES_A_STEP", 5)
    fill(database, 0)
    base = tables.count(database, "audit_log")
    done, begun = threading.Event(), threading.Event()
    wrong = []

    def write():
        writer = ReadingWriter(database)
        n = 0
        try:
            while not done.is_set():
                n += 1
                entry = audit.AuditEntry(at=NOW, who="w", what="x" * 500)
                writer.write([reading(n)], also=lambda: audit.append_entries(database, [entry]))  # noqa: B023
                if n == 50:
                    begun.set()
        except BaseException as error:
            wrong.append(error)
        finally:
            begun.set()
            database.close_thread()

    thread = threading.Thread(target=write)
    thread.start()
    begun.wait(30)
    made = backup.create(database, tmp_path / "b", NOW, quiet)
    done.set()
    thread.join(30)
    assert not wrong
    assert made.tables["sensor_data"] >= 50
    assert made.tables["audit_log"] - base == made.tables["sensor_data"]
    backup.restore(empty_url, tmp_path / "b", quiet, force=False)
    restored = open_database(empty_url)
    assert audit_chain.examine(restored).problem == ""
    restored.close_all()


def test_what_is_not_empty_is_only_replaced_by_force(database, empty_url, tmp_path):
    fill(database)
    backup.create(database, tmp_path / "b", NOW, quiet)
    other = open_database(empty_url)
    migrate(other)
    accounts.save_user(other, ELSE)
    before = content(other)
    other.close_all()
    with pytest.raises(BackupRefused, match="--force"):
        backup.restore(empty_url, tmp_path / "b", quiet, force=False)
    other = open_database(empty_url)
    assert content(other) == before
    other.close_all()
    backup.restore(empty_url, tmp_path / "b", quiet, force=True)
    other = open_database(empty_url)
    assert content(other) == content(database)
    other.close_all()
    if database.is_sqlite:
        (aside,) = (tmp_path / "new").glob("*.before-restore-*")
        kept = open_database(f"sqlite:///{aside}")
        assert "else" in accounts.load(kept).users
        kept.close_all()


def damage(folder, name):
    path = next(iter(sorted(folder.glob(name))))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["flipped", "missing", "manifest", "counts", "newer", "format"])
def test_a_backup_that_is_not_whole_changes_nothing(database, empty_url, tmp_path, how):
    fill(database)
    folder = tmp_path / "b"
    backup.create(database, folder, NOW, quiet)
    data_file = "database.sqlite" if database.is_sqlite else "sensor_data.copy.gz"
    manifest = json.loads((folder / "manifest.json").read_text())
    if how == "flipped":
        damage(folder, data_file)
    elif how == "missing":
        (folder / data_file).unlink()
    elif how == "manifest":
        (folder / "manifest.json").unlink()
    else:
        manifest["tables"]["sensor_data"] += how == "counts"
        manifest["schema"] += 1000 * (how == "newer")
        manifest["format"] += how == "format"
        (folder / "manifest.json").write_text(json.dumps(manifest))
    target = open_database(empty_url)
    migrate(target)
    accounts.save_user(target, ELSE)
    before = content(target)
    target.close_all()
    with pytest.raises(BackupRefused):
        backup.restore(empty_url, folder, quiet, force=True)
    target = open_database(empty_url)
    assert content(target) == before
    target.close_all()


def test_a_restore_beside_a_reader_of_the_old_file_is_refused_and_loses_nothing(
    sqlite_url, tmp_path
):
    # rotki/rotki#13125: the log could not be brought into the file, and went.
    database = open_database(sqlite_url)
    migrate(database)
    fill(database, 50)
    backup.create(database, tmp_path / "b", NOW, quiet)
    file = tmp_path / "test.db"
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sensor_data").fetchone()
    ReadingWriter(database).write([reading(n) for n in range(1000, 1500)])
    before = content(database)
    database.close_all()
    with pytest.raises(BackupRefused, match="in use by another program"):
        backup.restore(sqlite_url, tmp_path / "b", quiet, force=True)
    reader.close()
    assert content(database) == before
    database.close_all()
    assert {path.name for path in tmp_path.iterdir()} == {"b", "test.db"}
    backup.restore(sqlite_url, tmp_path / "b", quiet, force=True)
    assert tables.count(database, "sensor_data") == 50
    (aside,) = tmp_path.glob("*.before-restore-*")
    assert content(open_database(f"sqlite:///{aside}")) == before


def test_a_backup_overwrites_nothing_and_needs_the_schema(database, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(BackupRefused, match="exists already"):
        backup.create(database, tmp_path / "there", NOW, quiet)
    database.execute("DELETE FROM schema_version WHERE version > 3", ())
    with pytest.raises(BackupRefused, match="migrate first"):
        backup.create(database, tmp_path / "b", NOW, quiet)
    assert not (tmp_path / "b").exists()


def test_a_postgresql_that_is_in_use_is_refused(postgres, tmp_path):
    database = open_database(postgres.create_database())
    migrate(database)
    backup.create(database, tmp_path / "b", NOW, quiet)
    with pytest.raises(BackupRefused, match="in use by 1"):
        backup.restore(database.url, tmp_path / "b", quiet, force=True)
    database.close_all()


def test_a_backup_of_the_other_kind_is_refused_with_advice(sqlite_url, postgres_url, tmp_path):
    database = open_database(sqlite_url)
    migrate(database)
    backup.create(database, tmp_path / "b", NOW, quiet)
    database.close_all()
    with pytest.raises(BackupRefused, match="migrate-data"):
        backup.restore(postgres_url, tmp_path / "b", quiet, force=True)


@pytest.fixture
def both(sqlite_url, postgres_url):
    source, target = open_database(sqlite_url), open_database(postgres_url)
    migrate(source)
    fill(source)
    yield source, target
    source.close_all()
    target.close_all()


def test_everything_moves_to_postgresql_and_goes_on_there(both):
    source, target = both
    counts = move.move(source, target, quiet)
    assert counts == {name: tables.count(target, name) for name in tables.names()}
    query = ReadingQuery(limit=1000)
    assert readings_page(target, query).rows == readings_page(source, query).rows
    assert registry.load_devices(target) == registry.load_devices(source)
    assert accounts.load(target) == accounts.load(source)
    assert ReadingWriter(target).write([reading(n) for n in range(501)]).stored == 1
    assert rules.insert_rule(
        target, RuleDefinition(name="More", conditions=(), actions=()), "u", NOW
    ).rule_id == 2  # fmt: skip
    audit.append_entries(target, [audit.AuditEntry(at=NOW, who="u", what="after")])
    assert audit_chain.examine(target).entries == 21
    with pytest.raises(BackupRefused, match="not empty"):
        move.move(source, target, quiet)


def test_a_move_that_was_cut_off_goes_on_and_copies_nothing_twice(both, monkeypatch):
    source, target = both
    monkeypatch.setattr(move, "BATCH", 60)

    class Cut(BaseException):
        pass

    def cut_after(batches):
        seen = []

        def progress(name, *_):
            seen.append(name)
            if seen.count("sensor_data") == batches:
                raise Cut

        return progress

    stored = []
    for batches in (1, 2, 3):
        with pytest.raises(Cut):
            move.move(source, target, cut_after(batches))
        stored.append(tables.count(target, "sensor_data"))
    assert stored == [60, 180, 360], "each goes on behind the one before"
    counts = move.move(source, target, quiet)
    assert counts["sensor_data"] == tables.count(target, "sensor_data") == 500


def test_a_source_that_changed_meanwhile_is_refused(both):
    source, target = both

    def cut(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move.move(source, target, cut)
    ReadingWriter(source).write([reading(1000)])
    with pytest.raises(BackupRefused, match="has changed"):
        move.move(source, target, quiet)


def test_every_table_of_the_migrations_is_known(database):
    assert set(tables.names()) == set(tables.present(database))
    assert len(tables.names()) > 15
    assert migrations.version_of(database) == migrations.NEWEST
