from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.devices import mocks
from godkaiser.domain.devices.mocks import DrivenValue, MockRecord
from godkaiser.domain.sensors import sensors
from godkaiser.errors.devices import DuplicateMock, InvalidMockId, TooManyMocks
from godkaiser.simulator.raw_values import raw_of

RECORD = MockRecord(mock_id="MOCK_A", created_by="user:admin", created_at=1.0)


@pytest.mark.parametrize("good", ["MOCK_A", "MOCK_1", "MOCK_" + "Z" * 26])
def test_ids_of_mocks(good):
    mocks.check_new(good, ())


@pytest.mark.parametrize(
    "bad",
    ["", "MOCK_", "MOCK_a", "MOCK_A-1", "ESP_4F3A9C", "MOCK_A\n", "MOCK_" + "A" * 27, "xMOCK_A"],
)
def test_anything_else_is_no_id_of_a_mock(bad):
    with pytest.raises(InvalidMockId):
        mocks.check_new(bad, ())


def test_a_mock_is_there_once_and_there_are_a_hundred_at_most():
    with pytest.raises(DuplicateMock):
        mocks.check_new("MOCK_A", {"MOCK_A"})
    present = {f"MOCK_{n}" for n in range(mocks.MOST_MOCKS)}
    with pytest.raises(TooManyMocks):
        mocks.check_new("MOCK_A", present)
    present.pop()
    mocks.check_new("MOCK_A", present)


def test_orphans_are_devices_named_like_a_mock_that_is_not_there():
    assert mocks.orphans(["ESP_4F3A9C", "MOCK_B", "MOCK_A", "MOCK_C"], {"MOCK_B"}) == (
        "MOCK_A", "MOCK_C",
    )  # fmt: skip


values = st.builds(
    DrivenValue,
    gpio=st.integers(0, 2),
    sensor_type=st.sampled_from(["ph", "ec"]),
    value=st.floats(0, 9),
)


@given(st.lists(values, max_size=12))
def test_the_last_value_of_each_sensor_counts(given_values):
    record, wanted = RECORD, {}
    for value in given_values:
        record = record.driven(value)
        wanted[value.gpio, value.sensor_type] = value.value
    assert {(v.gpio, v.sensor_type): v.value for v in record.values} == wanted
    assert len(record.values) == len(wanted)


@pytest.mark.parametrize(
    ("kind", "low", "high", "within"),
    [("ds18b20", -55, 125, 0.04), ("sht31_temp", -40, 125, 0.01), ("sht31_humidity", 0, 100, 0.01),
     ("ph", 4, 10, 0.01), ("ec", 100, 15000, 5.0), ("moisture", 0, 100, 0.1)],
)  # fmt: skip
@given(data=st.data())
def test_a_driven_value_comes_back_from_the_gateways_conversion(kind, low, high, within, data):
    value = data.draw(st.floats(low, high))
    converted = sensors.convert(kind, raw_of(kind, value), None)
    assert abs(converted.value - value) <= within
