"""The examples of the API's documentation, each run against a real gateway, in their order."""

from __future__ import annotations

from urllib.parse import quote

from godkaiser.http.examples import EXAMPLES, TANK
from godkaiser.http.openapi import BODIES
from tests.system.site import Client
from tests.waiting import eventually

# What an example cannot do by itself: these are refused for what is so, and for nothing else.
REFUSED = {
    "/auth/setup": "SETUP_CLOSED",
    "/auth/refresh": "INVALID_TOKEN",
    "/auth/password": "INVALID_CREDENTIALS",
    "/actuators/clear_emergency": "CLEAR_LOCKED_OUT",
    "/actuators/resume": "INVALID_TRANSITION",
}


def test_there_is_one_for_each_body():
    assert {(one.method, one.template) for one in EXAMPLES} == set(BODIES)


def test_each_does_what_it_says(make_site):
    site = make_site(devices=0)
    client = site.client
    wrong: list[object] = []
    made: dict[str, str] = {}
    for one in EXAMPLES:
        path = one.template
        for name, value in {**one.path, **made}.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        if one.template == "/esp/devices/{device_id}/commands":
            # The mock has come up, and its pump's state is known.
            eventually(lambda: client.get(f"/esp/devices/{TANK}")["online"], 30.0)
            eventually(
                lambda: client.get(f"/actuators/{TANK}/25")["reported_value"] is not None, 30.0
            )
        asker = client
        if one.template == "/auth/password":
            # Anybody's own: of somebody who has it.
            asker = Client(site.gateway.http_port)
            asker.token = client.token
        status, answer = asker.call(one.method, path, one.body)
        if asker is not client:
            asker.close()
        if one.template.endswith("/calibration"):
            made["session_id"] = str(answer.get("session_id"))
        code = REFUSED.get(one.template)
        told = (answer or {}).get("error", {}).get("code")
        if (code or None) != told or (code is None and status >= 300):
            wrong.append((one.method, path, status, answer))
    assert not wrong, "\n".join(map(str, wrong))
