"""A dead letter may be sent again to a store, and never to what moves an actuator.

The kind of fault: a decision is carried out long after its moment, past what has been decided since
(proof 23: a day-old ON reached its pump, against an interlock).
"""

from __future__ import annotations

import pytest

from godkaiser import paths
from godkaiser.actors.devices.messages import InstallActuator
from godkaiser.actors.safety.messages import RequestCommand
from godkaiser.domain.entities import ActuatorConfig, ActuatorType, Command, Issuer, Verb
from godkaiser.supervision import Reason
from tests.waiting import eventually

BENCH_1 = "ESP_A00001"
ON = Command(
    correlation_id="old",
    esp_id=BENCH_1,
    gpio=25,
    verb=Verb.ON,
    issuer=Issuer("user", "op"),
    requested_at=1.0,
)
PUMP = ActuatorConfig(esp_id=BENCH_1, gpio=25, actuator_type=ActuatorType.PUMP)


def letter(site, path, message):
    dead = site.gateway.system.dead_letters
    dead.add(at=1.0, path=path, reason=Reason.CRASHED, message=message)
    return dead.list(1)[0].letter_id


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (paths.actuator(BENCH_1, 25), InstallActuator(config=PUMP)),
        (paths.ACTUATORS, "any"),
        (paths.SAFETY, RequestCommand(command=ON)),
        (paths.rule(1), "any"),
    ],
)
def test_nothing_that_decides_over_an_actuator_gets_a_dead_letter_again(site, path, message):
    number = letter(site, path, message)
    handled = site.gateway.system.info(path).handled
    status, answer = site.client.call("POST", f"/system/dead-letters/{number}/resend", {})
    assert status == 409
    assert path in answer["error"]["message"]
    assert "command it anew" in answer["error"]["message"]
    # It is kept, to be looked at.
    assert number in {entry["id"] for entry in site.client.get("/system/dead-letters")["data"]}
    status, _ = site.client.call("POST", f"/system/dead-letters/{number}/resend", {})
    assert status == 409
    assert site.gateway.system.info(path).handled >= handled


def test_anything_else_is_sent_once(site):
    number = letter(site, paths.HOUSEKEEPER, "nonsense")
    assert site.client.call("POST", f"/system/dead-letters/{number}/resend", {})[0] == 202
    assert site.client.call("POST", f"/system/dead-letters/{number}/resend", {})[0] == 404
    eventually(
        lambda: any(
            entry["path"] == paths.HOUSEKEEPER and entry["reason"] == "unhandled"
            for entry in site.client.get("/system/dead-letters")["data"]
        )
    )
