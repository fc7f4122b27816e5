"""/actuators and /safety: commands, stops, clears. All of them are questions to the safety actor."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import falcon
import msgspec
import pykka

from godkaiser import paths
from godkaiser.actors.registry.messages import ConfigureActuator, RemoveActuator, SaveInterlocks
from godkaiser.actors.safety.messages import (
    ActuatorView,
    ClearStop,
    ExplainCommand,
    HoldActuator,
    RequestCommand,
    ResumeAutomation,
    SafetyView,
    StopAll,
)
from godkaiser.domain.devices.actuator_settings import ActuatorSettings, Seconds, Text
from godkaiser.domain.entities import (
    USUAL_MAX_RUNTIME_S,
    ActuatorConfig,
    ActuatorKey,
    ActuatorType,
    Command,
    Verb,
)
from godkaiser.domain.records.digests import digest_of
from godkaiser.domain.safety.interlocks import Interlock
from godkaiser.domain.safety.safety import Verdict
from godkaiser.errors.base import GatewayError, ValidationFailed
from godkaiser.errors.devices import DeviceNotApproved, DeviceOffline, GpioConflict
from godkaiser.errors.link import BrokerUnavailable
from godkaiser.errors.requests import GatewayStalled
from godkaiser.errors.safety import (
    AutomationHeld,
    CommandRefused,
    CommandTooOld,
    EmergencyStopActive,
    UnknownActuator,
    UnknownActuatorType,
    UnknownVerb,
)
from godkaiser.errors.sensors import ValueOutOfRange
from godkaiser.host.boot_clock import boot_time
from godkaiser.http.editing import refuse_changed, seen_by
from godkaiser.http.exchange import (
    RequestBody,
    ask,
    check_gpio,
    device_view,
    is_dry_run,
    issuer_of,
    note_audit,
    query_float,
    query_int,
    query_seconds,
    read_body,
    reply,
    worded,
)
from godkaiser.http.paging import cursor_of, encode_cursor, reply_page
from godkaiser.http.services import Services
from godkaiser.http.stalls import STALL_S, accepted_at, lay_in_a_stall
from godkaiser.storage.repositories import history

MAX_WAIT_S = 30.0
LONGEST_AGE_S = 60.0


class ActuatorBody(RequestBody, ActuatorSettings, frozen=True, kw_only=True):
    """`max_runtime_s` None: what is usual for the type."""

    actuator_type: str
    subzone_id: Annotated[str, msgspec.Meta(max_length=32)] = ""


class Order(RequestBody, frozen=True, kw_only=True):
    """A command to the actuator that the path names.

    Older than `max_age_s` (from the moment when the gateway reads the request) it is not given any more.
    """

    command: str
    value: float | None = None
    duration: float | None = None
    max_age_s: Annotated[float, msgspec.Meta(gt=0.0, le=LONGEST_AGE_S)] | None = None


class AddressedOrder(Order, frozen=True, kw_only=True):
    esp_id: str
    gpio: int


CorrelationId = Annotated[
    str, msgspec.Meta(pattern=worded(r"^[\w.:-]{1,63}\Z", "of 1 to 63 letters, digits and . _ : -"))
]


class HoldBody(RequestBody, frozen=True, kw_only=True):
    """`seconds` None: until it is released."""

    seconds: Seconds | None = None


class InterlocksBody(RequestBody, frozen=True, kw_only=True):
    interlocks: Annotated[tuple[Interlock, ...], msgspec.Meta(max_length=1000)]


class StopBody(RequestBody, frozen=True, kw_only=True):
    reason: Text = "operator"
    esp_id: str | None = None
    zone_id: str | None = None


class ClearBody(RequestBody, frozen=True, kw_only=True):
    reason: Text = ""
    esp_id: str | None = None
    zone_id: str | None = None
    accept_unconfirmed: bool = False


class ResumeBody(RequestBody, frozen=True, kw_only=True):
    esp_id: str | None = None
    zone_id: str | None = None


REFUSALS: dict[str, type[GatewayError]] = {
    kind.code: kind
    for kind in (
        AutomationHeld,
        BrokerUnavailable,
        CommandRefused,
        DeviceNotApproved,
        DeviceOffline,
        EmergencyStopActive,
        GpioConflict,
        UnknownActuator,
        UnknownVerb,
        ValueOutOfRange,
    )
}
"""By the code of a verdict: the error that stands for it."""


def check_scope(esp_id: str | None, zone_id: str | None) -> None:
    """Raises ValidationFailed."""
    if esp_id is not None and zone_id is not None:
        reason = "Give esp_id for one device, zone_id for a zone, or neither for everything."
        raise ValidationFailed(reason=reason)


class ActuatorResources:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._given = services.idempotency

    def on_get_actuators(self, req: falcon.Request, resp: falcon.Response) -> None:
        system = self._services.system
        wanted = req.get_param("esp_id")
        found = []
        for path in system.children(paths.ACTUATORS):
            view = system.published_value(path, "view")
            if isinstance(view, ActuatorView) and wanted in {None, view.config.esp_id}:
                found.append(_actuator(view))
        reply_page(
            req, resp, found, identity=("esp_id", "gpio"),
            sortable=("esp_id", "gpio", "name", "actuator_type", "owner"),
        )  # fmt: skip

    def on_get_actuator(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str
    ) -> None:
        pin = check_gpio(gpio)
        view = self._services.system.published_value(paths.actuator(esp_id, pin), "view")
        if not isinstance(view, ActuatorView):
            raise UnknownActuator(esp_id=esp_id[:64], gpio=pin)
        resp.etag = digest_of(view.config)
        reply(resp, _actuator(view))

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
        view = self._services.system.published_value(paths.actuator(esp_id, key.gpio), "view")
        if isinstance(view, ActuatorView):
            refuse_changed(
                seen_by(req), digest_of(view.config), f"actuator {key.esp_id}:{key.gpio}"
            )
        message = RemoveActuator(key=key, issuer=issuer_of(req))
        ask(self._services.system, paths.REGISTRAR, message)
        resp.status = 204

    def on_post_command(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, AddressedOrder)
        self._once(req, resp, body.esp_id, check_gpio(body.gpio), body)

    def on_post_order(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str
    ) -> None:
        self._once(req, resp, esp_id, check_gpio(gpio), read_body(req, Order))

    def on_get_explain(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str
    ) -> None:
        """The verdict that a command would get now, every check with its reason; nothing is sent."""
        order = Order(
            command=req.get_param("command") or "ON",
            value=query_float(req, "value"),
            duration=query_float(req, "duration"),
        )
        command = self._command_of(req, esp_id, check_gpio(gpio), order)
        verdict = ask(self._services.system, paths.SAFETY, ExplainCommand(command=command))
        view = self._services.system.published_value(paths.actuator(esp_id, command.gpio), "view")
        actuator = _actuator(view) if isinstance(view, ActuatorView) else None
        reply(resp, {"verdict": _verdict(verdict), "actuator": actuator})

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

    def on_get_commands(self, req: falcon.Request, resp: falcon.Response) -> None:
        limit = query_int(req, "limit", 100, 1, 1000) or 100
        query = history.CommandQuery(
            esp_id=req.get_param("esp_id"),
            gpio=query_int(req, "gpio", None, 0, 255),
            state=req.get_param("state"),
            limit=limit + 1,
            behind=cursor_of(req, tuple[float, CorrelationId]),
        )
        rows = list(history.newest_commands(self._services.database, query))
        following = None
        if len(rows) > limit:
            del rows[limit:]
            following = encode_cursor((rows[-1].requested_at, rows[-1].correlation_id))
        reply(resp, {"data": rows, "count": len(rows), "next": following})

    def _once(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: int, order: Order
    ) -> None:
        _refuse_late(req, order)
        asked = (esp_id, gpio, order.command, order.value, order.duration)
        self._given.once(
            req,
            resp,
            msgspec.json.encode(asked),
            self._services.clock(),
            lambda: self._command(req, resp, esp_id, gpio, order),
        )

    def _command(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: int, order: Order
    ) -> None:
        system = self._services.system
        device_view(system, esp_id)
        wait_s = query_seconds(req, "wait", MAX_WAIT_S)
        command = self._command_of(req, esp_id, gpio, order)
        _note_command(req, command)
        outcome_to: Any = pykka.ThreadingFuture() if wait_s > 0 else None
        verdict: Verdict = ask(
            system, paths.SAFETY, RequestCommand(command=command, outcome_to=outcome_to)
        )
        if not verdict.allowed:
            raise _refusal(verdict, command)
        outcome = None
        if outcome_to is not None:
            outcome = self._await_outcome(outcome_to, wait_s)
        body = {
            "correlation_id": command.correlation_id,
            "verdict": _verdict(verdict),
            "outcome": outcome,
        }
        reply(resp, body, 202)

    def _await_outcome(self, outcome_to: Any, wait_s: float) -> Any:
        waiters = self._services.waiters
        if not waiters.acquire(blocking=False):
            text = "as many requests wait as may; see GET /api/v1/actuators/commands"
            return {"state": "pending", "message": text}
        try:
            return outcome_to.get(timeout=wait_s)
        except pykka.Timeout:
            return {"state": "pending", "message": f"no answer within {wait_s:g} s"}
        finally:
            waiters.release()

    def _command_of(self, req: falcon.Request, esp_id: str, gpio: int, order: Order) -> Command:
        try:
            verb = Verb(order.command.upper() if order.command.isascii() else order.command)
        except ValueError as error:
            raise UnknownVerb(command=order.command[:40]) from error
        return Command(
            esp_id=esp_id,
            gpio=gpio,
            verb=verb,
            value=order.value,
            duration_s=order.duration or 0.0,
            issuer=issuer_of(req),
            correlation_id=str(uuid.uuid4()),
            requested_at=self._services.clock(),
            decided_at=accepted_at(req.env),
            max_age_s=order.max_age_s,
        )


class SafetyResources:
    """The stop reads its token and asks the safety actor; no database, no other actor."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_post_stop(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, StopBody, make_fit=True)
        check_scope(body.esp_id, body.zone_id)
        message = StopAll(
            issuer=issuer_of(req),
            reason=body.reason,
            esp_id=body.esp_id,
            zone_id=body.zone_id,
            dry_run=is_dry_run(req),
        )
        reply(resp, ask(self._services.system, paths.SAFETY, message, urgent=True))

    def on_post_clear(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, ClearBody)
        check_scope(body.esp_id, body.zone_id)
        message = ClearStop(
            issuer=issuer_of(req),
            reason=body.reason,
            esp_id=body.esp_id,
            zone_id=body.zone_id,
            accept_unconfirmed=body.accept_unconfirmed,
            dry_run=is_dry_run(req),
        )
        reply(resp, ask(self._services.system, paths.SAFETY, message))

    def on_post_resume(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, ResumeBody)
        check_scope(body.esp_id, body.zone_id)
        message = ResumeAutomation(
            issuer=issuer_of(req),
            esp_id=body.esp_id,
            zone_id=body.zone_id,
            dry_run=is_dry_run(req),
        )
        reply(resp, ask(self._services.system, paths.SAFETY, message))

    def on_get_interlocks(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = self._services.system.published_value(paths.SAFETY, "interlocks") or ()
        resp.etag = digest_of(found)
        reply(resp, {"data": found, "count": len(found)})

    def on_put_interlocks(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All of them at once, for they are right or wrong as a whole."""
        body = read_body(req, InterlocksBody)
        message = SaveInterlocks(
            interlocks=body.interlocks, issuer=issuer_of(req), seen=seen_by(req)
        )
        saved = ask(self._services.system, paths.REGISTRAR, message)
        resp.etag = digest_of(saved)
        reply(resp, {"data": saved, "count": len(saved)})

    def on_get_status(self, req: falcon.Request, resp: falcon.Response) -> None:
        system = self._services.system
        view = system.published_value(paths.SAFETY, "view")
        body: dict[str, Any] = {"state": "unknown"}
        if isinstance(view, SafetyView):
            body = msgspec.to_builtins(view)
        inputs = system.published_value(paths.STOP_INPUTS, "views") or ()
        reply(resp, {**body, "inputs": msgspec.to_builtins(inputs)})


def _refuse_late(req: falcon.Request, order: Order) -> None:
    """Raises GatewayStalled or CommandTooOld; never for OFF."""
    if order.command.upper() == Verb.OFF.value:
        return
    if lay_in_a_stall(req.env):
        raise GatewayStalled(stall_s=STALL_S)
    age_s = boot_time() - accepted_at(req.env)
    if order.max_age_s is not None and age_s > order.max_age_s:
        raise CommandTooOld(age_s=age_s, max_age_s=order.max_age_s)


def _note_command(req: falcon.Request, command: Command) -> None:
    what = f"command {command.verb.value} {command.esp_id}:{command.gpio}"
    given = {"value": command.value, "duration": command.duration_s or None}
    details = ", ".join(
        f"{name} {number:g}" for name, number in given.items() if number is not None
    )
    note_audit(req, what, details, correlation_id=command.correlation_id)


def _refusal(verdict: Verdict, command: Command) -> GatewayError:
    """The error that stands for the first check that failed, with the whole verdict in it."""
    kind = REFUSALS.get(verdict.code, CommandRefused)
    return kind(
        f"{verdict.message}.",
        correlation_id=command.correlation_id,
        verdict=_verdict(verdict),
    )


def _verdict(verdict: Verdict) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(verdict)
    return body


def _actuator(view: ActuatorView) -> dict[str, Any]:
    config = view.config
    body: dict[str, Any] = msgspec.to_builtins(config)
    body.update(
        desired_value=view.desired_value,
        reported_value=view.reported_value,
        state="unknown"
        if view.reported_value is None
        else ("on" if view.reported_value > 0 else "off"),
        reported_at=view.reported_at,
        emergency=view.emergency,
        on_since=view.on_since,
        lease_until=view.lease_until,
        owner=view.owner,
        pending_correlation_id=view.pending_correlation_id,
        last_outcome=msgspec.to_builtins(view.last_outcome),
    )
    return body
