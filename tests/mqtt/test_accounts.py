"""What stands in Mosquitto's files; that a real Mosquitto obeys is shown in tests/system."""

from __future__ import annotations

from godkaiser.domain.entities import Approval
from godkaiser.mqtt.accounts import (
    acl_file,
    clashes,
    hash_password,
    password_file,
    password_matches,
)

FIELD = "ESP_A00001"


def rights(approval):
    """The topics of a device by what it may do there."""
    text = acl_file("godkaiser", {FIELD: approval}, "")
    _, _, own = text.partition(f"user {FIELD}\n")
    found = {"read": set(), "write": set()}
    for line in own.splitlines():
        _, access, topic = line.split(" ")
        found[access].add(topic)
    return found


def test_a_device_that_is_not_approved_may_only_ask():
    asks = {
        f"kaiser/+/esp/{FIELD}/{tail}"
        for tail in ("system/heartbeat", "session/announce", "system/will")
    }
    for approval in (Approval.PENDING, Approval.REJECTED):
        found = rights(approval)
        assert found["write"] == asks
        assert found["read"] == {
            f"kaiser/+/esp/{FIELD}/system/heartbeat/ack",
            "kaiser/broadcast/#",
            "kaiser/+/server/status",
        }


def test_an_approved_device_says_what_devices_say_and_hears_what_they_hear():
    found = rights(Approval.APPROVED)
    assert f"kaiser/+/esp/{FIELD}/sensor/+/data" in found["write"]
    assert f"kaiser/+/esp/{FIELD}/actuator/+/command" in found["read"]
    assert not found["write"] & found["read"]
    own = f"kaiser/+/esp/{FIELD}/"
    assert all(topic.startswith(own) for topic in found["write"])
    assert not any("#" in topic for topic in found["write"])


def test_lines_of_the_admin_stand_where_they_give_nobody_of_ours_a_right():
    text = acl_file("godkaiser", {FIELD: Approval.PENDING}, "topic read public/#\nuser grafana")
    assert text.index("public/#") < text.index("user grafana\n") < text.index("user godkaiser\n")


def test_a_password_matches_its_hash_only():
    hashed = hash_password("plum", b"123456789012")
    assert hashed.startswith("$7$101$")
    assert password_matches("plum", hashed)
    assert not password_matches("plumb", hashed)
    for broken in ("", "plum", "$6$x$y", "$7$many$a$b", "$7$101$a", "$7$0$YQ==$YQ=="):
        assert not password_matches("plum", broken)


def test_lines_that_cannot_stand_beside_ours_are_told_by_number():
    extra = "grafana:$7$1$a$b\n\nESP_A00001:$7$1$a$b\nno colon\n:x\ny:\n"
    assert [line.number for line in clashes({FIELD: "h"}, extra)] == [3, 4, 5, 6]
    assert password_file({FIELD: "h", "A": "g"}, "x:y") == "A:g\nESP_A00001:h\nx:y\n"
