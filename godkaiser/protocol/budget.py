"""The cost of a message in the device's JSON parser, and the device's limits (contract, section
5.6).
"""

from __future__ import annotations

from typing import Any

from godkaiser.protocol.topics import Tail

MEMBER_BYTES = 16

PARSE_BUDGET_BYTES = {
    Tail.HEARTBEAT_ACK: 256,
    Tail.SYSTEM_COMMAND: 256,
    Tail.ACTUATOR_EMERGENCY: 256,
    Tail.ZONE_ASSIGN: 512,
    Tail.SUBZONE_ASSIGN: 1024,
    Tail.SUBZONE_REMOVE: 256,
    Tail.SUBZONE_SAFE: 512,
    Tail.SENSOR_COMMAND: 384,
    Tail.CONFIG: 7680,
}
BROADCAST_BUDGET_BYTES = 512
SERVER_STATUS_BUDGET_BYTES = 256
COMMAND_TEXT_BYTES = 511
CONFIG_TEXT_BYTES = 4351


def parse_cost(value: Any) -> int:
    """Bytes of parser memory: 16 for each member or element, plus each distinct string with its
    NUL.
    """
    strings: set[str] = set()
    members = _count(value, strings)
    return MEMBER_BYTES * members + sum(len(text.encode()) + 1 for text in strings)


def _count(value: Any, strings: set[str]) -> int:
    if isinstance(value, dict):
        strings.update(value)
        return len(value) + sum(_count(item, strings) for item in value.values())
    if isinstance(value, list):
        return len(value) + sum(_count(item, strings) for item in value)
    if isinstance(value, str):
        strings.add(value)
    return 0
