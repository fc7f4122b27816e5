"""Saves rules, checks them against each other, starts and ends their actors; used by the registrar
only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import OfferOfflineRules
from godkaiser.actors.registry.messages import CheckRule, DeleteRule, RuleSaved, SaveRule
from godkaiser.actors.registry.site_config import ASK_TIMEOUT_S, SiteConfig
from godkaiser.actors.rules.messages import EndRule
from godkaiser.domain.rules import offline as offline_rules
from godkaiser.domain.rules import rules
from godkaiser.domain.rules.outlets import Outlets
from godkaiser.domain.rules.rules import Problem, RuleDefinition, RuleMemory
from godkaiser.errors.devices import DeclaredInFile
from godkaiser.errors.rules import InvalidRule, UnknownRule
from godkaiser.storage.repositories import rules as stored_rules
from godkaiser.supervision import ActorStopped, AskTimeout, ChildSpec, RestartChild, StopChild

RuleFactory = Callable[[int, RuleDefinition, RuleMemory | None], ChildSpec]
MOST_RULES = 5000


class RuleService:
    def __init__(self, site: SiteConfig, rule_factory: RuleFactory, outlets: Outlets) -> None:
        self._site = site
        self._outlets = outlets
        self._rule_factory = rule_factory
        self._declared: dict[int, str] = {}
        self._keeps_rules: set[str] = set()

    def start_all(self) -> None:
        database = self._site.database
        memories = stored_rules.load_rule_memories(database)
        for stored in stored_rules.load_rules(database):
            self._site.rules[stored.rule_id] = stored.definition
            if stored.declared:
                self._declared[stored.rule_id] = stored.declared
            self._start(stored.rule_id, stored.definition, memories.get(stored.rule_id))
        self._show()

    def reload(self) -> list[str]:
        """Bring the actors in line with the stored rules; returns one line for each change."""
        changes = []
        for stored in stored_rules.load_rules(self._site.database):
            rule_id, definition = stored.rule_id, stored.definition
            known = self._site.rules.get(rule_id)
            self._declared.pop(rule_id, None)
            if stored.declared:
                self._declared[rule_id] = stored.declared
            if definition == known:
                continue
            self._site.rules[rule_id] = definition
            if known is None:
                self._start(rule_id, definition, None)
            else:
                self._replace(rule_id, definition)
            what = "added" if known is None else "changed" if definition.enabled else "switched off"
            changes.append(f"rule {rule_id} {definition.name} {what}")
        self._show()
        return changes

    def check(self, message: CheckRule) -> list[Problem]:
        """All mistakes and doubts; errors first."""
        definition: RuleDefinition = message.definition
        site = self._site
        known = rules.site_of(
            site.devices.values(),
            (sensor for mine in site.sensors.values() for sensor in mine.values()),
            (actuator for mine in site.actuators.values() for actuator in mine.values()),
            self._outlets,
        )
        problems = rules.problems_of(definition, known)
        own = -1 if message.rule_id is None else message.rule_id
        return [*problems, *rules.conflicts_of(own, definition, site.rules)]

    def save(self, message: SaveRule, now: float) -> RuleSaved:
        """Raises InvalidRule, UnknownRule, DeclaredInFile, ChangedMeanwhile."""
        definition: RuleDefinition = message.definition
        rule_id = message.rule_id
        self._refuse_declared(rule_id)
        present = None if rule_id is None else self._site.rules.get(rule_id)
        self._site.refuse_changed(message.seen, present, f"Rule {rule_id}")
        problems = self.check(CheckRule(definition=definition, rule_id=rule_id))
        errors = [problem for problem in problems if problem.severity == "error"]
        if rule_id is None and len(self._site.rules) >= MOST_RULES:
            text = f"there are {MOST_RULES} rules already; delete some"
            errors.append(Problem("rules", "error", text))
        if errors:
            raise InvalidRule(
                path=errors[0].path,
                reason=errors[0].message,
                problems=[msgspec.to_builtins(problem) for problem in problems],
            )
        by = str(message.issuer)
        database = self._site.database
        if rule_id is None:
            rule_id = stored_rules.insert_rule(database, definition, by, now).rule_id
            self._start(rule_id, definition, None)
        elif stored_rules.update_rule(database, rule_id, definition, by, now):
            self._replace(rule_id, definition)
        else:
            raise UnknownRule(rule_id=rule_id)
        self._site.rules[rule_id] = definition
        self._show()
        self._site.audit(message.issuer, f"saved rule {rule_id} {definition.name}")
        return RuleSaved(rule_id=rule_id, definition=definition, warnings=tuple(problems))

    def _replace(self, rule_id: int, definition: RuleDefinition) -> None:
        spec = self._rule_factory(rule_id, definition, None)
        self._site.context.handle(paths.RULES).ask(
            RestartChild(spec.name, spec), timeout_s=ASK_TIMEOUT_S
        )

    def delete(self, message: DeleteRule) -> None:
        """Raises UnknownRule, DeclaredInFile, ChangedMeanwhile."""
        rule_id = message.rule_id
        self._refuse_declared(rule_id)
        present = self._site.rules.get(rule_id)
        if present is not None:
            self._site.refuse_changed(message.seen, present, f"Rule {rule_id}")
        if not stored_rules.delete_rule(self._site.database, rule_id):
            raise UnknownRule(rule_id=rule_id)
        self._site.rules.pop(rule_id, None)
        self._show()
        self._end(rule_id)
        self._site.context.handle(paths.RULES).ask(StopChild(str(rule_id)), timeout_s=ASK_TIMEOUT_S)
        self._site.audit(message.issuer, f"deleted rule {rule_id}")

    def _end(self, rule_id: int) -> None:
        handle = self._site.context.find(paths.rule(rule_id))
        if handle is not None:
            # Without an answer it is stopped anyway, and leases end what it has switched on.
            with contextlib.suppress(AskTimeout, ActorStopped):
                handle.ask(EndRule(why="the rule was deleted"), timeout_s=ASK_TIMEOUT_S)

    def _refuse_declared(self, rule_id: int | None) -> None:
        where = None if rule_id is None else self._declared.get(rule_id)
        if where is not None:
            raise DeclaredInFile(what=f"rule {rule_id}", where=where)

    def _show(self) -> None:
        """Publish the rules, and send the offline rules to their devices."""
        site = self._site
        site.context.publish("rules", dict(site.rules))
        site.context.publish("declared_rules", dict(self._declared))
        compiled = tuple(
            offline_rules.compile_rule(rule_id, definition)
            for rule_id, definition in site.rules.items()
        )
        site.context.publish("offline_rules", compiled)
        for device_id in site.devices:
            entries = tuple(offline_rules.for_device(compiled, device_id))
            if entries or device_id in self._keeps_rules:
                self._keeps_rules.add(device_id)
                offer = OfferOfflineRules(device_id=device_id, entries=entries)
                site.context.handle(paths.SAFETY).tell(offer)

    def _start(self, rule_id: int, definition: RuleDefinition, memory: RuleMemory | None) -> None:
        spec = self._rule_factory(rule_id, definition, memory)
        self._site.context.adopt(paths.RULES, spec)
