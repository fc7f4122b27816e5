"""What an operator asks of a device itself: system commands, measurements, what it told of itself."""

from __future__ import annotations

from typing import Annotated, Any

import falcon
import msgspec
import pykka

from godkaiser import paths
from godkaiser.actors.devices.device_log import DeviceDiagnostics
from godkaiser.actors.devices.device_requests import Request
from godkaiser.actors.devices.messages import MeasureNow, SendSystemCommand
from godkaiser.domain.devices import system_commands
from godkaiser.errors.access import PermissionDenied
from godkaiser.errors.base import NotFound
from godkaiser.errors.devices import (
    DeviceBusy,
    DeviceNotApproved,
    DeviceOffline,
    InvalidGpio,
    UnknownDevice,
)
from godkaiser.errors.link import BrokerUnavailable
from godkaiser.errors.requests import NotConfirmed
from godkaiser.http.access.permissions import Role
from godkaiser.http.endpoint import OPERATOR, VIEWER, Endpoint, Entries, Example
from godkaiser.http.exchange import (
    RequestBody,
    ask,
    check_gpio,
    device_view,
    identity_of,
    issuer_of,
    note_audit,
    query_seconds,
    read_body,
    reply,
)
from godkaiser.http.queries import wait
from godkaiser.http.services import Services

MAX_WAIT_S = 10.0


class SystemCommandBody(RequestBody, frozen=True, kw_only=True):
    """`confirm` is the id of the device, for what cannot be undone."""

    command: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    confirm: str = ""


class ScanBody(RequestBody, frozen=True, kw_only=True):
    pin: Annotated[int, msgspec.Meta(ge=0, le=39)] | None = None


class DiagnosticsAnswer(DeviceDiagnostics, frozen=True, kw_only=True):
    """What a device told of itself: the newest message of each kind under `last`, errors with advice."""

    device_id: str
    health: int
    health_reasons: tuple[str, ...]


_DEVICE = "/esp/devices/{device_id}"
_REFUSALS = (UnknownDevice, DeviceOffline, DeviceNotApproved, DeviceBusy, BrokerUnavailable)
_TANK = {"device_id": "MOCK_TANK01"}
ENDPOINTS = (
    Endpoint(
        "GET", f"{_DEVICE}/diagnostics", "diagnostics", VIEWER,
        "Show the health of a device, its newest messages, errors with advice, and counts.",
        DiagnosticsAnswer, refuses=(UnknownDevice,),
    ),
    Endpoint(
        "GET", f"{_DEVICE}/commands", "commands", VIEWER,
        "List the newest requests to a device with their answers.", Entries[Request],
        refuses=(UnknownDevice,),
    ),
    Endpoint(
        "POST", f"{_DEVICE}/commands", "commands", OPERATOR, "Send a device a system command.", Request, 202,
        details="Which there are is in [devices.md](devices.md); some need the role admin.",
        body=SystemCommandBody, query=(wait(MAX_WAIT_S),), refuses=(*_REFUSALS, NotConfirmed),
        never_late=True, examples=(Example({"command": "diagnostics"}, _TANK),),
    ),
    Endpoint(
        "GET", f"{_DEVICE}/commands/{{correlation_id}}", "command", VIEWER,
        "Show one request to a device with its answer.", Request, refuses=(UnknownDevice,),
    ),
    Endpoint(
        "POST", f"{_DEVICE}/onewire/scan", "scan", OPERATOR, "Have a device look for OneWire sensors.",
        Request, 202, body=ScanBody, query=(wait(MAX_WAIT_S),), refuses=_REFUSALS,
        examples=(Example({"pin": 4}, _TANK),),
    ),
    Endpoint(
        "POST", "/sensors/{esp_id}/{gpio}/measure", "measure", OPERATOR, "Have a sensor measure now.",
        Request, 202, query=(wait(MAX_WAIT_S),), refuses=(*_REFUSALS, InvalidGpio),
    ),
)  # fmt: skip


class DeviceRequestResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_post_commands(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        body = read_body(req, SystemCommandBody)
        parameters = system_commands.parameters_of(body.command, body.parameters)
        command = system_commands.SYSTEM_COMMANDS[body.command]
        role = identity_of(req).role
        if command.admin_only and role < Role.ADMIN:
            raise PermissionDenied(needed=Role.ADMIN.word, role=role.word)
        if command.needs_confirmation and body.confirm != device_id:
            raise NotConfirmed(what=command.name, device_id=device_id)
        self._send(req, resp, device_id, command.name, parameters)

    def on_post_scan(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        body = read_body(req, ScanBody)
        parameters = {} if body.pin is None else {"pin": body.pin}
        self._send(req, resp, device_id, "onewire/scan", parameters)

    def on_post_measure(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str
    ) -> None:
        pin = check_gpio(gpio)
        outcome_to = self._waiter(req)
        message = MeasureNow(gpio=pin, issuer=issuer_of(req), outcome_to=outcome_to)
        self._ask(req, resp, esp_id, message, outcome_to)

    def on_get_commands(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        found = list(self._requests(device_id))[::-1]
        reply(resp, Entries(data=found, count=len(found)))

    def on_get_command(
        self, req: falcon.Request, resp: falcon.Response, device_id: str, correlation_id: str
    ) -> None:
        for request in self._requests(device_id):
            if request.correlation_id == correlation_id:
                reply(resp, request)
                return
        raise NotFound(path=req.path[:200])

    def on_get_diagnostics(
        self, req: falcon.Request, resp: falcon.Response, device_id: str
    ) -> None:
        view = device_view(self._services.system, device_id)
        published = self._services.system.published(paths.device(device_id))
        found = published.get("diagnostics")
        told = found if isinstance(found, DeviceDiagnostics) else DeviceDiagnostics()
        answer = DiagnosticsAnswer(
            device_id=device_id,
            health=view.health,
            health_reasons=view.health_reasons,
            **msgspec.structs.asdict(told),
        )
        reply(resp, answer)

    def _requests(self, device_id: str) -> tuple[Request, ...]:
        device_view(self._services.system, device_id)
        return self._services.system.published(paths.device(device_id)).get("requests") or ()

    def _send(
        self, req: falcon.Request, resp: falcon.Response, device_id: str, command: str,
        parameters: dict[str, Any],
    ) -> None:  # fmt: skip
        outcome_to = self._waiter(req)
        message = SendSystemCommand(
            command=command, parameters=parameters, issuer=issuer_of(req), outcome_to=outcome_to
        )
        self._ask(req, resp, device_id, message, outcome_to)

    def _waiter(self, req: falcon.Request) -> Any:
        return pykka.ThreadingFuture() if query_seconds(req, "wait", MAX_WAIT_S) > 0 else None

    def _ask(
        self, req: falcon.Request, resp: falcon.Response, device_id: str, message: Any,
        outcome_to: Any,
    ) -> None:  # fmt: skip
        device_view(self._services.system, device_id)
        command = getattr(message, "command", "measure")
        note_audit(req, f"{command} {device_id}")
        correlation_id = ask(self._services.system, paths.device(device_id), message)
        note_audit(req, f"{command} {device_id}", correlation_id=correlation_id)
        if outcome_to is not None:
            self._await(outcome_to, query_seconds(req, "wait", MAX_WAIT_S))
        # Where many came since, it is not kept any more.
        found = next(
            (r for r in self._requests(device_id) if r.correlation_id == correlation_id),
            Request(
                correlation_id=correlation_id,
                what=command,
                issuer=str(message.issuer),
                asked_at=self._services.clock(),
            ),
        )
        reply(resp, found, 202)

    def _await(self, outcome_to: Any, wait_s: float) -> None:
        waiters = self._services.waiters
        if not waiters.acquire(blocking=False):
            return
        try:
            outcome_to.get(timeout=wait_s)
        except pykka.Timeout:
            return
        finally:
            waiters.release()
