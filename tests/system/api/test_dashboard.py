"""The files of the page: their headers, their size, and whether the committed build is that of the sources."""

from __future__ import annotations

import ast
import gzip
import hashlib
import http.client
import json
import re
from pathlib import Path

import pytest

from godkaiser.domain.safety.judge import CHECKS
from tests.provision.servers import Mosquitto
from tests.system.site import Site

ROOT = Path(__file__).parents[3]
WEB = ROOT / "web"
STATIC = ROOT / "godkaiser" / "dashboard" / "static"
FIRST_LOAD_BYTES = 90_000
ALL_BYTES = 150_000


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    broker.start()
    site = Site(tmp_path_factory.mktemp("site"), broker)
    yield site.gateway.http_port
    site.close()
    broker.stop()


def fetch(port, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def assets_in(page):
    return re.findall(r'(?:src|href)="(assets/[^"]+)"', page.decode())


@pytest.mark.parametrize("path", ["/", "/stop"])
def test_a_page_is_asked_for_each_time_and_its_assets_never_again(port, path):
    status, headers, page = fetch(port, path)
    assert (status, headers["Cache-Control"]) == (200, "no-cache")
    assert fetch(port, path, **{"If-None-Match": headers["ETag"]})[0] == 304
    assert fetch(port, path, **{"If-None-Match": '"another"'})[0] == 200
    assert len(assets_in(page)) >= 2
    for asset in assets_in(page):
        status, headers, body = fetch(port, f"/{asset}")
        assert status == 200
        assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
        digest = hashlib.sha256(body).hexdigest()[:16]
        assert f".{digest}." in asset
        status, headers, packed = fetch(port, f"/{asset}", **{"Accept-Encoding": "gzip"})
        assert (headers["Content-Encoding"], gzip.decompress(packed)) == ("gzip", body)
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert fetch(port, path, "HEAD")[0] == 200


def test_nothing_runs_but_our_own_scripts_and_no_text_becomes_a_page(port):
    policy = fetch(port, "/")[1]["Content-Security-Policy"]
    for rule in (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
        "require-trusted-types-for 'script'", "trusted-types 'none'", "frame-ancestors 'none'",
    ):  # fmt: skip
        assert rule in policy
    assert "unsafe" not in policy
    assert fetch(port, "/")[1]["X-Frame-Options"] == "DENY"
    stop = fetch(port, "/stop")[1]
    assert "sandbox allow-scripts" in stop["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in stop["Content-Security-Policy"]
    assert stop["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    "path",
    ["/assets/app.js", "/assets/../static/app.js", "/assets/app.0000000000000000.js", "/assets/"],
)
def test_an_asset_of_another_page_is_not_found(port, path):
    assert fetch(port, path)[0] == 404


def test_the_pages_of_the_api_are_where_they_were(port):
    status, headers, _ = fetch(port, "/api/v1")
    assert (status, headers["Location"]) == (302, "/api/v1/docs")


def test_the_first_load_stays_small():
    sizes = {file.name: len(gzip.compress(file.read_bytes(), 9)) for file in STATIC.iterdir()}
    first = ["index.html", "app.js", "app-style.css", "icon.svg", "stop.html", "stop.js",
             "stop-style.css"]  # fmt: skip
    assert sum(sizes[name] for name in first) <= FIRST_LOAD_BYTES
    assert sum(sizes.values()) <= ALL_BYTES


def test_the_committed_build_is_that_of_the_sources():
    """As web/build.mjs counts; CI builds it again, too. After a change of web/: make web."""
    files = [WEB / "build.mjs", WEB / "package-lock.json"]
    files += [
        file for name in ("html", "src") for file in (WEB / name).rglob("*") if file.is_file()
    ]
    found = hashlib.sha256()
    for name, file in sorted((file.relative_to(WEB).as_posix(), file) for file in files):
        found.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    assert (STATIC / "sources.txt").read_text().strip() == found.hexdigest()


# ---- what the gateway says in English is known in German, too


def german():
    return json.loads((WEB / "src" / "words" / "server.de.json").read_text())


def test_every_check_has_a_name_in_both_languages():
    for language in ("en", "de"):
        text = (WEB / "src" / "words" / f"{language}.ts").read_text()
        for check in CHECKS:
            assert f"    {check}: " in text, (language, check)


# Put together from others, which are there as a whole.
PIECES = {"held by {} {}", "for another {} s", "until it is released"}


def sentences_of(module):
    """The texts in its functions, with `{}` for what is filled in."""
    for function in ast.walk(ast.parse((ROOT / "godkaiser" / module).read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        body = function.body[1:] if ast.get_docstring(function) else function.body
        inside = set()
        for node in (node for statement in body for node in ast.walk(statement)):
            if isinstance(node, ast.JoinedStr):
                inside |= {id(part) for part in ast.walk(node)} - {id(node)}
                yield "".join(
                    part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
                )
            elif isinstance(node, ast.Constant) and id(node) not in inside:
                yield str(node.value)


@pytest.mark.parametrize("module", ["domain/safety/judge.py", "domain/devices/devices.py"])
def test_every_reason_of_a_verdict_and_of_a_health_is_known_in_german(module):
    said = {text for text in sentences_of(module) if len(text.split()) > 2}
    assert sorted(said - PIECES - german().keys()) == []
    assert len(said) > 5


def test_the_holes_of_each_sentence_are_as_many_in_german():
    for english, text in german().items():
        assert english.count("{}") == text.count("{}"), english
