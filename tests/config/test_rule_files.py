"""Rules in files and in the docs: what loads, and what is said about what does not."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from godkaiser.config.mistakes import ConfigError, describe
from godkaiser.domain.rules import rules
from godkaiser.domain.rules.schema import (
    Action,
    ActuatorAction,
    Condition,
    RampAction,
    RuleDefinition,
    SensorCondition,
    SequenceAction,
)
from tests import ROOT
from tests.config.reading import read_rules

PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```(json|toml)(?: (rule|condition|action))?\n(.*?)```", PAGE, re.DOTALL)
GOOD = """\
[[rules]]
name = "Vent"

[[rules.conditions]]
type = "sensor"
esp_id = "ESP_4F3A9C"
gpio = 0
sensor_type = "sht31_temp"
operator = ">"
value = 28.0

[[rules.actions]]
type = "actuator"
esp_id = "ESP_4F3A9C"
gpio = 25
command = "ON"
"""
TOLD = SensorCondition(esp_id="E", gpio=4, sensor_type="ds18b20", operator=">", value=1.0)
TELL = ActuatorAction(esp_id="E", gpio=25, command="ON")


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "rules.toml") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def mistakes_of(folder):
    with pytest.raises(ConfigError) as caught:
        read_rules(folder)
    return caught.value.mistakes


def _told(mistakes):
    return "\n".join(describe(ConfigError(list(mistakes))))


# ---- the page and the templates


@pytest.mark.parametrize(("language", "kind", "text"), EXAMPLES)
def test_every_example_of_the_page_is_right(language, kind, text, write):
    if language == "toml":
        assert read_rules(write(text))
        return
    match kind:
        case "rule":
            definition = msgspec.json.decode(text, type=RuleDefinition)
        case "condition":
            condition = msgspec.json.decode(text, type=Condition)
            definition = RuleDefinition(name="r", conditions=(condition,), actions=(TELL,))
        case "action":
            action = msgspec.json.decode(text, type=Action)
            definition = RuleDefinition(name="r", conditions=(TOLD,), actions=(action,))
        case _:
            pytest.fail("an example that does not say what it is")
    found = rules.mistakes_of(definition)
    assert [p for p in found if p.severity == "error"] == []


def test_the_page_shows_every_kind_and_names_every_condition_and_action():
    assert len(EXAMPLES) >= 12
    for union in (Condition, Action):
        for kind in union.__args__:
            assert f"| `{kind.__struct_config__.tag}` |" in PAGE


def test_the_templates_load_as_they_are(write):
    text = (ROOT / "conf" / "rules.d" / "greenhouse.toml.example").read_text(encoding="utf-8")
    found = {rule.definition.name: rule.definition for rule in read_rules(write(text))}
    assert list(found) == ["Vent by temperature", "Irrigation", "pH down", "Light by hours",
                           "Dark at night"]  # fmt: skip
    assert isinstance(found["Irrigation"].actions[0], SequenceAction)
    assert isinstance(found["Light by hours"].actions[0], RampAction)
    assert found["pH down"].suspend_after == 4


# ---- what loads


def test_rules_of_all_files_in_the_order_of_their_names(write):
    write(GOOD.replace("Vent", "B"), "b.toml")
    write(GOOD.replace("Vent", "A") + GOOD.replace("Vent", "A2"), "a.toml")
    write(GOOD.replace("Vent", "never read"), "c.toml.example")
    found = read_rules(write(GOOD, ".#d.toml"))
    assert [rule.definition.name for rule in found] == ["A", "A2", "B"]
    assert found[1].where.endswith("a.toml:17")


def test_no_folder_is_no_rules(tmp_path):
    assert read_rules(None) == ()
    assert read_rules(tmp_path / "missing") == ()


# ---- what is said about what does not


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("gpio = 0", "gpio = 99", 7, "<= 39"),
        ("gpio = 0", 'gpio = "zero"', 7, '"zero"'),
        ('operator = ">"', 'operator = "above"', 9, '"above"'),
        ('operator = ">"', "", 4, "operator"),
        ("value = 28.0", "valeu = 28.0", 10, "valeu"),
        ("value = 28.0", "value = nan", 4, "finite"),
        ('command = "ON"', 'command = "FLY"', 16, "one of ON, OFF, PWM"),
        ('type = "actuator"', 'type = "rocket"', 13, "rocket"),
        ('name = "Vent"', 'name = "Vent"\nprority = 5', 3, "prority"),
        ('name = "Vent"', 'name = "Vent"\npriority = 5000', 3, "5000"),
        ('name = "Vent"', "", 1, "name"),
        ("[[rules]]", "[[rule]]", 1, "rule"),
        ("[[rules.actions]]", "[[rules.action]]", 12, "action"),
        ("[[rules]]", "[[rules]", 1, "valid TOML"),
    ],
)
def test_a_mistake_has_its_file_and_line(old, new, line, words, write):
    text = GOOD.replace(old, new, 1)
    if old == "[[rules]]" and new == "[[rule]]":
        text = text.replace("rules.", "rule.")
    mistakes = mistakes_of(write(text))
    told = _told(mistakes)
    assert mistakes[0].file.endswith("rules.toml")
    assert mistakes[0].line == line, told
    assert words in told


def test_what_can_never_be_true_is_told(write):
    never = GOOD.replace(
        "[[rules.actions]]",
        '[[rules.conditions]]\ntype = "sensor"\nesp_id = "ESP_4F3A9C"\ngpio = 0\n'
        'sensor_type = "sht31_temp"\noperator = "<"\nvalue = 20.0\n\n[[rules.actions]]',
    )
    (mistake,) = mistakes_of(write(never))
    assert "can never be true" in _told([mistake])


def test_every_mistake_of_every_file_is_told_and_nothing_is_used(write):
    write(GOOD.replace("gpio = 25", "gpio = 99"), "a.toml")
    write("not toml", "b.toml")
    write(GOOD, "c.toml")
    found = mistakes_of(write(GOOD, "d.toml"))
    assert [Path(m.file).name for m in found] == ["a.toml", "b.toml", "d.toml"]
    assert "c.toml:1" in _told(found[2:])


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20),
)  # fmt: skip


def _toml(value):
    if value is None:
        return "[]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@settings(max_examples=150)
@given(index=st.integers(0, 30), value=VALUES)
def test_any_value_anywhere_is_taken_or_told_with_its_line(write, index, value):
    lines = GOOD.splitlines()
    keys = [n for n, line in enumerate(lines) if " = " in line]
    number = keys[index % len(keys)]
    lines[number] = f"{lines[number].split(' = ')[0]} = {_toml(value)}"
    folder = write("\n".join(lines))
    try:
        (rule,) = read_rules(folder)
    except ConfigError as error:
        assert all(m.line is not None and 1 <= m.line <= len(lines) for m in error.mistakes)
    else:
        assert rule.definition.name


def test_every_mistake_of_a_rule_is_told_at_once(write):
    text = (
        GOOD.replace("gpio = 0", "gpio = 99")
        .replace('operator = ">"', 'operator = "above"')
        .replace('command = "ON"', 'command = "START"')
        .replace('name = "Vent"', 'name = "Vent"\nprioriti = 5\ncooldown_seconds = "long"')
    )
    second = '[[rules.conditions]]\ntype = "sensor"\nesp_id = "ESP_4F3A9C"\n\n[[rules.actions]]'
    found = "\n".join(map(str, mistakes_of(write(text.replace("[[rules.actions]]", second)))))
    for word in (
        "rules.toml:3: prioriti",
        "rules.toml:4: cooldown_seconds",
        "rules.toml:9: gpio",
        "rules.toml:11: operator",
        "rules.toml:14: gpio",
        "rules.toml:14: operator",
        "rules.toml:22: command",
    ):
        assert word in found, found
