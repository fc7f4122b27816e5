"""What crosses the wire of the broker model, and who watches it."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Packet(NamedTuple):
    """`kind` as the MQTT specification names it."""

    kind: str
    mid: int = 0
    topic: str = ""
    payload: bytes = b""
    qos: int = 0
    retain: bool = False


class Witness(Protocol):
    """Sees what crosses the wire. `handed`: the gateway published it. `left`: from here on nothing can
    take it back (PUBREL for QoS 2, PUBLISH otherwise). `withheld`: it never will leave.
    """

    def handed(self, ticket: int, topic: str, payload: bytes) -> None: ...
    def left(self, ticket: int, topic: str, payload: bytes) -> None: ...
    def withheld(self, ticket: int, topic: str, payload: bytes) -> None: ...
    def lost(self, ticket: int, topic: str, payload: bytes) -> None: ...
