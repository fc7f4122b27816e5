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
        ("ds18b20", {"duration": 61.0}, "ESP_4F3A9C/25 runs at most 60 s"),
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
        "commands something else for ESP_4F3A9C/25"
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


def test_a_key_that_is_wrong_hides_no_other_mistake_of_its_rule(check):
    """The kind: a reader that leaves a table at its first mistake."""
    rule = RULE.format(**GOOD)
    twin = rule.replace('name = "Vent"', 'name = "Vent"\nprioritty = 5') + (
        '[[rules.actions]]\ntype = "emergency_stop"\nzone_id = "nowhere"\n'
    )
    done = check(rules=rule + twin)
    assert done.exit_code == 78
    for told in ('"prioritty"', "a name that no other has", "no device is in a zone nowhere"):
        assert told in done.output, done.output
    wrong_value = twin.replace("prioritty = 5", "cooldown_seconds = -1").replace(
        "emergency_stop", 'emergency_stop"\nreasn = "x'
    )
    done = check(rules=rule + wrong_value)
    for told in ("cooldown_seconds", '"reasn"', "a name that no other has", "a zone nowhere"):
        assert told in done.output, done.output


def test_a_key_that_is_wrong_hides_no_other_mistake_of_its_device(check):
    site = SITE.format(type="ds18b20").replace("max_runtime_s = 60", "max_runtime_z = 60")
    site = site.replace("[devices.ESP_4F3A9C]", '[devices.ESP_4F3A9C]\ncolour = "red"')
    site += '[[devices.ESP_4F3A9C.sensors]]\ngpio = 25\ntype = "ds18b20"\n'
    site += (
        '[[interlocks]]\nkind = "never_with"\nactuator = "ESP_4F3A9C/25"\nother = "ESP_4F3A9C/26"\n'
    )
    done = check(site=site)
    assert done.exit_code == 78
    for told in ('"max_runtime_z"', '"colour"', "GPIO 25", "ESP_4F3A9C/26"):
        assert told in done.output, done.output
    assert "ESP_4F3A9C/25 is" not in done.output, "it is declared, though with a mistake"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('type = "sensor"', 'type = "sensr"', ("hysteresis", 'perhaps "sensor"')),
        ('type = "actuator"', 'type = "aktuator"', ("notification", 'perhaps "actuator"')),
        ('command = "ON"', 'command = "on"', ("OFF", "PWM")),
        ('operator = ">"', 'operator = "=>"', ("between", ">=")),
    ],
)
def test_a_word_that_is_none_is_told_with_the_words_that_there_are(check, before, after, told):
    done = check(rules=RULE.format(**GOOD).replace(before, after))
    assert done.exit_code == 78
    for word in ("one of", *told):
        assert word in done.output, done.output
    done = check(site=SITE.format(type="ds18b20").replace('"pump"', '"pmup"'))
    assert "one of" in done.output and 'perhaps "pump"' in done.output


def test_the_entry_that_is_wrong_is_named(check):
    done = check('[outbound]\nallow = ["10.0.0.0/33", "*", "1.2.3.4", "panel.local", 5]\n')
    assert done.exit_code == 78
    for told in ('"10.0.0.0/33"', '"*"', "5 among them"):
        assert told in done.output
    assert '1.2.3.4" (' not in done.output and 'panel.local" (' not in done.output


def test_a_file_that_is_missing_is_one_mistake_and_not_two(check):
    done = check(
        '[mqtt]\nusername = "g"\npassword_file = "absent"\n[broker_accounts]\nfolder = "m"\n',
        "[devices.ESP_4F3A9C]\n", "", "--json",
    )  # fmt: skip
    (mistake,) = json.loads(done.output)["mistakes"]
    assert mistake["key"] == "[mqtt] password_file"


@pytest.mark.parametrize(
    ("section", "key", "more"),
    [("mqtt", "password_file", 'username = "g"\n'), ("mqtt", "stop_password_file", ""),
     ("safety", "broadcast_token_file", ""), ("notify", "smtp_password_file", "")],
)  # fmt: skip
def test_a_secret_that_everybody_may_read_is_doubtful(check, tmp_path, section, key, more):
    secret = tmp_path / "secret"
    secret.write_text("a-good-password\n")
    config = f'[{section}]\n{more}{key} = "secret"\n'
    for mode, is_told in ((0o644, True), (0o640, False), (0o600, False)):
        secret.chmod(mode)
        done = check(config)
        assert (done.exit_code, f"[{section}] {key}: every user" in done.output) == (0, is_told)
