"""Section 11 of the contract: stop, clear, tokens."""

from __future__ import annotations

import pytest

from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware.memory import Memory
from godkaiser.simulator.personality import PRODUCTION
from tests.simulator.bench import DEVICE, PH, PUMP, Bench, tails

STOP = {"command": "stop_all", "reason": "test", "timestamp": "2025-12-30T12:03:20Z"}
APPLIED = ("applied", "BROADCAST_EMERGENCY_STOP_TRIGGERED")
MALFORMED = ("failed", "EMERGENCY_CONTRACT_MISMATCH")

BROADCASTS = [
    (STOP, True, APPLIED),
    ({"command": "emergency_stop"}, True, APPLIED),
    ({"action": "stop_all"}, True, APPLIED),
    ({"command": "stop_all", "action": "stop_all"}, True, APPLIED),
    ({"command": "stop_all", "devices_stopped": 3, "correlation_id": "c"}, True, APPLIED),
    (b"", False, ("failed", "EMERGENCY_PARSE_ERROR")),
    (b"stop!", False, ("failed", "EMERGENCY_PARSE_ERROR")),
    (b"[1]", False, ("failed", "EMERGENCY_PARSE_ERROR")),
    ({"reason": "fire"}, False, MALFORMED),
    ({"action": 1}, False, MALFORMED),
    ({"command": "stop_all", "reason": 1}, False, MALFORMED),
    ({"command": "stop_all", "issued_by": 1}, False, MALFORMED),
    ({"command": "stop_all", "timestamp": 1767096300}, False, MALFORMED),
    ({"command": "resume"}, False, MALFORMED),
    ({"command": "clear"}, False, MALFORMED),
    ({"command": "STOP_ALL"}, False, MALFORMED),
    ({"command": 1}, True, MALFORMED),
    ({"command": "stop_all", "auth_token": 1}, True, MALFORMED),
    ({"command": "stop_all", "action": "emergency_stop"}, True, MALFORMED),
]


@pytest.mark.parametrize(("message", "stopped", "outcome"), BROADCASTS, ids=lambda v: str(v)[:60])
def test_11_2_the_table_of_broadcasts_and_their_defects(message, stopped, outcome):
    bench = Bench().registered(actuators=[PUMP])
    bench.command(25, "ON")
    bench.said.clear()
    if isinstance(message, bytes):
        bench.broadcast(message)
    else:
        bench.broadcast(**message)
    assert bench.device.memory.actuators[25].stopped is stopped
    assert bench.device.levels()[25] == (0.0 if stopped else 1.0)
    assert outcome in bench.outcomes()


def test_11_2_a_broadcast_is_answered_by_outcome_alert_and_status_and_no_ack():
    bench = Bench().registered(actuators=[PUMP])
    assert tails(bench.broadcast(**STOP)) == [
        Tail.INTENT_OUTCOME, Tail.ACTUATOR_ALERT, Tail.ACTUATOR_STATUS,
    ]  # fmt: skip
    assert bench.last(Tail.ACTUATOR_STATUS)["emergency"] == "active"


def test_11_2_an_unreadable_broadcast_is_error_3016():
    bench = Bench().registered()
    bench.wait(61.0)
    bench.broadcast(b"")
    assert bench.last(Tail.ERROR)["error_code"] == 3016


@pytest.mark.parametrize(
    "verb", ["stop", "resume_operation", "stop_actuator", "emergency_clear", None]
)
def test_11_3_any_other_verb_is_rejected_and_nothing_happens(verb):
    bench = Bench().registered(actuators=[PUMP])
    bench.send("actuator/emergency", command=verb)
    assert bench.outcomes() == [("rejected", "VALIDATION_FAIL")]
    assert not bench.device.memory.actuators[25].stopped


def test_11_4_the_stop_of_one_device_is_acknowledged_before_its_actuators_tell():
    bench = Bench().registered(actuators=[PUMP])
    said = bench.send("actuator/emergency", command="emergency_stop", correlation_id="c")
    assert tails(said)[0] is Tail.EMERGENCY_ACK
    ack = bench.last(Tail.EMERGENCY_ACK)
    del ack["ts"], ack["seq"]
    assert ack == {"esp_id": DEVICE, "correlation_id": "c", "command": "emergency_stop",
                   "gpio_count": 1, "outcome": "executed"}  # fmt: skip


@pytest.mark.parametrize("state", [8, 9, 10, 12, 14])
def test_6_2_emergencies_are_accepted_in_every_state(state):
    bench = Bench().registered(actuators=[PUMP])
    bench.device._core.state = state
    bench.broadcast(**STOP)
    assert bench.device.memory.actuators[25].stopped


def test_11_1_a_stop_works_before_registration_and_says_so_only_later():
    bench = Bench(memory=Memory(approved=True)).registered(actuators=[PUMP])
    bench.disconnect()
    bench.connect(reconnect=True)
    bench.said.clear()
    bench.broadcast(**STOP)
    assert bench.device.memory.actuators[25].stopped
    assert bench.said == []
    bench.ack()
    bench.wait(1.0)
    told = bench.last(Tail.INTENT_OUTCOME)
    assert (told["code"], told["recovered"], told["delivery_mode"], told["retry_count"]) == (
        "BROADCAST_EMERGENCY_STOP_TRIGGERED", True, "recovered", 1,
    )  # fmt: skip


def test_11_1_a_stop_flushes_what_waits_and_puts_the_epochs_back_to_0():
    bench = Bench().registered(actuators=[PUMP])
    bench.disconnect()
    bench.wait(31.0)
    bench.connect(reconnect=True)
    assert (bench.device.mode, bench.device.active_epoch) == ("RECONNECTING", 1)
    bench.ack(epoch=1)
    bench.device.stall(bench.now + 10.0)
    bench.command(25, "ON")
    bench.push(sensors=[PH])
    bench.broadcast(**STOP)
    assert (bench.device.mode, bench.device.active_epoch) == ("ONLINE", 0)
    assert bench.outcomes().count(("expired", "SAFETY_QUEUE_FLUSHED")) == 2
    bench.wait(11.0)
    assert bench.device.levels() == {25: 0.0} and not bench.device.memory.sensors
    assert bench.device.memory.unfinished_configs == []


def test_11_5_a_clear_is_locked_out_for_5_s_takes_2_s_and_energises_nothing():
    bench = Bench().registered(actuators=[PUMP])
    bench.command(25, "ON")
    bench.broadcast(**STOP)
    bench.wait(4.9, 0.1)
    bench.send("actuator/emergency", command="clear_emergency", correlation_id="early")
    assert bench.last(Tail.EMERGENCY_ERROR)["error"] == "clear_failed"
    alert = bench.last(Tail.ACTUATOR_ALERT)
    assert (alert["gpio"], alert["alert_type"]) == (255, "verification_failed")
    assert bench.outcomes()[-1] == ("failed", "EMERGENCY_CLEAR_REJECTED")
    bench.wait(0.2, 0.1)
    bench.said.clear()
    bench.send("actuator/emergency", command="clear_emergency", correlation_id="c")
    bench.command(25, "OFF")
    assert bench.last(Tail.ACTUATOR_STATUS)["emergency"] == "clearing"
    bench.wait(1.8, 0.1)
    assert not bench.bodies(Tail.EMERGENCY_RESPONSE)
    said = bench.wait(0.4, 0.1)
    assert tails(said) == [Tail.EMERGENCY_RESPONSE, Tail.INTENT_OUTCOME, Tail.RECOVERY_CONFIRM]
    answer = bench.last(Tail.EMERGENCY_RESPONSE)
    assert set(answer) == {"status", "timestamp", "seq"}
    assert (answer["status"], answer["timestamp"] // 1000) == (
        "emergency_cleared", int(bench.now - bench.device.booted_at),
    )  # fmt: skip
    confirm = bench.last(Tail.RECOVERY_CONFIRM)
    assert (confirm["state"], confirm["correlation_id"]) == ("cleared", "c")
    assert bench.device.levels() == {25: 0.0}
    bench.command(25, "ON")
    assert bench.device.levels() == {25: 1.0}


TOKENS = [
    (None, None, True), (None, "x", True), ("secret", "secret", True), ("secret", "SECRET", False),
    ("secret", None, False),
]  # fmt: skip


@pytest.mark.parametrize("topic", ["esp", "broadcast"])
@pytest.mark.parametrize(("stored", "sent", "stops"), TOKENS)
def test_11_6_tokens_are_compared_exactly_and_unset_accepts(topic, stored, sent, stops):
    bench = Bench().registered(actuators=[PUMP])
    if stored is not None:
        bench.send("system/command", command="set_emergency_token", token_type=topic, token=stored)
    bench.wait(61.0)
    bench.said.clear()
    fields = {} if sent is None else {"auth_token": sent}
    if topic == "esp":
        bench.send("actuator/emergency", command="emergency_stop", **fields)
    else:
        bench.broadcast(command="stop_all", **fields)
    assert bench.device.memory.actuators[25].stopped is stops
    if not stops:
        assert bench.outcomes() == [("rejected", "UNAUTHORIZED")]
        assert bench.last(Tail.ERROR)["error_code"] == 3500
        assert bool(bench.bodies(Tail.EMERGENCY_ERROR)) is (topic == "esp")


def test_11_6_a_production_build_without_a_token_refuses():
    bench = Bench(personality=PRODUCTION).registered(actuators=[PUMP])
    bench.wait(61.0)
    bench.broadcast(**STOP)
    assert not bench.device.memory.actuators[25].stopped
    assert bench.outcomes() == [("rejected", "NO_TOKEN_CONFIGURED")]
    assert bench.last(Tail.ERROR)["error_code"] == 3501


def test_11_6_a_missing_token_stores_the_text_null():
    bench = Bench().registered(actuators=[PUMP])
    bench.send("system/command", command="set_emergency_token")
    assert bench.device.memory.tokens == {"esp": "null"}
    bench.send("actuator/emergency", command="emergency_stop", auth_token="null")
    assert bench.device.memory.actuators[25].stopped
