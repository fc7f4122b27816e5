"""What a device is told to have and to forget, and the readiness trap of the contract (12.8)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.devices.device_config import Wanted, parts
from godkaiser.domain.entities import ActuatorConfig, ActuatorType, RemovedEntry, SensorConfig
from godkaiser.domain.rules.offline import INERT_TYPE
from godkaiser.protocol import outbound

BOARD = "esp32_wroom"
LONG = "n" * 100


def sensor(gpio=34, kind="ph"):
    return SensorConfig(esp_id="ESP_A00001", gpio=gpio, sensor_type=kind, name=LONG)


def actuator(gpio=25):
    return ActuatorConfig(
        esp_id="ESP_A00001", gpio=gpio, actuator_type=ActuatorType.RELAY, name=LONG
    )


def entries(found, scope):
    return [entry for part in found if part.scope == scope for entry in part.entries]


def test_a_device_with_sensors_only_gets_a_rule_that_never_holds():
    (inert,) = entries(parts(Wanted(board=BOARD, sensors=(sensor(),)), 1), "offline_rules")
    assert inert["sensor_value_type"] == INERT_TYPE
    assert inert["actuator_gpio"] != 34


def test_a_device_with_actuators_only_gets_a_sensor_that_never_measures_until_it_has_a_real_one():
    wanted = Wanted(board=BOARD, actuators=(actuator(),))
    (stand_in,) = entries(parts(wanted, 0), "sensors")
    assert stand_in["operating_mode"] == "paused"
    assert wanted.counts == (1, 1)
    both = Wanted(board=BOARD, sensors=(sensor(),), actuators=(actuator(),))
    gone = [entry for entry in entries(parts(both, 2), "sensors") if not entry["active"]]
    assert [entry["sensor_type"] for entry in gone] == ["stand_in"]
    assert all(entry["active"] for entry in entries(parts(both, 1), "sensors"))


def test_old_firmware_gets_neither():
    for wanted in (
        Wanted(board=BOARD, sensors=(sensor(),), knows_rules=False),
        Wanted(board=BOARD, actuators=(actuator(),), knows_rules=False),
    ):
        (part,) = parts(wanted, None)
        assert len(part.entries) == 1 and not part.clears_rules


def test_what_is_removed_is_sent_as_inactive_with_its_identity():
    wanted = Wanted(
        board=BOARD,
        sensors=(sensor(),),
        actuators=(actuator(),),
        removed=(RemovedEntry(26), RemovedEntry(4, "ds18b20", "28FF641E8D3C0C79")),
    )
    found = parts(wanted, 1)
    gone = entries(found, "sensors")[-1]
    assert (gone["gpio"], gone["onewire_address"], gone["active"]) == (4, "28FF641E8D3C0C79", False)
    assert [(e["gpio"], e["active"]) for e in entries(found, "actuators")] == [
        (25, True),
        (26, False),
    ]
    assert found[-1].clears_rules


@given(st.integers(0, 20), st.integers(0, 12))
def test_every_message_fits_into_what_a_device_takes(sensors, actuators):
    wanted = Wanted(
        board=BOARD,
        sensors=tuple(sensor(0, f"type_{n}") for n in range(sensors)),
        actuators=tuple(actuator(n) for n in range(actuators)),
    )
    found = parts(wanted, None)
    for part in found:
        fields = {part.scope: part.entries}
        if part.clears_rules:
            fields["offline_rules"] = []
        assert len(outbound.config_push(outbound.ConfigPart("c" * 36, 1, **fields))) < 4352
    real = [e for e in entries(found, "sensors") if e["sensor_type"] != "stand_in"]
    assert len(real) == sensors and len(entries(found, "actuators")) == actuators
