"""The hand-over of events from the actors to the clients: bounded, and never blocks an actor."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol

import msgspec

from godkaiser.domain.entities import Reading, SensorKey
from godkaiser.live.audience import Audience
from godkaiser.live.events import Event, NumberedEvent, event_of, event_of_life, is_told
from godkaiser.live.memory import Memory
from godkaiser.live.subscription import Subscription
from godkaiser.supervision import LifeEvent

MOST_WAITING = 50_000
AT_ONCE = 1000
GATHER_S = 0.005
"""Everything within this time is handed over with one wake of the other thread."""

Published = tuple[str, Hashable, object]


class Listener(Protocol):
    def hear(self, numbered: NumberedEvent) -> None: ...


_Listeners = tuple[tuple[Subscription, Listener], ...]


class LiveCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Since the start: `told` is the number of sent events; `dropped` of those lost because too
    many waited.
    """

    clients: int
    told: int
    dropped: int
    waiting: int


class LiveHub:
    """`note` is called by the actors, in their threads; everything else by the attached loop.

    It outlives the server, so a crash of the server loses no event that a client may resume from.
    """

    def __init__(self, epoch: str, clock: Callable[[], float]) -> None:
        self.memory = Memory(epoch)
        self.audience: Audience[Listener] = Audience()
        self._clock = clock
        self._waiting: deque[Published | LifeEvent] = deque(maxlen=MOST_WAITING)
        self._before: dict[str, object] = {}
        self._unheard: dict[SensorKey, Reading] = {}
        self._noted = 0
        self._handled = 0
        self._told = 0
        self._clients = 0
        self._standing: _Listeners = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_awake = False
        self._attaching = threading.Lock()

    def note(self, path: str, key: Hashable, value: object) -> None:
        """Called for each publication of an actor."""
        if self._clients == 0 and isinstance(value, Reading):
            # Nobody listens: it becomes an event only when a client asks for a snapshot.
            self._unheard[value.key] = value
        elif is_told(key, value):
            self._take((path, key, value))

    def note_life(self, event: LifeEvent) -> None:
        self._take(event)

    def remember_unheard(self) -> None:
        """Before a snapshot or resume: make events from the newest values that nobody has received."""
        unheard, self._unheard = self._unheard, {}
        for reading in tuple(unheard.values()):
            event = event_of(reading, None, self._clock())
            assert event is not None
            self.memory.add(event)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._attaching:
            self._loop = loop
            self._is_awake = False
            # Under the same lock: listeners that are set meanwhile are added once, by the loop.
            self.audience = Audience()
            self._clients = 0
            self._seat(self._standing)
        self._wake()

    def set_standing(self, listeners: _Listeners) -> None:
        """Set the listeners that stay across restarts of the server; from any thread."""
        with self._attaching:
            before, self._standing = self._standing, listeners
            if self._loop is None:
                # The next attached loop adds them.
                return
            try:
                self._loop.call_soon_threadsafe(self._reseat, before, listeners)
            except RuntimeError:
                self._loop = None

    def _reseat(self, before: _Listeners, after: _Listeners) -> None:
        for subscription, listener in before:
            self.audience.remove(subscription, listener)
            self._clients -= 1
        self._seat(after)

    def _seat(self, listeners: _Listeners) -> None:
        for subscription, listener in listeners:
            self.audience.add(subscription, listener)
            self._clients += 1

    def detach(self) -> None:
        with self._attaching:
            self._loop = None

    def counts(self) -> LiveCounts:
        waiting = len(self._waiting)
        dropped = max(0, self._noted - self._handled - waiting)
        clients = max(0, self._clients - len(self._standing))
        return LiveCounts(clients=clients, told=self._told, dropped=dropped, waiting=waiting)

    def shown(self) -> dict[str, int]:
        return msgspec.structs.asdict(self.counts())

    def count_clients(self, change: int) -> int:
        self._clients += change
        return self._clients

    def _take(self, what: Published | LifeEvent) -> None:
        # Two threads may count at once: an inexact count is better than a lock here.
        self._noted += 1
        self._waiting.append(what)
        if not self._is_awake:
            self._wake()

    def _wake(self) -> None:
        with self._attaching:
            if self._loop is None or self._is_awake:
                return
            self._is_awake = True
            try:
                self._loop.call_soon_threadsafe(self._loop.call_later, GATHER_S, self._drain)
            except RuntimeError:
                # The loop was closed just now; the next server takes over.
                self._loop = None

    def _drain(self) -> None:
        """Handle a part of the waiting events, so that the loop can serve others in between."""
        self._is_awake = False
        for _ in range(min(AT_ONCE, len(self._waiting))):
            what = self._waiting.popleft()
            self._handled += 1
            event = self._event(what)
            if event is not None:
                self._tell(event)
        if self._waiting:
            self._wake()

    def _event(self, what: Published | LifeEvent) -> Event | None:
        if isinstance(what, LifeEvent):
            return event_of_life(what)
        path, key, value = what
        before = None
        if isinstance(value, Reading):
            if not self.audience.may_want(value.key.esp_id):
                self._unheard[value.key] = value
                return None
            self._unheard.pop(value.key, None)
        if key == "view":
            before = self._before.get(path)
            self._before[path] = value
        return event_of(value, before, self._clock())

    def _tell(self, event: Event) -> None:
        numbered = self.memory.add(event)
        self._told += 1
        for client in tuple(self.audience.of(event)):
            client.hear(numbered)
