"""Commands for an operator's decisions: end of a stop, approval of devices, their configuration."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from godkaiser.cli.command_line import Console, JsonOption, tell
from godkaiser.cli.exits import fail
from godkaiser.cli.gateway_link import ConfigOption, DataOption, HttpOption, Link, Unanswered
from godkaiser.cli.operator import link_to, point_of
from godkaiser.errors.devices import UnknownDevice
from godkaiser.errors.safety import UnknownActuator
from godkaiser.errors.sensors import UnknownSensor

app = Console()
configure = Console(no_args_is_help=True, help="Configure devices, sensors and actuators.")
app.add_typer(configure, name="configure")

Device = Annotated[str, typer.Argument(help="The device, such as ESP_4F3A9C.")]
Point = Annotated[str, typer.Argument(help="DEVICE/GPIO, such as ESP_4F3A9C/25.")]
OfDevice = Annotated[str, typer.Option("--device", help="Only for this device.")]
OfZone = Annotated[str, typer.Option("--zone", help="Only for this zone.")]


def _scope(device: str, zone: str) -> dict[str, str]:
    return ({"esp_id": device} if device else {}) | ({"zone_id": zone} if zone else {})


@app.command()
def clear(
    reason: Annotated[str, typer.Option(help="What was repaired.")] = "",
    device: OfDevice = "", zone: OfZone = "",
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    accept_unconfirmed: Annotated[bool, typer.Option(
        "--accept-unconfirmed", help="End the stop although not all devices have confirmed.")] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Clear an emergency stop. Nothing starts; rules wait for `resume`."""
    body: dict[str, Any] = {"reason": reason, "accept_unconfirmed": accept_unconfirmed}
    answer = link_to(config, data, http).post(
        "/actuators/clear_emergency", body | _scope(device, zone)
    )
    tell(answer, f"safety    {answer['state']}", as_json=as_json)


@app.command()
def resume(
    device: OfDevice = "", zone: OfZone = "",
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Let rules act again after a cleared stop."""
    answer = link_to(config, data, http).post("/actuators/resume", _scope(device, zone))
    tell(answer, f"safety    {answer['state']}", as_json=as_json)


@app.command()
def approve(
    device: Device,
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Approve a new device."""
    path = f"/esp/devices/{quote(device, safe='')}/approve"
    answer = link_to(config, data, http).post(path, {})
    tell(answer, f"{device} {answer['approval']}", as_json=as_json)


@app.command()
def reject(
    device: Device,
    reason: Annotated[str, typer.Option(help="The reason; it is shown and stored.")] = "",
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Reject a device."""
    path = f"/esp/devices/{quote(device, safe='')}/reject"
    answer = link_to(config, data, http).post(path, {"reason": reason})
    tell(answer, f"{device} {answer['approval']}", as_json=as_json)


@configure.command("device")
def configure_device(
    device: Device,
    name: Annotated[str | None, typer.Option()] = None,
    board: Annotated[str | None, typer.Option(help="Such as esp32_wroom.")] = None,
    zone: Annotated[str | None, typer.Option(help='Its zone; "" for none.')] = None,
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Set a device's name, board or zone."""
    link = link_to(config, data, http)
    path = f"/esp/devices/{quote(device, safe='')}"
    body = _given({"name": name, "board": board})
    if body:
        link.patch(path, body)
    if zone:
        link.put(f"{path}/zone", {"zone_id": zone})
    elif zone is not None:
        link.delete(f"{path}/zone")
    tell(link.get(path), f"{device} is configured", as_json=as_json)


@configure.command("sensor")
def configure_sensor(
    point: Point,
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="Such as ds18b20.")],
    name: Annotated[str | None, typer.Option()] = None,
    address: Annotated[str | None, typer.Option(help="The address, for a sensor on a bus.")] = None,
    interval: Annotated[int | None, typer.Option(help="Seconds between readings.")] = None,
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Configure a sensor, or change the given settings."""
    from godkaiser.http.resources.sensors.sensors import SensorBody

    esp_id, gpio = point_of(point)
    path = f"/sensors/{quote(esp_id, safe='')}/{gpio}"
    given = {"name": name, "address": address, "interval_s": interval}
    link = link_to(config, data, http)
    query = f"?address={quote(address, safe='')}" if address else ""
    present = _present(link, f"{path}/{quote(kind, safe='')}{query}", SensorBody)
    answer = link.post(path, present | _given(given) | {"sensor_type": kind})
    tell(answer, f"{point} {kind} is configured", as_json=as_json)


@configure.command("actuator")
def configure_actuator(
    point: Point,
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="pump, valve, relay or pwm.")],
    name: Annotated[str | None, typer.Option()] = None,
    max_runtime: Annotated[int | None, typer.Option(help="Maximum runtime in seconds.")] = None,
    min_off: Annotated[float | None, typer.Option(help="Minimum rest in seconds.")] = None,
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    inverted: Annotated[bool | None, typer.Option(
        "--inverted/--not-inverted", help="The actuator is on when its pin is low.")] = None,
    critical: Annotated[bool | None, typer.Option("--critical/--not-critical")] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Configure an actuator, or change the given settings; for its other limits use the API or
    devices.d.
    """
    from godkaiser.http.resources.actuators.actuators import ActuatorBody

    esp_id, gpio = point_of(point)
    path = f"/actuators/{quote(esp_id, safe='')}/{gpio}"
    given = {
        "name": name, "max_runtime_s": max_runtime, "min_off_s": min_off, "inverted_logic": inverted,
        "critical": critical,
    }  # fmt: skip
    link = link_to(config, data, http)
    present = _present(link, path, ActuatorBody)
    answer = link.post(path, present | _given(given) | {"actuator_type": kind})
    tell(answer, f"{point} {kind} is configured", as_json=as_json)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _present(link: Link, path: str, body: type[msgspec.Struct]) -> dict[str, Any]:
    """The present configuration, so that settings that are not given stay; {} if there is none."""
    try:
        found = link.call("GET", path)
    except Unanswered as error:
        if error.code in {UnknownActuator.code, UnknownSensor.code, UnknownDevice.code}:
            return {}
        fail(str(error), error.exit_code)
    # The API keeps the calibration of a sensor by itself.
    names = set(body.__struct_fields__) - {"calibration"}
    return {name: value for name, value in found.items() if name in names}
