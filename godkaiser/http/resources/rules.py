"""/logic/rules."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.registry.messages import DeleteRule, SaveRule
from godkaiser.actors.rules.messages import RuleView
from godkaiser.domain.records.digests import digest_of
from godkaiser.domain.rules.rules import RuleDefinition
from godkaiser.errors.rules import UnknownRule
from godkaiser.http.editing import refuse_changed, seen_by
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
from godkaiser.http.hidden_targets import restored, shown_to
from godkaiser.http.paging import reply_page
from godkaiser.http.services import Services
from godkaiser.storage.repositories import explanations, rules
from godkaiser.supervision import ActorSystem

FOR_EVER = 1e11


class RuleResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_rules(self, req: falcon.Request, resp: falcon.Response) -> None:
        enabled = req.get_param_as_bool("enabled")
        found = [
            self._shown(req, number, rule)
            for number, rule in self._known().items()
            if enabled in {None, rule.enabled}
        ]
        reply_page(req, resp, found, identity=("id",), sortable=("id", "name", "priority"))

    def on_post_rules(self, req: falcon.Request, resp: falcon.Response) -> None:
        definition = restored(read_body(req, RuleDefinition), None)
        message = SaveRule(definition=definition, issuer=issuer_of(req))
        reply(resp, self._saved(req, message), 201)

    def on_get_rule(self, req: falcon.Request, resp: falcon.Response, rule_id: str) -> None:
        number = _number(rule_id)
        definition = self._known().get(number)
        if definition is None:
            raise UnknownRule(rule_id=number)
        body = self._shown(req, number, definition)
        body["state"]["offline"] = _offline(self._services.system, number)
        resp.etag = digest_of(definition)
        reply(resp, body)

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
        definition = self._known().get(number)
        if definition is not None:
            refuse_changed(seen_by(req), digest_of(definition), f"rule {number}")
        message = DeleteRule(rule_id=number, issuer=issuer_of(req))
        ask(self._services.system, paths.REGISTRAR, message)
        resp.status = 204

    def on_get_versions(self, req: falcon.Request, resp: falcon.Response, rule_id: str) -> None:
        """Also of a rule that was deleted."""
        number = _number(rule_id)
        found = rules.versions_of(self._services.database, number)
        if not found:
            raise UnknownRule(rule_id=number)
        shown = shown_to(identity_of(req).role, msgspec.to_builtins(found))
        reply(resp, {"data": shown, "count": len(found)})

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
        reply(resp, {"data": found, "count": len(found)})

    def _saved(self, req: falcon.Request, message: SaveRule) -> dict[str, Any]:
        saved = ask(self._services.system, paths.REGISTRAR, message)
        body = self._shown(req, saved.rule_id, saved.definition)
        body["state"]["warnings"] = msgspec.to_builtins(saved.warnings)
        return body

    def _shown(
        self, req: falcon.Request, number: int, definition: RuleDefinition
    ) -> dict[str, Any]:
        body = _rule(self._view(number, definition))
        shown_to(identity_of(req).role, body)
        body["state"]["declared_in"] = self._declared().get(number)
        return body

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


def _offline(system: ActorSystem, rule_id: int) -> dict[str, Any]:
    """Which device keeps the rule alone while the gateway is away, or why none does."""
    for compiled in system.published_value(paths.REGISTRAR, "offline_rules") or ():
        if compiled.rule_id == rule_id:
            kept = compiled.entry is not None
            return {"kept_by": compiled.device_id if kept else None, "reason": compiled.reason}
    return {"kept_by": None, "reason": ""}


def _rule(view: RuleView) -> dict[str, Any]:
    body: dict[str, Any] = {"id": view.rule_id}
    body.update(msgspec.to_builtins(view.definition))
    body["state"] = {
        "truth": view.truth,
        "last_evaluated": view.last_evaluated,
        "last_fired": view.last_fired,
        "fired_count": view.fired_count,
        "last_result": view.last_result,
        "suspended": view.suspended,
        "sequence": view.sequence,
        "refused": view.refused,
        "doubt": view.doubt,
        "findings": msgspec.to_builtins(view.findings),
    }
    return body
