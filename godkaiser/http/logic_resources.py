"""/logic/rules."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec

from godkaiser import paths
from godkaiser.domain.rules import RuleDefinition
from godkaiser.errors import UnknownRule
from godkaiser.http.exchange import ask, issuer_of, read_body, reply
from godkaiser.http.services import Services
from godkaiser.messages import DeleteRule, RuleView, SaveRule
from godkaiser.supervision import ActorSystem


class RuleResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_rules(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = [_rule(self._view(number, rule)) for number, rule in self._known().items()]
        reply(resp, {"data": found, "count": len(found)})

    def on_post_rules(self, req: falcon.Request, resp: falcon.Response) -> None:
        definition = read_body(req, RuleDefinition)
        message = SaveRule(definition=definition, issuer=issuer_of(req))
        reply(resp, _rule(ask(self._services.system, paths.REGISTRAR, message)), 201)

    def on_get_rule(self, req: falcon.Request, resp: falcon.Response, rule_id: str) -> None:
        number = _number(rule_id)
        definition = self._known().get(number)
        if definition is None:
            raise UnknownRule(rule_id=number)
        body = _rule(self._view(number, definition))
        body["offline"] = _offline(self._services.system, number)
        reply(resp, body)

    def on_put_rule(self, req: falcon.Request, resp: falcon.Response, rule_id: str) -> None:
        number = _number(rule_id)
        definition = read_body(req, RuleDefinition)
        message = SaveRule(definition=definition, issuer=issuer_of(req), rule_id=number)
        reply(resp, _rule(ask(self._services.system, paths.REGISTRAR, message)))

    def on_delete_rule(self, req: falcon.Request, resp: falcon.Response, rule_id: str) -> None:
        message = DeleteRule(rule_id=_number(rule_id), issuer=issuer_of(req))
        ask(self._services.system, paths.REGISTRAR, message)
        resp.status = 204

    def _known(self) -> dict[int, RuleDefinition]:
        """As the registrar has them: the actor of one may be on its way in or out."""
        return self._services.system.published_value(paths.REGISTRAR, "rules") or {}

    def _view(self, number: int, definition: RuleDefinition) -> RuleView:
        view = self._services.system.published_value(paths.rule(number), "view")
        if isinstance(view, RuleView):
            return view
        return RuleView(rule_id=number, definition=definition)


def _number(rule_id: str) -> int:
    longest = 15
    if not rule_id.isascii() or not rule_id.isdecimal() or len(rule_id) > longest:
        raise UnknownRule(rule_id=rule_id[:40])
    return int(rule_id)


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
    }
    return body
