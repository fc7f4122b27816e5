"""The shipped examples are one site that works, and each rule does what its comment says.

The kind of fault: an example that contradicts another, promises what it does not keep, or warns.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from godkaiser.config.outlets import outlets_of
from godkaiser.config.settings import Config
from godkaiser.domain.declared_warnings import warnings_of
from godkaiser.domain.rules.conditions import evaluate
from godkaiser.domain.rules.decision import decide
from godkaiser.domain.rules.facts import Fact, Facts, RuleMemory
from godkaiser.domain.rules.replay import replay
from godkaiser.domain.rules.rules import Truth
from tests import ROOT
from tests.config.reading import read_rules, read_site

CONF = ROOT / "conf"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400.0


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """All of them at once, renamed as their comments say."""
    folder = tmp_path_factory.mktemp("conf")
    for kind in ("devices.d", "rules.d"):
        (folder / kind).mkdir()
        for example in (CONF / kind).glob("*.example"):
            (folder / kind / example.stem).write_text(example.read_text(encoding="utf-8"))
    rules = read_rules(folder / "rules.d")
    return msgspec.structs.replace(read_site(folder / "devices.d"), rules=rules)


def rule(site, name):
    return next(r.definition for r in site.rules if r.definition.name == name)


def test_together_they_load_without_a_warning(site):
    assert len(site.devices) == 3
    assert len(site.rules) == 5
    assert list(warnings_of(site, outlets_of(Config()))) == []


def test_irrigation_is_at_most_twice_a_day(site):
    irrigation = rule(site, "Irrigation")
    sensor = irrigation.conditions[0].ref
    dry = [(NOON + n * 60.0, sensor, 10.0) for n in range(5 * 24 * 60)]
    found = replay(irrigation, dry, NOON, NOON + 5 * DAY_S)
    fired = [
        datetime.fromtimestamp(e.at, UTC).strftime("%d") for e in found.events if e.kind == "fired"
    ]
    assert len(fired) == 10
    assert max(map(fired.count, fired)) == 2


def test_four_doses_that_do_not_help_lock_the_dosing_out(site):
    dosing = rule(site, "pH down")
    sensor, pump, circulation = ("ESP_7B21D0", 35, "ph"), ("ESP_7B21D0", 27), ("ESP_7B21D0", 25)
    memory, fired, now = RuleMemory(), 0, NOON
    for _ in range(360):
        now += 10.0
        facts = Facts(
            {sensor: Fact(7.5, now)}, levels={pump: 0.0, circulation: 1.0},
            reported={pump: 0.0, circulation: 1.0},
        )  # fmt: skip
        found = evaluate(dosing, facts, memory, now)
        decision = decide(dosing, found, memory, facts, now)
        memory, fired = decision.memory, fired + decision.fired
    assert fired == 4
    assert memory.suspended


def test_day_and_night_share_no_moment_and_leave_none_out(site):
    day, night = rule(site, "Light by hours"), rule(site, "Dark at night")
    for minute in range(24 * 60):
        now = NOON + minute * 60.0
        truths = [evaluate(r, Facts(), RuleMemory(), now).truth for r in (day, night)]
        assert sorted(truths) == [Truth.FALSE, Truth.TRUE]
