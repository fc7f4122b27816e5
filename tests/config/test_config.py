"""Configuration: what loads, and what is said about what does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.config import reference
from godkaiser.config.lines import lines_of_keys
from godkaiser.config.loading import load
from godkaiser.config.mistakes import ConfigError, Mistake, describe
from godkaiser.config.secret_file import first_line
from godkaiser.config.settings import ENVIRONMENT, KEYS, SECTIONS, Config, GatewayConfig
from godkaiser.config.values import split_address, weakness_of_secret
from tests import ROOT
from tests.provision.certificates import write_certificate

EXAMPLE = ROOT / "conf" / "godkaiser.toml"
STRONG = "mW3q9-uX7vK2_pLd8RfT4zYc6HbN1sQgJ5eA"


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "godkaiser.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def mistakes_of(path: Path | None, environ: dict[str, str] | None = None) -> list[Mistake]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})
    return caught.value.mistakes


def only_mistake(path: Path | None, environ: dict[str, str] | None = None) -> Mistake:
    (mistake,) = mistakes_of(path, environ)
    return mistake


def load_or_describe(path: Path | None, environ: dict[str, str]) -> Config | list[str]:
    try:
        return load(path, environ)
    except ConfigError as error:
        return describe(error)


def test_without_a_file_and_an_environment_the_defaults_hold():
    config = load(None, {})
    assert config == Config()
    assert (config.http.host, config.http.port) == ("127.0.0.1", 8000)
    assert config.database_url == "sqlite:///var/godkaiser.db"


def test_the_shipped_example_loads_clean_and_shows_the_defaults():
    expected = Config(gateway=GatewayConfig(data_dir="/var/lib/godkaiser"))
    assert load(EXAMPLE, {}) == expected


def test_the_shipped_example_shows_every_key():
    lines = lines_of_keys(EXAMPLE.read_text(encoding="utf-8"))
    assert set(lines) >= {(section, key) for section, keys in KEYS.items() for key in keys}


@pytest.mark.parametrize("file", reference.FILES)
def test_what_is_made_of_the_table_is_current(file):
    """`make reference` renews both files."""
    assert (ROOT / file).read_text(encoding="utf-8") == reference.FILES[file]()


def test_every_field_has_its_meaning_in_the_table_and_a_default_that_passes_its_test():
    assert {name: set(keys) for name, keys in KEYS.items()} == {
        name: set(kind.__struct_fields__) for name, kind in SECTIONS.items()
    }
    for section, keys in KEYS.items():
        for key, setting in keys.items():
            default = getattr(getattr(Config(), section), key)
            as_written = list(default) if isinstance(default, tuple) else default
            assert setting.rule.test(as_written) is None, (section, key)
            assert setting.meaning.endswith((".", "...")), (section, key)


def test_a_file_overrides_defaults_and_the_environment_overrides_the_file(write):
    path = write('[mqtt]\nhost = "file"\nport = 1884\n[gateway]\nkaiser_id = "house_2"\n')
    config = load(path, {"MQTT_BROKER_HOST": "environment", "MQTT_USE_TLS": "YES"})
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.tls) == ("environment", 1884, True)
    assert config.gateway.kaiser_id == "house_2"


def test_every_environment_name_sets_its_key(tmp_path):
    file = tmp_path / "certificate.pem"
    write_certificate(file)
    given = {
        "DATABASE_URL": "postgresql://u:p@h:5432/g",
        "MQTT_BROKER_HOST": "broker",
        "MQTT_BROKER_PORT": "8883",
        "MQTT_USE_TLS": "true",
        "MQTT_CA_CERT_PATH": str(file),
        "MQTT_CLIENT_CERT_PATH": str(file),
        "MQTT_CLIENT_KEY_PATH": str(file),
        "JWT_SECRET_KEY": STRONG,
    }
    assert set(given) == {*ENVIRONMENT, "JWT_SECRET_KEY"}
    config = load(None, given)
    assert config.database.url == given["DATABASE_URL"]
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.tls) == ("broker", 8883, True)
    assert {config.mqtt.ca_cert, config.mqtt.client_cert, config.mqtt.client_key} == {str(file)}
    assert config.jwt_secret == STRONG


def test_an_empty_variable_overrides_nothing(write):
    path = write('[mqtt]\nhost = "file"\n')
    assert load(path, {"MQTT_BROKER_HOST": " ", "JWT_SECRET_KEY": ""}).mqtt.host == "file"


def test_a_mistake_is_told_with_file_line_key_what_was_expected_and_what_was_found(write):
    path = write('# first\n\n[mqtt]\nhost = "h"\nport = "abc"  # no\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert describe(caught.value) == [
        f'{path}:5: [mqtt] port: expected an integer from 1 to 65535, found "abc"'
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(write):
    path = write(
        'port = 1883\n[gatway]\n[http]\nlisten = "8000"\n[mqtt]\nprot = 1\ntls = "yes"\n'
        '[log]\nlevel = "loud"\n'
    )
    found = mistakes_of(path, {"MQTT_BROKER_PORT": "0", "DATABASE_URL": "mysql://h/x"})
    assert [(m.line, m.key) for m in found] == [
        (1, "port"),
        (2, "[gatway]"),
        (4, "[http] listen"),
        (6, "[mqtt] prot"),
        (7, "[mqtt] tls"),
        (9, "[log] level"),
        (None, "DATABASE_URL"),
        (None, "MQTT_BROKER_PORT"),
    ]


def test_a_misspelt_section_or_key_gets_the_near_one(write):
    found = mistakes_of(write("[mqqt]\n[mqtt]\nhostt = 1\n[http]\nlsiten = 1\n"))
    assert [m.expected for m in found] == [
        'a section, perhaps "mqtt"',
        'a key of [mqtt], perhaps "host"',
        'a key of [http], perhaps "listen"',
    ]


def test_a_key_in_the_wrong_section_is_told_where_it_belongs(write):
    found = mistakes_of(write('url = "x"\n[mqtt]\nlevel = "info"\n'))
    assert [m.expected for m in found] == [
        "it in a section, perhaps in [database]",
        "a key of [mqtt], perhaps in [log]",
    ]


def test_a_bad_variable_is_told_by_its_name():
    mistake = only_mistake(None, {"MQTT_BROKER_PORT": "99999"})
    assert str(mistake) == (
        "environment: MQTT_BROKER_PORT: expected an integer from 1 to 65535, found 99999"
    )


@pytest.mark.parametrize(
    "line",
    [
        'gateway.kaiser_id = "a b"',
        f'gateway.kaiser_id = "{"k" * 64}"',
        "gateway.kaiser_id = 7",
        'gateway.data_dir = ""',
        'http.listen = "localhost"',
        'http.listen = "localhost:70000"',
        'http.listen = "::1:8000"',
        "http.listen = 8000",
        'mqtt.host = " "',
        "mqtt.port = 0",
        "mqtt.port = 65536",
        "mqtt.port = 1883.0",
        "mqtt.port = true",
        'mqtt.tls = "true"',
        "mqtt.username = 5",
        "mqtt.keepalive_s = 4",
        "mqtt.host = [1]",
        "mqtt = 3",
        "mqtt = []",
        "devices.offline_after_s = 0",
        'devices.approval = "Auto"',
        'log.format = "xml"',
        'database.url = "godkaiser.db"',
        'database.url = "sqlite://godkaiser.db"',
        'database.url = "sqlite:///"',
        'database.url = "sqlite:///:memory:"',
        'database.url = "postgresql://host"',
        'database.url = "postgresql://host:port/name"',
        'database.url = "postgresql+asyncpg://host/name"',
    ],
)
def test_a_wrong_value_is_one_mistake_on_its_line(write, line):
    mistake = only_mistake(write(f"# a comment\n{line}\n"))
    assert mistake.line == 2
    assert mistake.expected
    assert mistake.found


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///relative.db",
        "sqlite:////var/lib/godkaiser/g.db",
        "postgres://h/n",
        "postgresql://user:pa%40ss@[::1]:5432/name?sslmode=require",
        "postgresql:///name",
    ],
)
def test_database_urls_of_both_engines_are_taken(url):
    assert load(None, {"DATABASE_URL": url}).database_url == url


def test_a_password_in_a_url_is_never_shown(write):
    path = write('[database]\nurl = "mysql://root:hunter2@h/x"\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {"DATABASE_URL": "postgresql://root:hunter2@h"})
    assert len(caught.value.mistakes) == 2
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "secret", ["short", "change-me-in-production-please-do", "a" * 40, "MySecretKey" * 4]
)
def test_a_short_or_well_known_secret_is_refused_and_not_shown(secret):
    mistake = only_mistake(None, {"JWT_SECRET_KEY": secret})
    assert (mistake.file, mistake.key) == ("environment", "JWT_SECRET_KEY")
    assert secret not in str(mistake)


def test_random_secrets_are_strong():
    for _ in range(200):
        assert weakness_of_secret(os.urandom(16).hex()) is None


def test_a_password_file_must_be_readable_and_filled(write, tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("\n")
    absent = tmp_path / "absent"
    for file in (empty, absent, tmp_path):
        mistake = only_mistake(write(f'[mqtt]\nusername = "g"\npassword_file = "{file}"\n'))
        assert (mistake.line, mistake.key) == (3, "[mqtt] password_file")
        assert str(file) in mistake.found


def test_keys_that_need_each_other_are_missed(write, tmp_path):
    file = tmp_path / "f"
    file.write_text("x")
    found = mistakes_of(
        write(f'[mqtt]\ntls = true\nclient_cert = "{file}"\npassword_file = "{file}"\n')
    )
    assert [(m.line, m.expected) for m in found] == [
        (3, "client_key beside it"),
        (4, "username beside it"),
    ]


def test_a_certificate_without_a_word_on_tls_is_a_mistake(write, tmp_path):
    file = tmp_path / "ca.pem"
    write_certificate(file)
    assert only_mistake(write(f'[mqtt]\nca_cert = "{file}"\n')).line == 2
    assert not load(write(f'[mqtt]\ntls = false\nca_cert = "{file}"\n'), {}).mqtt.tls


def test_a_mistake_is_not_told_twice_as_a_missing_partner(write, tmp_path):
    file = tmp_path / "f"
    file.write_text("x")
    text = f'[mqtt]\ntls = "on"\nclient_cert = "{file}"\nclient_key = "{tmp_path / "no"}"\n'
    assert [m.key for m in mistakes_of(write(text))] == ["[mqtt] tls", "[mqtt] client_key"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[mqtt]\nport = abc\n", 2),
        ("[mqtt]\nport = 1\nport = 2\n", 3),
        ("[mqtt\n", 1),
        ("[mqtt]\nhost = '''\nnever closed\n", 4),
    ],
)
def test_broken_syntax_is_told_with_its_line(write, text, line):
    mistake = only_mistake(write(text))
    assert (mistake.line, mistake.expected) == (line, "valid TOML")


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path):
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    deep = tmp_path / "deep.toml"
    deep.write_text("a = " + "[" * 100_000)
    for path in (tmp_path / "absent.toml", tmp_path, binary, deep):
        assert only_mistake(path).file == str(path)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "notepad.toml"
    path.write_bytes(b"\xef\xbb\xbf[mqtt]\r\nport = 1884\r\n")
    assert load(path, {}).mqtt.port == 1884


@pytest.mark.parametrize(("content", "secret"), [("s3cret\r\n", "s3cret"), ("\r\n", None)])
def test_a_byte_order_mark_is_no_part_of_a_secret(write, tmp_path, content, secret):
    # hukkin/tomli#304, in the files beside the configuration.
    file = tmp_path / "secret"
    file.write_text("\ufeff" + content)
    text = f'[mqtt]\nusername = "g"\npassword_file = "{file}"\n'
    if secret is None:
        assert "empty" in only_mistake(write(text)).found
    else:
        load(write(text), {})
        assert first_line(file) == secret


def test_what_is_shown_stays_on_one_line(write):
    mistake = only_mistake(write('[log]\nlevel = """\nport = 1\n\\u001b[31m"""\n'))
    assert "\n" not in str(mistake)
    assert "\x1b" not in str(mistake)


def test_lines_are_found_for_every_way_to_write_a_key():
    text = (
        'mqtt.port = 1\n["http"] # c\n"listen" = "a"\n[gateway]\n  kaiser_id="x"\n'
        'note = """\nfake = 1\n"""\nafter = 2\n[a.b]\nc.d = 1\n'
    )
    lines = lines_of_keys(text)
    assert lines["mqtt", "port"] == 1
    assert lines["http", "listen"] == 3
    assert lines["gateway", "kaiser_id"] == 5
    assert lines["gateway", "after"] == 9
    assert lines["a",] == 10
    assert lines["a", "b", "c", "d"] == 11
    assert ("gateway", "fake") not in lines


@given(st.text() | st.from_regex(r"(\[\w{1,5}\]\n|\w{1,5} = \w{0,3}\n){0,6}"))
def test_whatever_the_file_holds_it_loads_or_tells_mistakes(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    assert load_or_describe(path, {})


@given(st.dictionaries(st.sampled_from([*ENVIRONMENT, "JWT_SECRET_KEY"]), st.text()))
def test_whatever_the_environment_holds_it_loads_or_tells_mistakes(environ):
    told = load_or_describe(None, environ)
    assert isinstance(told, Config) or all(line.startswith("environment: ") for line in told)


@pytest.mark.parametrize(
    ("text", "pair"),
    [("h:1", ("h", 1)), ("[::1]:80", ("::1", 80)), ("127.0.0.1:0", ("127.0.0.1", 0))],
)
def test_addresses_are_split(text, pair):
    assert split_address(text) == pair


@pytest.mark.parametrize("text", ["", ":80", "h", "h:", "h:x", "h:65536", "::1:80", "[]:1", "h:-1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="HOST:PORT"):
        split_address(text)


# ---- the kind: a relative path means one file, whoever reads it and from where


def test_relative_paths_are_relative_to_the_file(write, tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("s3cret\n")
    write_certificate(tmp_path / "both.pem")
    path = write(
        '[gateway]\ndata_dir = "data"\n[mqtt]\nusername = "g"\npassword_file = "secret"\n'
        'stop_password_file = "secret"\ntls = true\nca_cert = "both.pem"\nclient_cert = "both.pem"\n'
        'client_key = "./both.pem"\n[broker_accounts]\nfolder = "accounts"\npid_file = "run/pid"\n'
        '[safety]\ndevice_token_file = "secret"\nbroadcast_token_file = "secret"\n'
        '[notify]\nsmtp_password_file = "secret"\n'
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for named in (path, Path("../godkaiser.toml")):
        config = load(named, {})
        folder = named.parent.absolute()
        assert config.data_dir == folder / "data"
        assert config.database_url == f"sqlite:///{folder}/data/godkaiser.db"
        mqtt, safety = config.mqtt, config.safety
        assert {mqtt.password_file, mqtt.stop_password_file, safety.device_token_file,
                safety.broadcast_token_file, config.notify.smtp_password_file} == {
            str(folder / "secret")
        }  # fmt: skip
        assert {mqtt.ca_cert, mqtt.client_cert, mqtt.client_key} == {str(folder / "both.pem")}
        assert config.broker_accounts.folder == str(folder / "accounts")
        assert config.broker_accounts.pid_file == str(folder / "run/pid")


def test_the_default_data_folder_and_a_relative_database_are_beside_the_file(write, tmp_path):
    config = load(write('[database]\nurl = "sqlite:///gk.db"\n'), {})
    assert config.data_dir == tmp_path / "var"
    assert config.database_url == f"sqlite:///{tmp_path}/gk.db"
    # From the environment, a path is as the shell sees it.
    assert load(write("[mqtt]\n"), {"DATABASE_URL": "sqlite:///gk.db"}).database_url.endswith(
        "///gk.db"
    )


def test_every_key_that_holds_a_path_is_located():
    """A new key for a file or a folder must say so in the table."""
    named = {(s, k) for s, keys in KEYS.items() for k, key in keys.items()
             if any(word in key.rule.expected for word in ("path", "PATH", "file", "folder"))}  # fmt: skip
    assert named == {
        (s, k) for s, keys in KEYS.items() for k, key in keys.items() if key.rule.located
    }


# ---- the kind: a file that has lost what it held is told, never read as something else


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\0" * 512])
def test_an_empty_configuration_is_refused(tmp_path, content):
    path = tmp_path / "godkaiser.toml"
    path.write_bytes(content)
    assert only_mistake(path).file == str(path)


@pytest.mark.parametrize("content", [b"\0" * 48, b"pass\0word", b"\xff\xfe", b"\n\n", b""])
@pytest.mark.parametrize("key", ["mqtt.password_file", "mqtt.stop_password_file", "mqtt.ca_cert",
                                 "safety.device_token_file", "notify.smtp_password_file"])  # fmt: skip
def test_a_secret_or_certificate_of_nothing_or_noise_is_refused(write, tmp_path, key, content):
    (tmp_path / "f").write_bytes(content)
    found = mistakes_of(write(f'mqtt.username = "g"\nmqtt.tls = true\n{key} = "f"\n'))
    assert [m.line for m in found] == [3]


def test_a_key_that_is_not_of_the_certificate_is_refused(write, tmp_path):
    write_certificate(tmp_path / "a.pem")
    write_certificate(tmp_path / "b.pem")
    (tmp_path / "nul.pem").write_bytes(b"\0" * 1000)
    # The key of another certificate may pass: a renewal writes one file after the other.
    for key, may_pass in (("b.pem", True), ("nul.pem", False)):
        text = f'[mqtt]\ntls = true\nclient_cert = "a.pem"\nclient_key = "{key}"\n'
        mistake = only_mistake(write(text))
        assert (mistake.line, mistake.passing) == (4, may_pass)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    assert "a pipe" in only_mistake(tmp_path / "pipe.toml").found
    path = tmp_path / "g.toml"
    path.write_text('[mqtt]\nusername = "g"\npassword_file = "pipe.toml"\n')
    assert only_mistake(path).line == 3
