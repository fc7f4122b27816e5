"""The spool's files: whatever happens to them, what is read is a beginning of what was written."""

from __future__ import annotations

import errno
import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.errors.storage import SpoolUnavailable
from godkaiser.storage.spool import reader as spool_reader
from godkaiser.storage.spool import segment_log
from godkaiser.storage.spool.frames import (
    HEADER_BYTES,
    decode_frames,
    decode_header,
    encode_frame,
    encode_header,
)
from godkaiser.storage.spool.records import decode_readings, encode_readings
from godkaiser.storage.spool.spool import MEBIBYTE, Spool, Stream, WhenFull

EPOCH = bytes(range(16))
bodies = st.lists(st.binary(min_size=1, max_size=60), max_size=12)


def written(contents):
    data = encode_header(EPOCH)
    for number, body in enumerate(contents, 1):
        data += encode_frame(EPOCH, len(data), number, 1, body)
    return data


def read(data):
    epoch = decode_header(data)
    return [] if epoch is None else [frame.body for frame in decode_frames(data, epoch)]


@given(bodies)
def test_what_was_written_is_read(contents):
    assert read(written(contents)) == contents


@given(bodies, st.integers(0, 2000))
def test_a_file_that_was_cut_off_is_a_beginning(contents, length):
    found = read(written(contents)[:length])
    assert found == contents[: len(found)]


@given(bodies, st.integers(0, 2000), st.integers(1, 255))
def test_a_changed_byte_ends_the_file_there(contents, place, change):
    data = bytearray(written(contents))
    data[place % len(data)] ^= change
    found = read(bytes(data))
    assert found == contents[: len(found)]
    assert len(found) < len(contents) or not contents


@given(bodies, st.integers(0, 2000), st.integers(0, 200), st.binary(max_size=200))
def test_a_changed_piece_never_makes_a_wrong_record(contents, start, length, piece):
    data = written(contents)
    start %= len(data)
    found = read(data[:start] + piece + data[start + length :])
    assert found == contents[: len(found)]


@given(bodies, st.integers(1, 12), st.integers(1, 12))
def test_frames_that_changed_places_are_not_read(contents, one, other):
    frames = list(decode_frames(written(contents), EPOCH))
    begins = [HEADER_BYTES, *(frame.end for frame in frames)]
    pieces = [written(contents)[a:b] for a, b in itertools.pairwise(begins)]
    if one < len(pieces) and other < len(pieces):
        pieces[one], pieces[other] = pieces[other], pieces[one]
    found = read(encode_header(EPOCH) + b"".join(pieces))
    assert found == contents[: len(found)]


@given(bodies)
def test_frames_of_another_life_are_not_read(contents):
    data = written(contents)
    assert read(encode_header(bytes(16)) + data[HEADER_BYTES:]) == []


@given(st.binary(max_size=300))
def test_any_file_can_be_read(data):
    assert read(data) == [] or data.startswith(b"GKSPOOL1")


def reading(number, gpio=4, **changes):
    fields = {
        "key": SensorKey("ESP_A00001", gpio, "ds18b20", ""), "at": 1000.0 + number,
        "received_at": 2000.0 + number, "raw": float(number), "value": number / 16.0, "unit": "°C",
        "quality": Quality.GOOD, "zone_id": "z", "content_key": number,
    }  # fmt: skip
    return Reading(**{**fields, **changes})


numbers = st.floats(allow_nan=False)
readings = st.builds(
    Reading,
    st.builds(SensorKey, st.text(), st.integers(0, 39), st.text(), st.text()),
    numbers, numbers, numbers, st.none() | numbers, st.text(), st.sampled_from(Quality),
    st.text(), st.integers(0, 2**63 - 1), st.booleans(), st.booleans(),
)  # fmt: skip


@given(st.lists(readings))
def test_readings_come_back_as_they_were(some):
    assert decode_readings(encode_readings(some)) == some


@pytest.fixture
def open_spool(tmp_path):
    opened = []

    def make(max_bytes=MEBIBYTE, **options):
        spool = Spool(tmp_path / "spool", max_bytes, **options)
        spool.open()
        opened.append(spool)
        return spool

    yield make
    for spool in opened:
        spool.close()


def drain(spool, stream=Stream.READINGS, after=0):
    frames = spool.peek(stream, after, 10**9)
    found = [r for frame in frames for r in decode_readings(frame.body)]
    for frame in frames:
        spool.done(stream, frame)
    return found


def test_a_spool_gives_back_in_order_and_is_empty_then(open_spool, tmp_path):
    spool = open_spool()
    for number in range(30):
        spool.append_readings([reading(number * 10 + i) for i in range(10)])
    assert spool.status().readings == 300
    assert [r.raw for r in drain(spool)] == list(range(300))
    assert spool.status().bytes == 0
    assert list((tmp_path / "spool").iterdir()) == []


def test_another_process_takes_up_what_is_left_and_does_not_repeat_what_is_done(open_spool):
    spool = open_spool()
    for number in range(10):
        spool.append_readings([reading(number)])
    replayed = spool.peek(Stream.READINGS, 0, 4)
    again = open_spool()
    assert again.epoch(Stream.READINGS) == spool.epoch(Stream.READINGS)
    again.append_readings([reading(10)])
    left = drain(again, after=replayed[-1].last)
    assert [r.raw for r in left] == [float(n) for n in range(4, 11)]


def test_an_emptied_spool_begins_a_new_life(open_spool):
    """Its numbers begin again: what the database knows of the old ones must not count."""
    spool = open_spool()
    spool.append_readings([reading(1)])
    before = spool.epoch(Stream.READINGS)
    drain(spool)
    assert open_spool().epoch(Stream.READINGS) != before


def test_a_torn_tail_is_cut_and_the_spool_goes_on(open_spool, tmp_path):
    spool = open_spool()
    spool.append_readings([reading(1)])
    spool.append_readings([reading(2)])
    (path,) = (tmp_path / "spool").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    again = open_spool()
    assert again.found[Stream.READINGS].torn_bytes > 5
    again.append_readings([reading(3)])
    assert [r.raw for r in drain(again)] == [1.0, 3.0]


def test_damage_in_the_middle_is_told_and_the_file_kept_aside(open_spool, tmp_path):
    spool = open_spool()
    for number in range(1500):
        spool.append_readings([reading(number)])
    first, *others = sorted((tmp_path / "spool").iterdir())
    assert others
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 0xFF
    first.write_bytes(content)
    again = open_spool()
    assert again.found[Stream.READINGS].damaged == (first.name,)
    found = [r.raw for r in drain(again)]
    assert found == sorted(set(found))
    assert 1499.0 in found
    assert [p.name for p in (tmp_path / "spool").iterdir()] == [first.name + ".damaged"]


@pytest.mark.parametrize(("every", "group"), [(5, 20), (7, 100), (40, 33)])
def test_when_full_the_oldest_readings_of_the_busiest_series_go(open_spool, every, group):
    """A slow series beside a quick one: the slow one and the journal lose nothing."""
    spool = open_spool()
    count = 24_000 // group * group
    for first in range(0, count, group):
        numbers = range(first, first + group)
        spool.append_readings([reading(n, gpio=4 if n % every else 5) for n in numbers])
        spool.append_journal(1, b"an entry of the journal")
        assert spool.status().bytes <= MEBIBYTE
    assert len(spool.peek(Stream.JOURNAL, 0, 10**9)) == count // group
    left = drain(spool)
    assert [r.raw for r in left if r.key.gpio == 5] == list(range(0, count, every))
    quick = [n for n in range(count) if n % every]
    kept = [r.raw for r in left if r.key.gpio == 4]
    assert 0 < len(kept) < len(quick)
    assert kept == quick[-len(kept) :]
    gone = len(quick) - len(kept)
    assert spool.dropped() == {SensorKey("ESP_A00001", 4, "ds18b20", ""): gone}
    assert spool.status().dropped == gone


def test_a_spool_that_holds_refuses_when_full_and_keeps_what_it_has(open_spool):
    spool = open_spool(when_full=WhenFull.HOLD)
    kept = 0
    with pytest.raises(SpoolUnavailable, match=r"full.*max_bytes"):
        for _ in range(100):
            spool.append_readings([reading(kept + i) for i in range(1000)])
            kept += 1000
    assert spool.status().refused
    assert [r.raw for r in drain(spool)] == list(range(kept))
    spool.append_readings([reading(1)])
    assert not spool.status().refused


@pytest.mark.parametrize("failing", ["pwrite", "fdatasync"])
def test_a_full_disk_is_told_and_nothing_half_written_stays(
    open_spool, tmp_path, monkeypatch, failing
):
    spool = open_spool(same_disk_as=tmp_path)
    spool.append_readings([reading(1)])
    real = getattr(os, failing)

    def fails(*arguments):
        if failing == "pwrite":
            # As Linux does it: a part goes on the disk, and then there is no more room.
            descriptor, data, offset = arguments
            real(descriptor, bytes(data[:7]), offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(segment_log.os, failing, fails)
    with pytest.raises(SpoolUnavailable, match=r"is full, and the database .* on the same disk"):
        spool.append_readings([reading(2)])
    monkeypatch.undo()
    spool.append_readings([reading(3)])
    kept = spool_reader.summary(tmp_path / "spool", Stream.READINGS)
    assert (kept.records, kept.unreadable_bytes, kept.oldest) == (2, 0, 2001.0)
    assert [r.raw for r in drain(open_spool())] == [1.0, 3.0]


def test_a_really_full_disk(tmp_path):
    """/dev/full is Linux's own: every write to it finds no room."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space"):
        segment_log._write_all(descriptor, b"x", 0)
    os.close(descriptor)
