"""The emergency stop, its clear, resume, and the interlocks: questions to the safety actor."""

from __future__ import annotations

from typing import Annotated

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.registry.messages import SaveInterlocks
from godkaiser.actors.safety.messages import (
    ClearStop,
    ResumeAutomation,
    SafetyView,
    StopAll,
    StopInputView,
)
from godkaiser.domain.devices.actuator_settings import Text
from godkaiser.domain.records.digests import digest_of
from godkaiser.domain.safety.interlocks import Interlock
from godkaiser.errors.base import InvalidTransition, ValidationFailed
from godkaiser.errors.devices import UnknownDevice
from godkaiser.errors.safety import ClearLockedOut, NoEmergencyStop, StopInputPressed
from godkaiser.http.editing import seen_by
from godkaiser.http.endpoint import ADMIN, OPERATOR, VIEWER, Endpoint, Entries, Example
from godkaiser.http.exchange import RequestBody, ask, is_dry_run, issuer_of, read_body, reply
from godkaiser.http.queries import DRY_RUN
from godkaiser.http.services import Services


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


class SafetyAnswer(SafetyView, frozen=True, kw_only=True):
    """Every stop and stop input. `state` is the strictest of all scopes: normal, active, clearing, resuming;
    unknown while the safety actor has not started.
    """

    inputs: tuple[StopInputView, ...]


UNKNOWN = SafetyView(state="unknown", latched=False)
_TANK = "MOCK_TANK01"
ENDPOINTS = (
    Endpoint(
        "POST", "/actuators/emergency_stop", "stop", OPERATOR, "Stop everything, a zone or one device.",
        SafetyView, details="Answered when the stop is on the wire and on disk.",
        body=StopBody, query=(DRY_RUN,), refuses=(UnknownDevice,), is_unlimited=True, takes_stop_token=True,
        examples=(Example({"reason": "water on the floor", "esp_id": _TANK}),),
    ),
    Endpoint(
        "GET", "/actuators/emergency_stop", "stop", VIEWER, "Tell what has become of the stops.", SafetyView,
        details="As `/safety/status`, also with the `stop_token` of a page, which opens this path and nothing else.",
        takes_stop_token=True,
    ),
    Endpoint(
        "POST", "/actuators/clear_emergency", "clear", OPERATOR, "Clear a stop; nothing is energised.", SafetyView,
        details="The same scope, from 5 s after the stop. `accept_unconfirmed` ends a clear whose devices do not"
        " answer.",
        body=ClearBody, query=(DRY_RUN,), never_late=True,
        refuses=(UnknownDevice, NoEmergencyStop, ClearLockedOut, InvalidTransition, StopInputPressed),
        examples=(Example({"reason": "wiped up", "esp_id": _TANK}),),
    ),
    Endpoint(
        "POST", "/actuators/resume", "resume", OPERATOR, "Let rules act again after a stop.", SafetyView,
        details="People may command as soon as it is cleared.",
        body=ResumeBody, query=(DRY_RUN,), refuses=(UnknownDevice, InvalidTransition), never_late=True,
        examples=(Example({"esp_id": _TANK}),),
    ),
    Endpoint(
        "GET", "/safety/status", "status", VIEWER, "Show every stop and stop input.", SafetyAnswer,
        details="State, who, when, why, which devices have confirmed and which have not.", event="safety",
    ),
    Endpoint(
        "GET", "/safety/interlocks", "interlocks", VIEWER, "List the interlocks.", Entries[Interlock], tagged=True,
    ),
    Endpoint(
        "PUT", "/safety/interlocks", "interlocks", ADMIN, "Replace all interlocks.", Entries[Interlock],
        details="They are right or wrong as a whole; see [interlocks](api.md#interlocks).",
        body=InterlocksBody, edits=True, tagged=True,
        examples=(
            Example({"interlocks": [
                {"kind": "only_with", "actuator": {"esp_id": _TANK, "gpio": 25}, "other": {"esp_id": _TANK, "gpio": 26}}
            ]}),
        ),
    ),
)  # fmt: skip


def check_scope(esp_id: str | None, zone_id: str | None) -> None:
    """Raises ValidationFailed."""
    if esp_id is not None and zone_id is not None:
        reason = "Give esp_id for one device, zone_id for a zone, or neither for everything."
        raise ValidationFailed(reason=reason)


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

    def on_get_stop(self, req: falcon.Request, resp: falcon.Response) -> None:
        view = self._services.system.published_value(paths.SAFETY, "view")
        reply(resp, view if isinstance(view, SafetyView) else UNKNOWN)

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
        reply(resp, Entries(data=list(found), count=len(found)))

    def on_put_interlocks(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All of them at once, for they are right or wrong as a whole."""
        body = read_body(req, InterlocksBody)
        message = SaveInterlocks(
            interlocks=body.interlocks, issuer=issuer_of(req), seen=seen_by(req)
        )
        saved = ask(self._services.system, paths.REGISTRAR, message)
        resp.etag = digest_of(saved)
        reply(resp, Entries(data=list(saved), count=len(saved)))

    def on_get_status(self, req: falcon.Request, resp: falcon.Response) -> None:
        system = self._services.system
        view = system.published_value(paths.SAFETY, "view")
        inputs = system.published_value(paths.STOP_INPUTS, "views") or ()
        found = view if isinstance(view, SafetyView) else UNKNOWN
        reply(resp, SafetyAnswer(**msgspec.structs.asdict(found), inputs=inputs))
