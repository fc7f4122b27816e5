"""What is declared in devices.d: what loads, and what is said about what does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.config.mistakes import ConfigError, describe
from godkaiser.domain.declared import NOTHING
from godkaiser.domain.entities import ActuatorKey, ActuatorType, SensorKey
from godkaiser.domain.safety.interlocks import InterlockKind
from godkaiser.domain.safety.stop_state import GLOBAL, Scope, ScopeKind
from tests import ROOT
from tests.config.reading import read_site

EXAMPLES = ROOT / "conf" / "devices.d"
GOOD = """\
[devices.ESP_4F3A9C]
name = "Tank"
zone = "north"

[[devices.ESP_4F3A9C.sensors]]
gpio = 34
type = "stop_button"
interval_s = 1

[[devices.ESP_4F3A9C.actuators]]
gpio = 25
type = "pump"
max_runtime_s = 600

[[devices.ESP_4F3A9C.actuators]]
gpio = 26
type = "relay"

[[interlocks]]
kind = "never_with"
actuator = "ESP_4F3A9C/25"
other = "ESP_4F3A9C/26"

[[stop_inputs]]
input = "ESP_4F3A9C/34"
pressed_below = 1000.0
silent_after_s = 5.0
stops = "zone north"
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "site.toml") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def mistakes_of(folder):
    with pytest.raises(ConfigError) as caught:
        read_site(folder)
    return [line.removeprefix(f"{folder}/") for line in describe(caught.value)]


def test_no_folder_and_an_empty_one_declare_nothing(tmp_path):
    assert read_site(None) == read_site(tmp_path / "missing") == read_site(tmp_path) == NOTHING


def test_a_declaration_holds_devices_with_what_they_carry_and_what_binds_them(write):
    site = read_site(write(GOOD))
    (device,) = site.devices
    assert (device.device_id, device.name, device.zone_id) == ("ESP_4F3A9C", "Tank", "north")
    assert [s.sensor_type for s in site.sensors] == ["stop_button"]
    assert [(a.actuator_type, a.max_runtime_s) for a in site.actuators] == [
        (ActuatorType.PUMP, 600),
        (ActuatorType.RELAY, 18 * 3600),
    ]
    (interlock,) = site.interlocks
    assert interlock.kind is InterlockKind.NEVER_WITH
    assert interlock.where.endswith("site.toml:19")
    (stop,) = site.stop_inputs
    assert stop.scope == Scope(ScopeKind.ZONE, "north") != GLOBAL
    assert site.origins[SensorKey("ESP_4F3A9C", 34, "stop_button")].endswith("site.toml:5")
    assert site.origins[ActuatorKey("ESP_4F3A9C", 26)].endswith("site.toml:15")


def test_what_one_file_names_may_stand_in_another(write):
    devices, bindings = GOOD.split("[[interlocks]]")
    write(devices, "a.toml")
    site = read_site(write(f"[[interlocks]]{bindings}", "b.toml"))
    assert len(site.interlocks) == len(site.stop_inputs) == 1


def test_the_shipped_examples_load_clean(write):
    site = read_site(write((EXAMPLES / "tank.toml.example").read_text()))
    counts = [len(getattr(site, name)) for name in ("devices", "sensors", "actuators")]
    assert counts == [1, 2, 3]
    assert (len(site.interlocks), len(site.stop_inputs)) == (2, 1)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("zone =", "zon =", 'site.toml:3: zon: expected a key that is known here, found "zon"'),
        ("gpio = 25", "gpio = 99", "site.toml:11: gpio: expected int <= 39, found 99"),
        ("gpio = 25", "", "site.toml:10: gpio: expected gpio = ..., found none"),
        ('"pump"', '"lamp"', 'site.toml:12: type: expected one of pump, relay, pwm, valve, found "lamp"'),
        ("gpio = 26", "gpio = 25",
         "site.toml:15: ESP_4F3A9C/25: expected it once, found it in {}/site.toml:10, too"),
        ("gpio = 25", "gpio = 35", "site.toml:10: gpio: expected something that the device can do,"
         " found GPIO 35: it is input only and cannot drive an actuator"),
        ("ESP_4F3A9C]", "ESP_nobody]", "site.toml:1: ESP_nobody: expected something that the device"
         " can do, found 'ESP_nobody' is not a device id"),
        ('other = "ESP_4F3A9C/26"', 'other = "ESP_4F3A9C/27"', "site.toml:19: ESP_4F3A9C/25 never"
         " with ESP_4F3A9C/27: expected a rule that can be kept, found there is no actuator"
         " ESP_4F3A9C/27"),
        ('actuator = "ESP_4F3A9C/25"', 'actuator = "the pump"', "site.toml:21: actuator: expected"),
        ("/34", "/33", "site.toml:24: input: expected one sensor declared on GPIO 33 of ESP_4F3A9C,"
         " found none"),
        ("pressed_below = 1000.0\n", "", "site.toml:24: input: expected either pressed_below or"
         " pressed_above (raw values), found none"),
        ("silent_after_s = 5.0", "silent_after_s = 1.0", "site.toml:27: silent_after_s: expected"
         " float >= 2.0, found 1.0"),
        ("interval_s = 1", "interval_s = 10", "site.toml:24: silent_after_s: expected at least twice"
         " the interval of its sensor, 10 s, found 5"),
        ('"zone north"', '"all"', "site.toml:28: stops: expected"),
        ("[[interlocks]]", "[[interlock]]", 'site.toml:19: interlock: expected [devices.ID],'
         ' [[interlocks]] or [[stop_inputs]], found "interlock"'),
        ("[[interlocks]]", "[[interlocks]", "site.toml:19: expected valid TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(write, old, new, expected):
    assert old in GOOD
    folder = write(GOOD.replace(old, new))
    found = mistakes_of(folder)
    assert any(line.startswith(expected.format(folder)) for line in found), found


def test_every_mistake_is_told_at_once(write):
    """Also those of one table."""
    text = (
        GOOD.replace("gpio = 25", 'gpio = 99\ncritical = "yes"\nmax_rntime_s = 5')
        .replace('"zone north"', '"all"')
        .replace('name = "Tank"', "name = 5\nbord = 1")
    )
    found = "\n".join(mistakes_of(write(text)))
    for word in ("gpio: expected int <= 39", "critical: expected bool", '"max_rntime_s"', "stops:",
                 "name: expected str", '"bord"'):  # fmt: skip
        assert word in found


def test_a_cycle_of_interlocks_is_found_over_two_files(write):
    write(GOOD)
    chain = (
        '[[interlocks]]\nkind = "only_with"\nactuator = "ESP_4F3A9C/{}"\nother = "ESP_4F3A9C/{}"\n'
    )
    found = mistakes_of(write(chain.format(25, 26), "z.toml"))
    assert any(
        "can never start: it needs an actuator that it excludes" in line for line in found
    ), found


@given(st.text())
def test_no_text_at_all_makes_it_crash(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("site")
    (folder / "any.toml").write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        read_site(folder)
    except ConfigError as error:
        assert describe(error)


_VALUES = st.recursive(
    st.sampled_from(['"x"', "1", "-1", "1.5", "nan", "true", "[]", "{}", '"ESP_4F3A9C/25"']),
    lambda inner: st.lists(inner, max_size=2).map(lambda v: f"[{', '.join(v)}]"),
    max_leaves=4,
)


@given(st.lists(st.tuples(st.sampled_from(GOOD.splitlines()), _VALUES), min_size=1, max_size=4))
def test_any_value_anywhere_is_taken_or_told_with_its_line(tmp_path_factory, changes):
    text = GOOD
    for line, value in changes:
        key = line.split(" = ")[0]
        if " = " in line:
            text = text.replace(line, f"{key} = {value}")
    folder = tmp_path_factory.mktemp("site")
    (folder / "any.toml").write_text(text, encoding="utf-8")
    try:
        read_site(folder)
    except ConfigError as error:
        assert all(mistake.line for mistake in error.mistakes)


@pytest.mark.parametrize(("kind", "hours"), [("pump", 1), ("valve", 1), ("relay", 18), ("pwm", 18)])
def test_an_actuator_without_a_maximum_runtime_has_that_of_its_type(tmp_path, kind, hours):
    """The kind: a default that ends a light in the middle of its day."""
    (tmp_path / "site.toml").write_text(
        f'[devices.ESP_A00001]\n[[devices.ESP_A00001.actuators]]\ngpio = 25\ntype = "{kind}"\n'
    )
    (actuator,) = read_site(tmp_path).actuators
    assert actuator.max_runtime_s == hours * 3600
