"""/debug/mock-esp: simulated devices beside the real ones, over the real broker."""

from __future__ import annotations

import contextlib
import math
from typing import Annotated, Any

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.devices.mock import MockView
from godkaiser.actors.devices.mock_keeper import CreateMock, DeleteMock, DriveMock, FailMock
from godkaiser.actors.registry.messages import (
    ConfigureActuator,
    ConfigureSensor,
    DecideApproval,
    RegisterDevice,
    RemoveDevice,
)
from godkaiser.domain.devices.mocks import DrivenValue, MockFaults, MockRecord
from godkaiser.domain.entities import ActuatorConfig, ActuatorType, Approval, SensorConfig
from godkaiser.domain.sensors.sensors import canonical_type
from godkaiser.errors.base import GatewayError, ValidationFailed
from godkaiser.errors.devices import (
    DuplicateMock,
    GpioConflict,
    InvalidDeviceId,
    InvalidGpio,
    InvalidMockId,
    InvalidZone,
    TooManyMocks,
    UnknownMock,
)
from godkaiser.http.endpoint import ADMIN, Endpoint, Example
from godkaiser.http.exchange import RequestBody, ask, check_gpio, issuer_of, read_body, reply
from godkaiser.http.services import Services

Name = Annotated[str, msgspec.Meta(max_length=100)]
Type = Annotated[str, msgspec.Meta(min_length=1, max_length=23)]


class MockSensor(RequestBody, frozen=True, kw_only=True):
    gpio: int
    sensor_type: Type
    name: Name = ""
    address: Annotated[str, msgspec.Meta(max_length=16)] = ""
    interval_s: Annotated[int, msgspec.Meta(ge=1, le=300)] = 30
    value: float | None = None


class MockActuator(RequestBody, frozen=True, kw_only=True):
    gpio: int
    actuator_type: ActuatorType
    name: Name = ""


class MockBody(RequestBody, frozen=True, kw_only=True):
    """With `approve` the device is registered and approved at once, as an operator would do it."""

    mock_id: str
    name: Name = ""
    zone_id: str = ""
    approve: bool = True
    sensors: Annotated[tuple[MockSensor, ...], msgspec.Meta(max_length=20)] = ()
    actuators: Annotated[tuple[MockActuator, ...], msgspec.Meta(max_length=12)] = ()
    faults: MockFaults = MockFaults()


class ValueBody(RequestBody, frozen=True, kw_only=True):
    """`value` in the sensor's unit, null: the read fails. `sensor_type` where a GPIO has several."""

    value: float | None
    sensor_type: str = ""


class MockAnswer(MockRecord, frozen=True, kw_only=True):
    """A mock as it is kept, and how its device is; null while it has not come up."""

    device: MockView | None


class MocksAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`orphans` are devices whose mock is gone."""

    data: list[MockAnswer]
    count: int
    orphans: tuple[str, ...]


_MOCK = "/debug/mock-esp/{mock_id}"
_NEW = (
    InvalidMockId,
    DuplicateMock,
    TooManyMocks,
    InvalidDeviceId,
    InvalidZone,
    InvalidGpio,
    GpioConflict,
)
_TANK = {"mock_id": "MOCK_TANK01"}
ENDPOINTS = (
    Endpoint(
        "GET", "/debug/mock-esp", "mocks", ADMIN, "List the mock ESPs with how their devices are.", MocksAnswer,
        details="`orphans` are devices whose mock is gone.", for_people=True, for_debugging=True,
    ),
    Endpoint(
        "POST", "/debug/mock-esp", "mocks", ADMIN, "Create a mock ESP.", MockAnswer, 201,
        details="See [mock esps](api.md#mock-esps).", body=MockBody, refuses=_NEW,
        for_people=True, for_debugging=True,
        examples=(
            Example({
                **_TANK, "approve": True,
                "sensors": [{"gpio": 34, "sensor_type": "ph", "interval_s": 1, "value": 6.2}],
                "actuators": [{"gpio": 25, "actuator_type": "pump"}, {"gpio": 26, "actuator_type": "valve"}],
            }),
        ),
    ),
    Endpoint(
        "GET", _MOCK, "mock", ADMIN, "Show one mock ESP.", MockAnswer, refuses=(UnknownMock,),
        for_people=True, for_debugging=True,
    ),
    Endpoint(
        "DELETE", _MOCK, "mock", ADMIN, "Unplug a mock ESP for good; its device and readings stay.", status=204,
        refuses=(UnknownMock,), for_people=True, for_debugging=True,
    ),
    Endpoint(
        "POST", f"{_MOCK}/sensors/{{gpio}}", "value", ADMIN, "Say what a mock's sensor measures from now on.",
        MockAnswer, details="`value` null: the read fails. `sensor_type` where a pin has several.",
        body=ValueBody, refuses=(UnknownMock, InvalidGpio), for_people=True, for_debugging=True,
        examples=(Example({"value": 6.4}, {**_TANK, "gpio": "34"}),),
    ),
    Endpoint(
        "POST", f"{_MOCK}/faults", "faults", ADMIN, "Say how a mock fails from now on; `{}` mends it.",
        MockAnswer, body=MockFaults, refuses=(UnknownMock,), for_people=True, for_debugging=True,
        examples=(Example({"delay_s": 0.01}, _TANK),),
    ),
)  # fmt: skip


class MockResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_mocks(self, req: falcon.Request, resp: falcon.Response) -> None:
        system = self._services.system
        found = [self._shown(record) for record in self._records().values()]
        orphans = system.published_value(paths.MOCK_KEEPER, "orphans") or ()
        reply(resp, MocksAnswer(data=found, count=len(found), orphans=orphans))

    def on_get_mock(self, req: falcon.Request, resp: falcon.Response, mock_id: str) -> None:
        record = self._records().get(mock_id)
        if record is None:
            raise UnknownMock(mock_id=mock_id[:64])
        reply(resp, self._shown(record))

    def on_post_mocks(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, MockBody)
        issuer = issuer_of(req)
        was_known = (
            self._services.system.published_value(paths.device(body.mock_id), "view") is not None
        )
        created = CreateMock(mock_id=body.mock_id, issuer=issuer, faults=body.faults)
        record = self._ask(created)
        try:
            self._equip(req, body)
            for sensor in body.sensors:
                if sensor.value is not None:
                    record = self._drive(
                        req, body.mock_id, sensor.gpio, sensor.sensor_type, sensor.value
                    )
        except GatewayError:
            # All or nothing: what was refused must not leave half a mock behind.
            with contextlib.suppress(GatewayError):
                self._ask(DeleteMock(mock_id=body.mock_id, issuer=issuer))
            if not was_known:
                with contextlib.suppress(GatewayError):
                    remove = RemoveDevice(device_id=body.mock_id, issuer=issuer)
                    ask(self._services.system, paths.REGISTRAR, remove)
            raise
        reply(resp, self._shown(record), 201)

    def on_delete_mock(self, req: falcon.Request, resp: falcon.Response, mock_id: str) -> None:
        self._ask(DeleteMock(mock_id=mock_id, issuer=issuer_of(req)))
        resp.status = 204

    def on_post_value(
        self, req: falcon.Request, resp: falcon.Response, mock_id: str, gpio: str
    ) -> None:
        body = read_body(req, ValueBody)
        pin = check_gpio(gpio)
        kind = body.sensor_type or self._only_type_on(mock_id, pin)
        reply(resp, self._shown(self._drive(req, mock_id, pin, kind, body.value)))

    def on_post_faults(self, req: falcon.Request, resp: falcon.Response, mock_id: str) -> None:
        faults = read_body(req, MockFaults)
        message = FailMock(mock_id=mock_id, faults=faults, issuer=issuer_of(req))
        reply(resp, self._shown(self._ask(message)))

    # ---- what they share

    def _ask(self, message: Any) -> Any:
        return ask(self._services.system, paths.MOCK_KEEPER, message)

    def _records(self) -> dict[str, MockRecord]:
        return self._services.system.published_value(paths.MOCK_KEEPER, "mocks") or {}

    def _drive(
        self, req: falcon.Request, mock_id: str, gpio: int, sensor_type: str, value: float | None
    ) -> Any:
        if value is not None and not math.isfinite(value):
            raise ValidationFailed(reason="value must be a finite number, or null: the read fails.")
        driven = DrivenValue(gpio=gpio, sensor_type=canonical_type(sensor_type), value=value)
        return self._ask(DriveMock(mock_id=mock_id, value=driven, issuer=issuer_of(req)))

    def _only_type_on(self, mock_id: str, gpio: int) -> str:
        view = self._services.system.published_value(paths.device(mock_id), "view")
        configured = view.sensors if isinstance(view, DeviceView) else ()
        types = sorted({sensor.sensor_type for sensor in configured if sensor.gpio == gpio})
        if len(types) != 1:
            known = f"it has {', '.join(types)}" if types else "it has no sensor there"
            reason = f"Name the sensor_type on GPIO {gpio} of {mock_id[:64]}: {known}."
            raise ValidationFailed(reason=reason)
        return types[0]

    def _equip(self, req: falcon.Request, body: MockBody) -> None:
        """Register, approve and configure it, each through the registrar as for any device."""
        system, issuer, mock_id = self._services.system, issuer_of(req), body.mock_id
        if not (body.approve or body.sensors or body.actuators):
            return
        view = system.published_value(paths.device(mock_id), "view")
        if not isinstance(view, DeviceView):
            register = RegisterDevice(
                device_id=mock_id, name=body.name, zone_id=body.zone_id, issuer=issuer
            )
            ask(system, paths.REGISTRAR, register)
        if body.approve and not (
            isinstance(view, DeviceView) and view.record.approval is Approval.APPROVED
        ):
            approve = DecideApproval(device_id=mock_id, approved=True, issuer=issuer, reason="mock")
            ask(system, paths.REGISTRAR, approve)
        for sensor in body.sensors:
            config = SensorConfig(
                esp_id=mock_id,
                gpio=check_gpio(sensor.gpio),
                sensor_type=sensor.sensor_type,
                address=sensor.address,
                name=sensor.name,
                interval_s=sensor.interval_s,
            )
            ask(system, paths.REGISTRAR, ConfigureSensor(config=config, issuer=issuer))
        for actuator in body.actuators:
            wanted = ActuatorConfig(
                esp_id=mock_id,
                gpio=check_gpio(actuator.gpio),
                actuator_type=actuator.actuator_type,
                name=actuator.name,
            )
            ask(system, paths.REGISTRAR, ConfigureActuator(config=wanted, issuer=issuer))

    def _shown(self, record: MockRecord) -> MockAnswer:
        view = self._services.system.published_value(paths.mock(record.mock_id), "view")
        device = view if isinstance(view, MockView) else None
        return MockAnswer(**msgspec.structs.asdict(record), device=device)
