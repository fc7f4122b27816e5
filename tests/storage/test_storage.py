"""The store, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import threading

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from godkaiser.domain.access import GRACE_S, Account, Login, StoredKey
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    ActuatorType,
    Approval,
    DeviceRecord,
    Issuer,
    Quality,
    Reading,
    SensorConfig,
    SensorKey,
)
from godkaiser.domain.rules.rules import RuleDefinition, RuleMemory, Truth
from godkaiser.domain.safety.actuator_memory import KeptActuator
from godkaiser.errors.access import LastAdministrator
from godkaiser.errors.process import StartupFailed
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.storage.engine import migrations
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.repositories import accounts, history, registry, rules
from godkaiser.storage.repositories.access_book import AccessBook
from godkaiser.storage.series import series
from godkaiser.storage.series.readings import (
    ReadingQuery,
    ReadingWriter,
    past_values,
    readings_page,
)

NOW = 1_767_096_000.0
_numbers = itertools.count()
KEY = SensorKey("ESP_A00001", 4, "ds18b20", "28FF641E8D3C0C79")


def reading(n=0, *, key=KEY, at=None, content=None, **how):
    return Reading(
        key=key,
        at=NOW + n if at is None else at,
        received_at=NOW + n + 0.5,
        raw=float(n),
        value=n / 2,
        unit="°C",
        quality=Quality.GOOD,
        content_key=n if content is None else content,
        **how,
    )


# ---- readings


class Counting:
    """What is sent through the cursors of a database."""

    def __init__(self, monkeypatch, database):
        self.rows = 0
        self.statements = 0
        transaction, fetch = type(database).transaction, type(database).fetch

        def counted_fetch(it, *args):
            self.statements += 1
            rows = fetch(it, *args)
            self.rows += len(rows)
            return rows

        @contextlib.contextmanager
        def counted_transaction(it):
            with transaction(it) as cursor:
                yield _CountedCursor(cursor, self)

        monkeypatch.setattr(type(database), "fetch", counted_fetch)
        monkeypatch.setattr(type(database), "transaction", counted_transaction)


class _CountedCursor:
    def __init__(self, cursor, counting):
        self._cursor = cursor
        self._counting = counting

    def execute(self, *args):
        self._counting.statements += 1
        return self._cursor.execute(*args)

    def __getattr__(self, name):
        return getattr(self._cursor, name)


def test_a_thousand_new_series_cost_a_few_journeys_to_the_server(database, monkeypatch):
    keys = [SensorKey(f"ESP_{n:06X}", n % 40, "ds18b20", f"28{n:014X}") for n in range(1000)]
    counting = Counting(monkeypatch, database)
    writer = ReadingWriter(database)
    assert writer.write([reading(n, key=key) for n, key in enumerate(keys)]).stored == 1000
    assert counting.statements < 20
    # Some known, some not, some made by another gateway meanwhile.
    other = ReadingWriter(database)
    assert other.write([reading(2000, key=key) for key in keys]).stored == 1000
    found = readings_page(database, ReadingQuery(esp_id=keys[7].esp_id, limit=10)).rows
    assert [r.raw for r in found] == [2000, 7]


@pytest.mark.parametrize("uneven", [False, True])
def test_a_page_of_many_series_costs_no_more_than_a_page(database, monkeypatch, uneven):
    """Whatever the number of series, and however the newest rows are spread over them."""
    keys = [SensorKey(f"ESP_{n:06X}", 4, "ph") for n in range(40)]
    writer = ReadingWriter(database)
    for number, key in enumerate(keys):
        shift = 1000 if uneven and number == 3 else 0
        writer.write([reading(n, key=key, at=NOW + n + shift) for n in range(500)])
    counting = Counting(monkeypatch, database)
    page = readings_page(database, ReadingQuery(limit=400))
    assert counting.rows < 3 * 400 + len(keys) * 10
    everything = sorted(
        (-(NOW + n + (1000 if uneven and number == 3 else 0)), number)
        for number in range(len(keys)) for n in range(500)
    )  # fmt: skip
    wanted = [at for at, _ in everything]
    assert [-r.timestamp for r in page.rows] == wanted[:400]
    following = readings_page(database, ReadingQuery(limit=400, behind=page.last))
    assert [-r.timestamp for r in following.rows] == wanted[400:800]
    seen = {(r.esp_id, r.timestamp) for r in (*page.rows, *following.rows)}
    assert len(seen) == 800


def test_readings_come_back_newest_first_with_all_their_fields(database):
    writer = ReadingWriter(database)
    assert writer.write([reading(n) for n in range(10)]).stored == 10
    found = readings_page(database, ReadingQuery(limit=3)).rows
    assert [r.timestamp for r in found] == [NOW + 9, NOW + 8, NOW + 7]
    assert (found[0].esp_id, found[0].gpio, found[0].sensor_type) == ("ESP_A00001", 4, "ds18b20")
    assert (found[0].raw, found[0].value, found[0].unit, found[0].quality) == (9, 4.5, "°C", "good")


def test_a_redelivered_reading_makes_no_second_row_also_after_a_restart(database):
    batch = [reading(n) for n in range(5)]
    assert ReadingWriter(database).write(batch).stored == 5
    again = ReadingWriter(database).write([*batch, reading(5), reading(5)])
    assert (again.stored, again.duplicates) == (1, 6)
    assert len(readings_page(database, ReadingQuery(limit=100)).rows) == 6


@pytest.mark.parametrize(
    "unit", ['"', "\\", "NULL", "", "{a,b}", "'", "°C, %", "\n\t", "\\N", "\U0001f321"]
)
@pytest.mark.parametrize(("raw", "value"), [(1e300, None), (-0.1, 5e-324), (2.0, float("inf"))])
def test_any_text_and_number_comes_back_as_it_was(database, unit, raw, value):
    odd = msgspec.structs.replace(reading(1), unit=unit, raw=raw, value=value)
    assert ReadingWriter(database).write([odd, reading(2)]).stored == 2
    found = readings_page(database, ReadingQuery(limit=10)).rows[-1]
    assert (found.unit, found.raw, found.value) == (unit, raw, value)


def test_equal_values_at_different_times_are_different_readings(database):
    rows = [reading(0, at=NOW + n, content=n) for n in range(4)]
    assert ReadingWriter(database).write(rows).stored == 4


def test_without_clock_and_number_a_redelivery_is_told_by_its_flag(database):
    writer = ReadingWriter(database)
    first = reading(0, repeatable=True)
    later = reading(0, at=NOW + 30, content=0, repeatable=True)
    assert writer.write([first, later]).stored == 2, "the same words twice may be two measurements"
    redelivered = reading(0, at=NOW + 60, content=0, repeatable=True, redelivered=True)
    assert writer.write([redelivered]).stored == 0
    # Its forerunner may be in the same group, and it may come a third time.
    other = reading(0, at=NOW + 90, content=7, repeatable=True)
    twice = [
        reading(0, at=NOW + 90 + n, content=7, repeatable=True, redelivered=True) for n in (1, 2)
    ]
    assert writer.write([other, *twice]).stored == 1


@settings(max_examples=20)
@given(batches=st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=6))
def test_however_it_is_delivered_each_reading_is_stored_once(database, batches):
    key = SensorKey(f"ESP_C{next(_numbers):05X}", 4, "ph")
    writer = ReadingWriter(database)
    for batch in batches:
        writer.write([reading(n, key=key) for n in batch])
    found = readings_page(database, ReadingQuery(esp_id=key.esp_id, limit=1000)).rows
    assert sorted(r.raw for r in found) == sorted({n for batch in batches for n in batch})


def test_queries_choose_by_sensor_and_time(database):
    other = SensorKey("ESP_A00002", 0, "sht31_temp", "68")
    writer = ReadingWriter(database)
    writer.write([reading(n) for n in range(10)] + [reading(n, key=other) for n in range(10)])
    by_device = readings_page(database, ReadingQuery(esp_id="ESP_A00002", limit=100)).rows
    assert {r.sensor_type for r in by_device} == {"sht31_temp"} and len(by_device) == 10
    window = ReadingQuery(esp_id="ESP_A00001", gpio=4, start=NOW + 3, end=NOW + 6, limit=100)
    assert [r.timestamp - NOW for r in readings_page(database, window).rows] == [5, 4, 3]
    assert readings_page(database, ReadingQuery(sensor_type="co2", limit=100)).rows == []


def test_the_past_of_some_sensors_comes_in_the_order_of_its_time(database):
    """Over more than is read at once."""
    other = SensorKey("ESP_A00001", 5, "ds18b20", "")
    same = SensorKey("ESP_A00001", 4, "ds18b20", "28AA641E8D3C0C79")
    hours = range(0, 30, 5)
    stored = [
        reading(number, key=key, at=NOW + hour * 3600.0 + number)
        for hour in hours
        for number, key in enumerate((KEY, other, same, SensorKey("ESP_A00002", 4, "ds18b20", "")))
    ]
    ReadingWriter(database).write(stored)
    names = {("ESP_A00001", 4, "ds18b20"), ("ESP_A00001", 5, "ds18b20"), ("ESP_A00009", 4, "x")}

    def past(start, end, limit=1000):
        found = list(past_values(database, names, NOW + start, NOW + end, limit))
        assert all(quality == "good" for *_, quality in found)
        return [(at - NOW, name[1], value) for at, name, value, _ in found]

    every = [
        (hour * 3600.0 + number, gpio, number / 2)
        for hour in hours
        for number, gpio in enumerate((4, 5, 4))
    ]
    assert past(0, 26 * 3600.0) == every
    assert past(1, 25 * 3600.0) == every[1:15]
    assert past(0, 26 * 3600.0, 7) == every[:7]
    assert past(5, 6) == []


def test_many_threads_may_use_the_database(database):
    wrong = []

    def work(who):
        try:
            key = SensorKey(f"ESP_B0000{who}", 4, "ph")
            for n in range(10):
                ReadingWriter(database).write([reading(n, key=key)])
        except BaseException as error:
            wrong.append(error)
        finally:
            database.close_thread()

    threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert len(readings_page(database, ReadingQuery(limit=1000)).rows) == 60


# ---- what is configured


def test_what_is_configured_is_read_back_and_replaced(database):
    device = DeviceRecord(device_id="ESP_A00001", name="Bench", approval=Approval.APPROVED)
    registry.save_device(database, device)
    registry.save_device(database, DeviceRecord(device_id="ESP_A00001", name="Bench one"))
    assert [d.name for d in registry.load_devices(database)] == ["Bench one"]
    sensor = SensorConfig(esp_id="ESP_A00001", gpio=4, sensor_type="ph", name="Tank")
    registry.save_sensor(database, sensor)
    registry.save_sensor(database, SensorConfig(esp_id="ESP_A00001", gpio=4, sensor_type="ph"))
    assert [s.name for s in registry.load_sensors(database)] == [""]
    actuator = ActuatorConfig(esp_id="ESP_A00001", gpio=25, actuator_type=ActuatorType.PUMP)
    registry.save_actuator(database, actuator)
    assert registry.load_actuators(database) == [actuator]


def test_a_rule_and_its_memory(database):
    definition = RuleDefinition(name="Vent", conditions=(), actions=())
    stored = rules.insert_rule(database, definition, "user:admin", NOW)
    assert rules.load_rules(database) == [stored]
    changed = RuleDefinition(name="Vent more", conditions=(), actions=())
    assert rules.update_rule(database, stored.rule_id, changed, "user:admin", NOW)
    assert rules.load_rules(database)[0].version == 2
    memory = RuleMemory(truth=Truth.TRUE, firing=True, last_fired=NOW, fired_count=3)
    with database.transaction():
        history.record_rule_memory(database, stored.rule_id, memory)
        history.record_rule_memory(database, stored.rule_id, memory)
    assert rules.load_rule_memories(database) == {stored.rule_id: memory}
    assert rules.delete_rule(database, stored.rule_id)
    assert not rules.delete_rule(database, stored.rule_id)
    assert rules.load_rule_memories(database) == {}
    assert not rules.update_rule(database, 999, changed, "user:admin", NOW)


def test_the_runtime_of_an_actuator_outlives_the_gateway(database):
    key = ActuatorKey("ESP_A00001", 25)
    memory = KeptActuator(
        boot_id="b", at=NOW, desired=1.0, owner=Issuer("rule", "4"), on_since=NOW,
        lease_until=NOW + 60, switches=((NOW, True),), generation=3, in_doubt=True,
    )  # fmt: skip
    with database.transaction():
        history.record_actuator(database, key, memory)
        history.record_actuator(database, key, memory)
    assert registry.load_memories(database) == {key: memory}


# ---- people


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def account(name, role="admin", password="hash"):
    return Account(name, password, role, disabled=False, created_at=NOW)


def test_only_the_first_user_is_made_without_a_user(database):
    book = AccessBook(database)
    assert book.add_first_user(account("admin"))
    assert not book.add_first_user(account("second"))
    assert list(AccessBook(database).present.users) == []
    fresh = AccessBook(database)
    fresh.load()
    assert fresh.present.users == {"admin": account("admin")}


def test_of_two_first_users_at_once_one_is_made(database):
    made = []

    def make(name):
        made.append(AccessBook(database).add_first_user(account(name)))
        database.close_thread()

    threads = [threading.Thread(target=make, args=(f"u{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(made) == [False, False, False, True]
    book = AccessBook(database)
    book.load()
    assert len(book.present.users) == 1


def test_a_refresh_token_is_used_once_and_a_late_second_use_voids_the_login(database):
    clock = Clock()
    book = AccessBook(database, monotonic=clock)
    book.add_first_user(account("admin"))

    def fresh(jti):
        return Login("f", "admin", jti, NOW + 60)

    assert book.begin_login(account("admin"), fresh("one"))
    assert book.renew_login("one", fresh("two")).current_jti == "two"
    version = accounts.version_of(database)
    # Two tabs of one browser, or an answer that was lost.
    assert book.renew_login("one", fresh("three")).current_jti == "two"
    assert accounts.version_of(database) == version, "nothing is written for it"
    clock.now += GRACE_S
    assert book.renew_login("one", fresh("four")) is None
    assert book.renew_login("two", fresh("five")) is None


def test_a_renewal_whose_answer_was_lost_can_be_asked_for_again(database):
    """Stored, and then the actor crashed: its successor knows what was published before."""
    before = AccessBook(database)
    before.add_first_user(account("admin"))
    before.begin_login(account("admin"), Login("f", "admin", "one", NOW + 60))
    known = before.present
    before.renew_login("one", Login("f", "admin", "two", NOW + 60))
    successor = AccessBook(database, known)
    successor.load()
    assert successor.renew_login("one", Login("f", "admin", "three", NOW + 60)).current_jti == "two"
    # With nothing known of it, as after a restart of the process, it counts as stolen.
    stranger = AccessBook(database)
    stranger.load()
    assert stranger.renew_login("one", Login("f", "admin", "three", NOW + 60)) is None
    assert accounts.load(database).logins == {}


def test_what_another_gateway_changes_is_seen_and_not_overwritten(database):
    here, there = AccessBook(database), AccessBook(database)
    here.add_first_user(account("admin"))
    there.add_user(account("second"))
    there.begin_login(account("second"), Login("f", "second", "j", NOW + 60))
    here.refresh()
    assert set(here.present.users) == {"admin", "second"}
    there.delete_user("admin")
    # Two that each take the right from another one must not leave none.
    with pytest.raises(LastAdministrator):
        here.change_user("second", role="viewer")
    here.refresh()
    assert set(here.present.users) == {"second"}
    assert set(here.present.logins) == {"f"}, "a refusal has ended no login"
    assert here.present == there.present


def test_a_change_that_fails_has_changed_nothing(database, monkeypatch):
    book = AccessBook(database)
    book.add_first_user(account("admin"))
    book.begin_login(account("admin"), Login("f", "admin", "j", NOW + 60))
    before = book.present

    def fail(*_):
        raise DatabaseUnavailable(reason="a test")

    monkeypatch.setattr(accounts, "set_version", fail)
    key = StoredKey(
        key_id=0, name="k", digest="d", role="admin", areas=(), created_by="", created_at=NOW,
        expires_at=NOW + 60,
    )  # fmt: skip
    for change in (
        lambda: book.change_user("admin", password_hash="new"),
        lambda: book.add_user(account("x")),
        lambda: book.end_login("f"),
        lambda: book.add_key(key),
    ):
        with pytest.raises(DatabaseUnavailable):
            change()
        assert book.present is before
    monkeypatch.undo()
    fresh = AccessBook(database)
    fresh.load()
    assert fresh.present == before


def test_expired_logins_are_purged(database):
    book = AccessBook(database)
    book.add_first_user(account("admin"))
    book.begin_login(account("admin"), Login("a", "admin", "j", NOW + 60))
    book.begin_login(account("admin"), Login("b", "admin", "j", NOW - 60))
    assert accounts.count_expired(database, NOW) == 1
    assert accounts.purge_expired(database, NOW) == 1
    fresh = AccessBook(database)
    fresh.load()
    assert set(fresh.present.logins) == {"a"}


# ---- the schema and the link


def test_migrations_run_once(database):
    assert migrations.pending(database) == []
    assert migrations.migrate(database) == []
    assert migrations.version_of(database) == migrations.NEWEST


def test_a_schema_from_the_future_is_refused_with_advice(database):
    with database.transaction() as cursor:
        cursor.execute("INSERT INTO schema_version (version, name) VALUES (999, 'later')")
    with pytest.raises(StartupFailed, match="newer program"):
        migrations.migrate(database)


def test_a_failed_transaction_leaves_nothing(database):
    writer = ReadingWriter(database)
    with pytest.raises(ZeroDivisionError), database.transaction():
        writer.write([reading(1)])
        raise ZeroDivisionError
    assert readings_page(database, ReadingQuery(limit=10)).rows == []


def test_a_folder_that_cannot_be_written_is_told_at_start(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    with pytest.raises(StartupFailed, match=str(blocker)):
        open_database(f"sqlite:///{blocker}/x.db")


def test_a_file_that_is_no_database_is_told_at_start(tmp_path):
    wrong = tmp_path / "x.db"
    wrong.write_bytes(b"this is not a database, but it is long enough to look like one" * 30)
    with pytest.raises((StartupFailed, DatabaseUnavailable), match="not a database"):
        migrations.migrate(open_database(f"sqlite:///{wrong}"))


def test_a_server_that_is_away_is_one_error_and_comes_back(postgres_url, postgres):
    database = open_database(postgres_url)
    migrations.migrate(database)
    with database.transaction() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    killer = open_database(postgres_url)
    killer.fetch("SELECT pg_terminate_backend(?)", (pid,))
    killer.close_all()
    with pytest.raises(DatabaseUnavailable):
        database.fetch("SELECT 1")
    assert database.fetch("SELECT 1") == [(1,)]
    database.close_all()


def test_an_address_without_a_server_names_it_and_hides_the_password():
    with pytest.raises((StartupFailed, DatabaseUnavailable)) as caught:
        migrations.migrate(open_database("postgresql://u:secret@127.0.0.1:1/db"))
    assert "127.0.0.1:1" in str(caught.value) and "secret" not in str(caught.value)


def test_a_database_file_is_for_its_owner_only_also_one_of_an_earlier_version(tmp_path):
    before = os.umask(0)
    try:
        for _ in range(2):
            database = open_database(f"sqlite:///{tmp_path}/data/deep/file.db")
            migrations.migrate(database)
            files = list((tmp_path / "data" / "deep").iterdir())
            assert {file.name for file in files} == {"file.db", "file.db-wal", "file.db-shm"}
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
            assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
            database.close_all()
            (tmp_path / "data" / "deep" / "file.db").chmod(0o644)
    finally:
        os.umask(before)


def test_an_export_begins_at_its_start_and_repeats_nothing_within_one_millisecond(
    database, monkeypatch
):
    # vm0-ai/vm0#18343: pages that end within one millisecond.
    monkeypatch.setattr(series, "PAGE", 7)
    keys = [0, 1, 2**62 + 1, 2**63 - 1, -(2**63), *range(100, 140)]
    before = [reading(at=NOW - 0.0005, content=key) for key in keys]
    within = [reading(at=NOW, content=key) for key in keys]
    ReadingWriter(database).write([*before, *within])
    number = series.find_series(database, before[0].key)
    start_ms = int(NOW * 1000)
    pages = list(series.pages_of_readings(database, number, start_ms, start_ms + 1))
    assert [len(page) for page in pages] == [7, 7, 7, 7, 7, 7, 3]
    assert {measured.timestamp for page in pages for measured in page} == {NOW}


def test_a_reading_that_is_dated_in_the_future_is_not_the_newest_for_ever(database):
    """The kind: a wrong clock of a device that covers everything after it."""
    ahead = NOW + 400 * 86_400.0
    assert ReadingWriter(database).write([reading(1, at=NOW), reading(2, at=ahead)]).stored == 2
    ((series_id,),) = database.fetch("SELECT DISTINCT series_id FROM sensor_data")
    assert series.newest(database, series_id, NOW).timestamp == NOW
    # Where all seem to be of the future, it is our clock that is wrong.
    assert series.newest(database, series_id, 0.0).timestamp == ahead
