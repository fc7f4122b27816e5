"""The state of one connection's publications at QoS 1 and 2: waiting, under way, releasable.

This class decides and keeps the state; the client writes the bytes. Not thread-safe: the client
holds one lock around every call, and reports the collected fates after it has released the lock.

Mosquitto 2.0.11 with its default window of 20 confirms a 21st unreleased QoS 2 message and never
forwards it (tests/mqtt/test_release.py shows it). So our window is smaller, and it counts withheld
messages, which the broker keeps until the connection ends. Energising commands leave part of the
window free: an OFF finds a place even when all of them are withheld.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable

import msgspec

from godkaiser.mqtt.gate import Fate, FateListener

EXACTLY_ONCE = 2
WINDOW = 18
"""Maximum number of unfinished QoS 2 messages at the broker, including withheld ones."""
HELD_WINDOW = 12
"""From this number of QoS 2 messages on, energising commands wait."""
MOST_HELD = 1000
"""Maximum number of waiting energising commands; one more is refused."""
MOST_UNDER_WAY = 60_000
"""Maximum number of messages; there are 65,535 packet ids, and subscriptions use some."""
WORN_AT = 4
"""With this many withheld packet ids the connection is renewed in its next idle moment."""


class Publication(msgspec.Struct, eq=False):
    """`may_release` makes it an energising command: it is called right before the PUBLISH is queued
    and right before the PUBREL is written. None: it may always be released.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    may_release: Callable[[], bool] | None = None
    on_fate: FateListener | None = None
    published_at: float = 0.0
    is_released: bool = False
    is_withheld: bool = False


class Outgoing:
    def __init__(self, new_packet_id: Callable[[], int]) -> None:
        self._new_packet_id = new_packet_id
        self._under_way: dict[int, Publication] = {}
        self._releases: deque[int] = deque()
        self._urgent: deque[Publication] = deque()
        self._plain: deque[Publication] = deque()
        self._held: deque[Publication] = deque()
        self._in_window = 0
        self._withheld = 0
        self.fates: deque[tuple[FateListener, Fate]] = deque()

    # ---- publishing

    def add(self, publication: Publication) -> str:
        """Queue the publication; returns "" or the reason for a refusal."""
        if publication.may_release is not None:
            if len(self._held) >= MOST_HELD:
                return f"the broker does not acknowledge: {MOST_HELD} commands are waiting"
            self._held.append(publication)
            return ""
        if len(self._under_way) + len(self._urgent) + len(self._plain) >= MOST_UNDER_WAY:
            return f"the broker does not acknowledge: {MOST_UNDER_WAY} messages are waiting"
        if publication.qos < EXACTLY_ONCE:
            self._urgent.append(publication)
            return ""
        # An OFF may overtake commands to other actuators; a command to the same actuator must not
        # come after it.
        for held in [held for held in self._held if held.topic == publication.topic]:
            self._held.remove(held)
            self._end(held, Fate.WITHHELD)
        self._plain.append(publication)
        return ""

    def next_publication(self, now: float) -> tuple[int, Publication] | None:
        """The next publication to send, with its packet id; None while the window is full."""
        publication = self._take_next()
        if publication is None:
            return None
        publication.published_at = now
        while (packet_id := self._new_packet_id()) in self._under_way:
            pass
        self._under_way[packet_id] = publication
        if publication.qos == EXACTLY_ONCE:
            self._in_window += 1
        return packet_id, publication

    def _take_next(self) -> Publication | None:
        if self._urgent:
            return self._urgent.popleft()
        if self._plain:
            return self._plain.popleft() if self._in_window < WINDOW else None
        while self._held and self._in_window < HELD_WINDOW and self._withheld < WORN_AT:
            publication = self._held.popleft()
            if publication.may_release is None or publication.may_release():
                return publication
            self._end(publication, Fate.WITHHELD)
        return None

    # ---- answers of the broker

    def note_pubrec(self, packet_id: int) -> None:
        publication = self._under_way.get(packet_id)
        if publication is not None and not publication.is_withheld:
            self._releases.append(packet_id)

    def note_end(self, packet_id: int) -> None:
        """Called for PUBACK and PUBCOMP."""
        publication = self._under_way.get(packet_id)
        if publication is None or publication.is_withheld:
            return
        del self._under_way[packet_id]
        if publication.qos == EXACTLY_ONCE:
            self._in_window -= 1
        self._end(publication, Fate.DELIVERED)

    @property
    def has_releases(self) -> bool:
        return bool(self._releases)

    def next_release(self) -> int | None:
        """The packet id whose PUBREL may be written now; if it is not written, call this again
        before.
        """
        while self._releases:
            packet_id = self._releases[0]
            publication = self._under_way.get(packet_id)
            if publication is None or publication.is_withheld:
                self._releases.popleft()
            elif publication.may_release is None or publication.may_release():
                return packet_id
            else:
                self._releases.popleft()
                self._withhold(publication)
        return None

    def note_released(self, packet_id: int) -> None:
        """Called when its PUBREL was written, even in part."""
        self._releases.popleft()
        self._under_way[packet_id].is_released = True

    def sweep(self) -> None:
        """Report commands that became void before the broker answered: an ended clearance never
        returns.
        """
        void = [held for held in self._held if held.may_release and not held.may_release()]
        for publication in void:
            self._held.remove(publication)
            self._end(publication, Fate.WITHHELD)
        for publication in self._under_way.values():
            if (
                publication.may_release is not None
                and not publication.is_withheld
                and not publication.may_release()
            ):
                self._withhold(publication)

    def _withhold(self, publication: Publication) -> None:
        if publication.is_released:
            # A second PUBREC: the first PUBREL was written, so the command may arrive.
            return
        publication.is_withheld = True
        self._withheld += 1
        self._end(publication, Fate.WITHHELD)

    # ---- the state of the connection

    @property
    def is_worn(self) -> bool:
        """Whether to renew the connection: many packet ids are withheld, and nothing is under way."""
        return self._withheld >= WORN_AT and len(self._under_way) == self._withheld

    def overdue_since(self) -> float | None:
        """When the oldest unfinished publication was sent."""
        return next((p.published_at for p in self._under_way.values() if not p.is_withheld), None)

    def take_waiting(self) -> list[Publication]:
        """Remove the unsent publications, in order; another connection will send them."""
        waiting = [*self._urgent, *self._plain, *self._held]
        for queue in (self._urgent, self._plain, self._held):
            queue.clear()
        return waiting

    def give_up(self, publication: Publication) -> None:
        """The publication was never sent and never will be."""
        self._end(publication, Fate.WITHHELD)

    def end(self) -> None:
        """The connection has ended. The session is clean, so the broker forgets unreleased
        messages.
        """
        for publication in itertools.chain(self.take_waiting(), self._under_way.values()):
            if not publication.is_withheld:
                may_arrive = publication.published_at > 0.0 and (
                    publication.is_released or publication.qos < EXACTLY_ONCE
                )
                self._end(publication, Fate.LOST if may_arrive else Fate.WITHHELD)
        self._under_way.clear()
        self._releases.clear()

    def _end(self, publication: Publication, fate: Fate) -> None:
        if publication.on_fate is not None:
            self.fates.append((publication.on_fate, fate))
