"""/actuators/command and its like: commands to actuators. All of them are questions to the safety actor."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import falcon
import msgspec
import pykka

from godkaiser import paths
from godkaiser.actors.safety.messages import (
    ActuatorView,
    CommandOutcome,
    ExplainCommand,
    RequestCommand,
)
from godkaiser.domain.entities import Command, Verb
from godkaiser.domain.safety.safety import Verdict
from godkaiser.errors.base import GatewayError
from godkaiser.errors.devices import (
    DeviceNotApproved,
    DeviceOffline,
    GpioConflict,
    InvalidGpio,
    UnknownDevice,
)
from godkaiser.errors.link import BrokerUnavailable
from godkaiser.errors.requests import GatewayStalled
from godkaiser.errors.safety import (
    AutomationHeld,
    CommandRefused,
    CommandTooOld,
    EmergencyStopActive,
    UnknownActuator,
    UnknownVerb,
)
from godkaiser.errors.sensors import ValueOutOfRange
from godkaiser.host.boot_clock import boot_time
from godkaiser.http.endpoint import OPERATOR, VIEWER, Endpoint, Example, Page
from godkaiser.http.exchange import (
    RequestBody,
    ask,
    check_gpio,
    device_view,
    issuer_of,
    note_audit,
    query_float,
    query_int,
    query_seconds,
    read_body,
    reply,
    worded,
)
from godkaiser.http.paging import cursor_of, encode_cursor
from godkaiser.http.queries import DEVICE, GPIO, Parameter, page, text, wait, word
from godkaiser.http.resources.actuators.actuators import ActuatorAnswer, actuator_answer
from godkaiser.http.services import Services
from godkaiser.http.stalls import STALL_S, accepted_at, lay_in_a_stall
from godkaiser.storage.repositories import history

MAX_WAIT_S = 30.0
LONGEST_AGE_S = 60.0


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


_CorrelationId = Annotated[
    str, msgspec.Meta(pattern=worded(r"^[\w.:-]{1,63}\Z", "of 1 to 63 letters, digits and . _ : -"))
]


class CommandAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`outcome` is null without `?wait=`; its `state` is pending when no answer came in time."""

    correlation_id: str
    verdict: Verdict
    outcome: CommandOutcome | None


class ExplanationOfVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict that a command would get now; `actuator` null: there is none."""

    verdict: Verdict
    actuator: ActuatorAnswer | None


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


_GIVING = (*REFUSALS.values(), InvalidGpio, UnknownDevice, CommandTooOld, GatewayStalled)
_SEE = "`?wait=SECONDS` waits for the device's answer; see [commands](api.md#commands)."
ENDPOINTS = (
    Endpoint(
        "POST", "/actuators/command", "command", OPERATOR, "Command an actuator.", CommandAnswer, 202,
        details=_SEE, body=AddressedOrder, query=(wait(MAX_WAIT_S),), refuses=_GIVING, once=True,
        examples=(Example({"esp_id": "MOCK_TANK01", "gpio": 25, "command": "ON", "duration": 5}),),
    ),
    Endpoint(
        "POST", "/actuators/{esp_id}/{gpio}/command", "order", OPERATOR, "Command the actuator in the path.",
        CommandAnswer, 202, details=_SEE, body=Order, query=(wait(MAX_WAIT_S),), refuses=_GIVING, once=True,
        examples=(Example({"command": "OFF"}, {"esp_id": "MOCK_TANK01", "gpio": "25"}),),
    ),
    Endpoint(
        "GET", "/actuators/{esp_id}/{gpio}/explain", "explain", VIEWER,
        "Tell the verdict that a command would get now, with every check; nothing is sent.",
        ExplanationOfVerdict,
        query=(
            word("command", "The command; ON without it.", "ON", "OFF", "PWM", "TOGGLE"),
            Parameter("value", {"type": "number"}, "0.0 to 1.0, of PWM."),
            Parameter("duration", {"type": "number"}, "Seconds."),
        ),
        refuses=(InvalidGpio, UnknownVerb),
    ),
    Endpoint(
        "GET", "/actuators/commands", "commands", VIEWER,
        "List the newest commands with verdict and outcome.", Page[history.CommandEntry],
        query=(DEVICE, GPIO, text("state", "Only those that ended so."), *page()),
    ),
)  # fmt: skip


class CommandResources:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._given = services.idempotency

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
        now = self._services.clock()
        actuator = actuator_answer(view, now) if isinstance(view, ActuatorView) else None
        reply(resp, ExplanationOfVerdict(verdict=verdict, actuator=actuator))

    def on_get_commands(self, req: falcon.Request, resp: falcon.Response) -> None:
        limit = query_int(req, "limit", 100, 1, 1000) or 100
        query = history.CommandQuery(
            esp_id=req.get_param("esp_id"),
            gpio=query_int(req, "gpio", None, 0, 255),
            state=req.get_param("state"),
            limit=limit + 1,
            behind=cursor_of(req, tuple[float, _CorrelationId]),
        )
        rows = list(history.newest_commands(self._services.database, query))
        following = None
        if len(rows) > limit:
            del rows[limit:]
            following = encode_cursor((rows[-1].requested_at, rows[-1].correlation_id))
        reply(resp, Page(data=rows, count=len(rows), next=following))

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
            outcome = self._await_outcome(outcome_to, wait_s, command.correlation_id)
        answer = CommandAnswer(
            correlation_id=command.correlation_id, verdict=verdict, outcome=outcome
        )
        reply(resp, answer, 202)

    def _await_outcome(self, outcome_to: Any, wait_s: float, correlation_id: str) -> CommandOutcome:
        waiters = self._services.waiters
        if not waiters.acquire(blocking=False):
            text = "as many requests wait as may; see GET /api/v1/actuators/commands"
            return CommandOutcome(correlation_id=correlation_id, state="pending", message=text)
        try:
            outcome: CommandOutcome = outcome_to.get(timeout=wait_s)
        except pykka.Timeout:
            text = f"no answer within {wait_s:g} s"
            return CommandOutcome(correlation_id=correlation_id, state="pending", message=text)
        finally:
            waiters.release()
        return outcome

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
        verdict=msgspec.to_builtins(verdict),
    )
