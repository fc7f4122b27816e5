"""The view that a device actor publishes."""

from __future__ import annotations

from godkaiser.actors.devices.device_setup import DeviceSetup
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.devices.vital_signs import VitalSigns
from godkaiser.domain.devices import devices
from godkaiser.domain.entities import DeviceRecord, SensorConfig
from godkaiser.protocol import inbound


def view_of(
    record: DeviceRecord,
    liveness: devices.Liveness,
    signs: VitalSigns,
    setup: DeviceSetup,
    sensors: tuple[SensorConfig, ...],
    now: float,
) -> DeviceView:
    """`now` is monotonic."""
    beat = signs.heartbeat
    vitals = signs.vitals(now, online=liveness.online)
    config_sync, config_error = setup.config_state
    placement_sync, placement_error = setup.placement_state
    return DeviceView(
        record=record,
        online=liveness.online,
        last_seen=liveness.last_seen,
        uptime_s=liveness.uptime_s,
        heap_free=None if beat is None else beat.heap_free,
        wifi_rssi=None if beat is None else beat.wifi_rssi,
        wifi_ip="" if beat is None else beat.wifi_ip,
        firmware_state=None if beat is None else _firmware_state(beat),
        sensor_count=None if beat is None else beat.sensor_count,
        actuator_count=None if beat is None else beat.actuator_count,
        config_sync=config_sync,
        config_error=config_error,
        placement_sync=placement_sync,
        placement_error=placement_error,
        reported_zone=None if beat is None else beat.zone_id,
        health=devices.health_score(vitals),
        health_reasons=devices.health_reasons(vitals),
        sensors=sensors,
    )


def _firmware_state(beat: inbound.Heartbeat) -> int | None:
    state = beat.config_status.get("state")
    return state if isinstance(state, int) else None
