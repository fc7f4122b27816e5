"""`godkaiser check`: all that is wrong, and all that is doubtful, at once.

The kind: a check that ends at its first mistake, or keeps quiet about what REST would have told.
"""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from godkaiser.cli.main import app

SITE = """\
[devices.ESP_4F3A9C]
[[devices.ESP_4F3A9C.sensors]]
gpio = 4
type = "{type}"
[[devices.ESP_4F3A9C.actuators]]
gpio = 25
type = "pump"
max_runtime_s = 60
"""
RULE = """\
[[rules]]
name = "Vent"
[[rules.conditions]]
type = "sensor"
esp_id = "ESP_4F3A9C"
gpio = {gpio}
sensor_type = "ds18b20"
operator = ">"
value = {value}
[[rules.actions]]
type = "actuator"
esp_id = "ESP_4F3A9C"
gpio = 25
command = "ON"
duration = {duration}
"""
GOOD = {"gpio": 4, "value": 28.0, "duration": 60.0}


@pytest.fixture
def check(tmp_path):
    for name in ("devices.d", "rules.d"):
        (tmp_path / name).mkdir()

    def check(config="[mqtt]\n", site=SITE.format(type="ds18b20"), rules="", *options):
        (tmp_path / "godkaiser.toml").write_text(config)
        (tmp_path / "devices.d" / "site.toml").write_text(site)
        (tmp_path / "rules.d" / "rules.toml").write_text(rules or RULE.format(**GOOD))
        return CliRunner().invoke(
            app, ["check", "--config", str(tmp_path / "godkaiser.toml"), *options]
        )

    return check


def test_mistakes_of_all_files_are_told_together(check):
    done = check(
        "[mqtt]\nport = 0\n",
        SITE.format(type="ds18b20").replace("25", "99"),
        "[[rules]]\nname = 1\n",
    )
    assert done.exit_code == 78
    for word in ("godkaiser.toml:2", "site.toml:6", "rules.toml:2", "rules.toml:1"):
        assert word in done.output


def test_what_is_good_has_no_warning_and_says_what_was_not_read(check, tmp_path):
    (tmp_path / "rules.d" / "old.toml.bak").touch()
    done = check()
    assert (done.exit_code, "warning" in done.output) == (0, False)
    assert "not read: rules.d/old.toml.bak" in done.output


@pytest.mark.parametrize(
    ("site", "rule", "told"),
    [
        ("moistur", {}, 'site.toml:2: warning: type "moistur" is not known, so its values are not'
         ' converted; perhaps "moisture"'),
        ("ds18b20", {"gpio": 5}, "no sensor ds18b20 is configured on GPIO 5 of ESP_4F3A9C yet"),
        ("ds18b20", {"duration": 61.0}, "ESP_4F3A9C/25 runs 60 s at most"),
        ("ds18b20", {"value": 900.0}, "Vent: conditions[0]: "),
    ],
)  # fmt: skip
def test_files_get_the_warnings_that_rest_gives(check, site, rule, told):
    declared = SITE.format(type=site)
    if site != "ds18b20":
        # Of a type that is not known it is taken that it is analogue.
        declared = declared.replace("gpio = 4", "gpio = 34")
    done = check("[mqtt]\n", declared, RULE.format(**{**GOOD, **rule}))
    assert done.exit_code == 0
    assert told in done.output


def test_a_misspelt_type_on_a_pin_that_does_not_suit_it_is_told_as_such(check):
    done = check("[mqtt]\n", SITE.format(type="ds18b2o"))
    assert done.exit_code == 78
    assert 'perhaps "ds18b20"' in done.output


def test_rules_that_work_against_each_other_are_told(check):
    other = RULE.format(**GOOD).replace("Vent", "Dry").replace('"ON"', '"OFF"')
    assert (
        "wants something else of ESP_4F3A9C/25"
        in check(rules=RULE.format(**GOOD) + other.replace("duration = 60.0\n", "")).output
    )


def test_it_is_told_as_json_too(check):
    found = json.loads(
        check("[mqtt]\nport = 0\n", SITE.format(type="ds18b20"), "", "--json").output
    )
    assert [(m["line"], m["key"]) for m in found["mistakes"]] == [(2, "[mqtt] port")]
    found = json.loads(
        check("[mqtt]\n", SITE.format(type="dsl8b20").replace("= 4", "= 34"), "", "--json").output
    )
    assert found["mistakes"] == []
    assert any("dsl8b20" in w["warning"] for w in found["warnings"])
