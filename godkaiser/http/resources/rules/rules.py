"""/logic/rules: rules as they are saved, shown and deleted, and what they did."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.registry.messages import DeleteRule, SaveRule
from godkaiser.actors.rules.messages import RuleView
from godkaiser.domain.records.digests import digest_of
from godkaiser.domain.rules.rules import Finding, Problem, RuleDefinition
from godkaiser.errors.devices import DeclaredInFile
from godkaiser.errors.rules import InvalidRule, UnknownRule
from godkaiser.http.editing import seen_by
from godkaiser.http.endpoint import OPERATOR, VIEWER, Endpoint, Entries, Example, Page
from godkaiser.http.exchange import (
    ask,
    identity_of,
    issuer_of,
    number_in_path,
    query_float,
    query_int,
    read_body,
    reply,
)
from godkaiser.http.hidden_targets import restored, shown_to, without_secrets
from godkaiser.http.paging import reply_page
from godkaiser.http.queries import TIME, Parameter, count, flag, sorted_by
from godkaiser.http.services import Services
from godkaiser.storage.repositories import explanations, rules
from godkaiser.supervision import ActorSystem

FOR_EVER = 1e11


class RuleState(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway knows of a rule; times in unix seconds.

    `truth`: true, false or unknown. `suspended`: why it does not fire any more. `refused`: why safety refuses it
    now. `doubt`: why its last dose may or may not have been given. `declared_in`: the file that declares it.
    """

    truth: str
    last_evaluated: float | None
    last_fired: float | None
    fired_count: int
    last_result: str
    suspended: str
    sequence: str
    refused: str
    doubt: str
    findings: tuple[Finding, ...]
    declared_in: str | None


class Offline(msgspec.Struct, frozen=True, kw_only=True):
    """The device that keeps the rule while the gateway is away, or why none does."""

    kept_by: str | None
    reason: str


class RuleDetailState(RuleState, frozen=True, kw_only=True):
    offline: Offline


class SavedRuleState(RuleState, frozen=True, kw_only=True):
    warnings: tuple[Problem, ...]


class RuleAnswer(RuleDefinition, frozen=True, kw_only=True):
    """A rule with its state. Only administrators see the URLs of webhooks."""

    id: int
    state: RuleState


class RuleDetail(RuleDefinition, frozen=True, kw_only=True):
    """A rule with its state, and who keeps it offline."""

    id: int
    state: RuleDetailState


class SavedRule(RuleDefinition, frozen=True, kw_only=True):
    """A rule as it was saved, with what is doubtful."""

    id: int
    state: SavedRuleState


DOSING = {
    "name": "pH down",
    "priority": 100,
    "conditions": [
        {"type": "hysteresis", "esp_id": "MOCK_TANK01", "gpio": 34, "sensor_type": "ph",
         "activate_above": 6.5, "deactivate_below": 6.1}
    ],
    "actions": [
        {"type": "actuator", "esp_id": "MOCK_TANK01", "gpio": 25, "command": "ON", "duration": 5}
    ],
    "cooldown_seconds": 600,
}  # fmt: skip
"""The rule of the examples."""
_RULE = "/logic/rules/{rule_id}"
ENDPOINTS = (
    Endpoint(
        "GET", "/logic/rules", "rules", VIEWER, "List the rules with their state.", Page[RuleAnswer],
        query=(flag("enabled", "Only those that are enabled, or are not."), *sorted_by("id", "name", "priority")),
        event="rule",
    ),
    Endpoint(
        "POST", "/logic/rules", "rules", OPERATOR, "Create a rule.", SavedRule, 201,
        details="Every mistake is told with its place in the JSON (400 `INVALID_RULE`).",
        body=RuleDefinition, refuses=(InvalidRule,), never_late=True, examples=(Example(DOSING),),
    ),
    Endpoint(
        "GET", _RULE, "rule", VIEWER, "Show one rule: whether it holds, why, and when it fired.", RuleDetail,
        refuses=(UnknownRule,), tagged=True,
    ),
    Endpoint(
        "PUT", _RULE, "rule", OPERATOR, "Replace a rule.", SavedRule,
        body=RuleDefinition, refuses=(InvalidRule, UnknownRule, DeclaredInFile), edits=True, tagged=True,
        never_late=True, examples=(Example({**DOSING, "enabled": False}, {"rule_id": "1"}),),
    ),
    Endpoint(
        "DELETE", _RULE, "rule", OPERATOR, "Delete a rule.", status=204,
        refuses=(UnknownRule, DeclaredInFile), edits=True,
    ),
    Endpoint(
        "GET", f"{_RULE}/versions", "versions", VIEWER,
        "List every text that a rule had, with author and date; also after it was deleted.",
        Entries[rules.RuleVersion], refuses=(UnknownRule,),
    ),
    Endpoint(
        "GET", f"{_RULE}/history", "history", VIEWER, "List what a rule saw and did, newest first.",
        Entries[explanations.RuleExecution],
        query=(Parameter("before", TIME, "Older than this: unix seconds or ISO 8601."), count(1000)),
        refuses=(UnknownRule,),
    ),
)  # fmt: skip


class RuleResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_rules(self, req: falcon.Request, resp: falcon.Response) -> None:
        enabled = req.get_param_as_bool("enabled")
        found = [
            RuleAnswer(
                **self._shown(req, number, rule), state=RuleState(**self._state(number, rule))
            )
            for number, rule in self._known().items()
            if enabled in {None, rule.enabled}
        ]
        reply_page(req, resp, found, identity=("id",))

    def on_post_rules(self, req: falcon.Request, resp: falcon.Response) -> None:
        definition = restored(read_body(req, RuleDefinition), None)
        message = SaveRule(definition=definition, issuer=issuer_of(req))
        reply(resp, self._saved(req, message), 201)

    def on_get_rule(self, req: falcon.Request, resp: falcon.Response, rule_id: str) -> None:
        number = _number(rule_id)
        definition = self._known().get(number)
        if definition is None:
            raise UnknownRule(rule_id=number)
        offline = _offline(self._services.system, number)
        state = RuleDetailState(**self._state(number, definition), offline=offline)
        resp.etag = digest_of(definition)
        reply(resp, RuleDetail(**self._shown(req, number, definition), state=state))

    def on_put_rule(self, req: falcon.Request, resp: falcon.Response, rule_id: str) -> None:
        number = _number(rule_id)
        definition = restored(read_body(req, RuleDefinition), self._known().get(number))
        seen = seen_by(req)
        message = SaveRule(definition=definition, issuer=issuer_of(req), rule_id=number, seen=seen)
        body = self._saved(req, message)
        resp.etag = digest_of(definition)
        reply(resp, body)

    def on_delete_rule(self, req: falcon.Request, resp: falcon.Response, rule_id: str) -> None:
        number = _number(rule_id)
        message = DeleteRule(rule_id=number, issuer=issuer_of(req), seen=seen_by(req))
        ask(self._services.system, paths.REGISTRAR, message)
        resp.status = 204

    def on_get_versions(self, req: falcon.Request, resp: falcon.Response, rule_id: str) -> None:
        """Also of a rule that was deleted."""
        number = _number(rule_id)
        found = rules.versions_of(self._services.database, number)
        if not found:
            raise UnknownRule(rule_id=number)
        shown = shown_to(identity_of(req).role, msgspec.to_builtins(found))
        reply(resp, Entries(data=shown, count=len(found)))

    def on_get_history(self, req: falcon.Request, resp: falcon.Response, rule_id: str) -> None:
        """`?before=` and `?limit=`: what it saw and did, newest first."""
        number = _number(rule_id)
        before = query_float(req, "before")
        limit = query_int(req, "limit", 100, 1, 1000) or 100
        found = explanations.executions_of(
            self._services.database, number, FOR_EVER if before is None else before, limit
        )
        if not found and number not in self._known():
            raise UnknownRule(rule_id=number)
        for execution in found:
            shown_to(identity_of(req).role, execution.actions)
        reply(resp, Entries(data=found, count=len(found)))

    def _saved(self, req: falcon.Request, message: SaveRule) -> SavedRule:
        saved = ask(self._services.system, paths.REGISTRAR, message)
        number, definition = saved.rule_id, saved.definition
        state = SavedRuleState(**self._state(number, definition), warnings=saved.warnings)
        return SavedRule(**self._shown(req, number, definition), state=state)

    def _shown(
        self, req: falcon.Request, number: int, definition: RuleDefinition
    ) -> dict[str, Any]:
        shown = without_secrets(identity_of(req).role, definition)
        return {"id": number, **msgspec.structs.asdict(shown)}

    def _state(self, number: int, definition: RuleDefinition) -> dict[str, Any]:
        shown = msgspec.structs.asdict(self._view(number, definition))
        del shown["rule_id"], shown["definition"]
        return {**shown, "declared_in": self._declared().get(number)}

    def _declared(self) -> dict[int, str]:
        return self._services.system.published_value(paths.REGISTRAR, "declared_rules") or {}

    def _known(self) -> dict[int, RuleDefinition]:
        """As the registrar has them: the actor of one may be on its way in or out."""
        return self._services.system.published_value(paths.REGISTRAR, "rules") or {}

    def _view(self, number: int, definition: RuleDefinition) -> RuleView:
        view = self._services.system.published_value(paths.rule(number), "view")
        # Just saved, its actor may still show the text before.
        if isinstance(view, RuleView) and view.definition == definition:
            return view
        return RuleView(rule_id=number, definition=definition)


def _number(rule_id: str) -> int:
    return number_in_path("rule_id", rule_id, UnknownRule)


def _offline(system: ActorSystem, rule_id: int) -> Offline:
    for compiled in system.published_value(paths.REGISTRAR, "offline_rules") or ():
        if compiled.rule_id == rule_id:
            kept = compiled.entry is not None
            return Offline(kept_by=compiled.device_id if kept else None, reason=compiled.reason)
    return Offline(kept_by=None, reason="")
