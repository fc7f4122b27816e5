"""/actuators: how actuators are configured, their state, and who holds them."""

from __future__ import annotations

from typing import Annotated, Literal

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.registry.messages import ConfigureActuator, RemoveActuator
from godkaiser.actors.safety.messages import (
    ActuatorView,
    CommandOutcome,
    HoldActuator,
    HoldView,
)
from godkaiser.domain.devices.actuator_settings import ActuatorSettings, Seconds
from godkaiser.domain.entities import (
    USUAL_MAX_RUNTIME_S,
    ActuatorConfig,
    ActuatorKey,
    ActuatorType,
)
from godkaiser.domain.records.digests import digest_of
from godkaiser.errors.base import ValidationFailed
from godkaiser.errors.devices import (
    DeclaredInFile,
    GpioConflict,
    InvalidGpio,
    StillInUse,
    UnknownDevice,
)
from godkaiser.errors.safety import CommandRefused, UnknownActuator, UnknownActuatorType
from godkaiser.http.editing import seen_by
from godkaiser.http.endpoint import OPERATOR, VIEWER, Endpoint, Example, Page
from godkaiser.http.exchange import (
    RequestBody,
    ask,
    check_gpio,
    issuer_of,
    read_body,
    reply,
)
from godkaiser.http.paging import reply_page
from godkaiser.http.queries import DEVICE, sorted_by
from godkaiser.http.services import Services


class ActuatorBody(RequestBody, ActuatorSettings, frozen=True, kw_only=True):
    """`max_runtime_s` None: what is usual for the type."""

    actuator_type: str
    subzone_id: Annotated[str, msgspec.Meta(max_length=32)] = ""


class HoldBody(RequestBody, frozen=True, kw_only=True):
    """`seconds` None: until it is released."""

    seconds: Seconds | None = None


class HoldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A person has taken the actuator from the rules; `until` null: until it is released."""

    by: str
    until: float | None


class ActuatorAnswer(ActuatorConfig, frozen=True, kw_only=True):
    """How an actuator is configured, and its state; times in unix seconds.

    `reported_value` null: its device has not told. `lease_until` is the end of what is on. `owner` is who
    switched it last, `hold` who has taken it from the rules.
    """

    desired_value: float
    reported_value: float | None
    state: Literal["on", "off", "unknown"]
    reported_at: float | None
    emergency: str
    on_since: float | None
    lease_until: float | None
    owner: str
    hold: HoldAnswer | None
    pending_correlation_id: str
    last_outcome: CommandOutcome | None


_ACTUATOR = "/actuators/{esp_id}/{gpio}"
_PUMP = {"esp_id": "MOCK_TANK01", "gpio": "25"}
ENDPOINTS = (
    Endpoint(
        "GET", "/actuators", "actuators", VIEWER, "List the actuators with their state.",
        Page[ActuatorAnswer],
        query=(DEVICE, *sorted_by("esp_id", "gpio", "name", "actuator_type", "owner")),
        event="actuator",
    ),
    Endpoint(
        "GET", _ACTUATOR, "actuator", VIEWER, "Show one actuator: its configuration, its state, who holds it.",
        ActuatorAnswer, refuses=(InvalidGpio, UnknownActuator), tagged=True,
    ),
    Endpoint(
        "POST", _ACTUATOR, "actuator", OPERATOR, "Create an actuator, or replace its configuration.",
        ActuatorConfig, 201,
        details="The whole configuration: what is not given gets its default, also when the actuator exists. Send"
        " back all that you have read, with its `ETag` as `If-Match`. Without `max_runtime_s`, what is usual for"
        " the type.",
        body=ActuatorBody, edits=True, tagged=True,
        refuses=(InvalidGpio, UnknownActuatorType, UnknownDevice, GpioConflict, DeclaredInFile),
        examples=(
            Example(
                {"actuator_type": "pump", "name": "Drip line", "max_runtime_s": 600, "min_off_s": 60},
                {"esp_id": "ESP_4F3A9C", "gpio": "25"},
            ),
        ),
    ),
    Endpoint(
        "DELETE", _ACTUATOR, "actuator", OPERATOR, "Delete an actuator.", status=204,
        details="Refused while it is on, or a rule or an interlock names it.",
        refuses=(InvalidGpio, UnknownDevice, UnknownActuator, StillInUse, DeclaredInFile, CommandRefused),
        edits=True,
    ),
    Endpoint(
        "POST", f"{_ACTUATOR}/hold", "hold", OPERATOR, "Take an actuator from the rules for a time.", HoldView,
        details="Rules do not energise it until then; without `seconds`, until it is released.",
        body=HoldBody, refuses=(InvalidGpio, UnknownActuator), examples=(Example({"seconds": 60}, _PUMP),),
    ),
    Endpoint(
        "DELETE", f"{_ACTUATOR}/hold", "hold", OPERATOR, "Give an actuator back to the rules.", HoldView,
        refuses=(InvalidGpio, UnknownActuator), never_late=True,
    ),
)  # fmt: skip


class ActuatorResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_actuators(self, req: falcon.Request, resp: falcon.Response) -> None:
        system = self._services.system
        wanted = req.get_param("esp_id")
        found = []
        for path in system.children(paths.ACTUATORS):
            view = system.published_value(path, "view")
            if isinstance(view, ActuatorView) and wanted in {None, view.config.esp_id}:
                found.append(actuator_answer(view, self._services.clock()))
        reply_page(req, resp, found, identity=("esp_id", "gpio"))

    def on_get_actuator(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str
    ) -> None:
        pin = check_gpio(gpio)
        view = self._services.system.published_value(paths.actuator(esp_id, pin), "view")
        if not isinstance(view, ActuatorView):
            raise UnknownActuator(esp_id=esp_id[:64], gpio=pin)
        resp.etag = digest_of(view.config)
        reply(resp, actuator_answer(view, self._services.clock()))

    def on_post_actuator(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str
    ) -> None:
        pin = check_gpio(gpio)
        body = read_body(req, ActuatorBody)
        if body.min_value > body.max_value:
            reason = f"min_value {body.min_value:g} is above max_value {body.max_value:g}."
            raise ValidationFailed(reason=reason)
        try:
            kind = ActuatorType(body.actuator_type)
        except ValueError as error:
            raise UnknownActuatorType(actuator_type=body.actuator_type) from error
        given = {**msgspec.structs.asdict(body), "actuator_type": kind}
        given["max_runtime_s"] = body.max_runtime_s or USUAL_MAX_RUNTIME_S[kind]
        config = ActuatorConfig(esp_id=esp_id, gpio=pin, **given)
        message = ConfigureActuator(config=config, issuer=issuer_of(req), seen=seen_by(req))
        saved = ask(self._services.system, paths.REGISTRAR, message)
        resp.etag = digest_of(saved)
        reply(resp, saved, 201)

    def on_delete_actuator(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str
    ) -> None:
        key = ActuatorKey(esp_id, check_gpio(gpio))
        message = RemoveActuator(key=key, issuer=issuer_of(req), seen=seen_by(req))
        ask(self._services.system, paths.REGISTRAR, message)
        resp.status = 204

    def on_post_hold(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str
    ) -> None:
        body = read_body(req, HoldBody)
        self._hold(req, resp, ActuatorKey(esp_id, check_gpio(gpio)), body.seconds)

    def on_delete_hold(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str
    ) -> None:
        self._hold(req, resp, ActuatorKey(esp_id, check_gpio(gpio)), 0.0)

    def _hold(
        self, req: falcon.Request, resp: falcon.Response, key: ActuatorKey, seconds: float | None
    ) -> None:
        message = HoldActuator(key=key, seconds=seconds, issuer=issuer_of(req))
        reply(resp, ask(self._services.system, paths.SAFETY, message))


def actuator_answer(view: ActuatorView, now: float) -> ActuatorAnswer:
    config, until = view.config, view.held_until
    is_held = view.held_by and (until is None or now < until)
    return ActuatorAnswer(
        **msgspec.structs.asdict(config),
        desired_value=view.desired_value,
        reported_value=view.reported_value,
        state=_state(view.reported_value),
        reported_at=view.reported_at,
        emergency=view.emergency,
        on_since=view.on_since,
        lease_until=view.lease_until,
        owner=view.owner,
        hold=HoldAnswer(by=view.held_by, until=until) if is_held else None,
        pending_correlation_id=view.pending_correlation_id,
        last_outcome=view.last_outcome,
    )


def _state(reported: float | None) -> Literal["on", "off", "unknown"]:
    if reported is None:
        return "unknown"
    return "on" if reported > 0 else "off"
