"""One client of the live socket: its requests, its subscription, its waiting events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.protocol import State

from godkaiser.errors.base import ValidationFailed
from godkaiser.http.json_guard import check_json
from godkaiser.live.events import NumberedEvent
from godkaiser.live.hub import LiveHub
from godkaiser.live.outbox import Outbox
from godkaiser.live.subscription import Filter, Filters, Subscription, problem_of

MOST_UNSENT = 256 * 1024
"""Maximum unsent bytes to a slow client; beyond that its events wait, and readings are coalesced."""
STUCK_S = 30.0
TOO_SLOW = 4008
RETRY_S = 0.1


class ClientRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request of an authenticated client; all parts are optional.

    `resume` is the id of the last event that it received; `snapshot` asks for the newest values.
    """

    filters: Filters | None = None
    filter: Filter | None = None
    resume: str | None = None
    snapshot: bool = False


class LiveClient:
    def __init__(
        self, connection: ServerConnection, hub: LiveHub, may_hear: frozenset[str]
    ) -> None:
        """`may_hear` are the types of events that it may receive."""
        self._connection = connection
        self._hub = hub
        self._may_hear = may_hear
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox()
        self._subscription: Subscription | None = None
        self._flush: asyncio.TimerHandle | None = None
        self._stuck_since: float | None = None

    def request(self, text: str | bytes) -> str:
        """Carry out a request; returns the answer.

        A request with a mistake changes nothing: the answer says so, and the old subscription
        stays.
        """
        try:
            check_json(text.encode() if isinstance(text, str) else text)
            request = msgspec.json.decode(text, type=ClientRequest)
        except ValidationFailed as error:
            return _said({"type": "error", "message": error.message})
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _said({"type": "error", "message": str(error)[:300]})
        if request.filter is not None and request.filters is not None:
            return _said({"type": "error", "message": "give filter or filters, not both"})
        filters = (request.filter,) if request.filter is not None else request.filters
        if filters is not None:
            wanted = Subscription(filters)
            problem = problem_of(wanted) or self._refusal_of(wanted)
            if problem:
                return _said({"type": "error", "message": problem})
            self._subscribe(wanted.within(self._may_hear))
        elif self._subscription is None:
            self._subscribe(Subscription().within(self._may_hear))
        assert self._subscription is not None
        answer = {"type": "subscribed", "newest": self._hub.memory.newest_id, "missed": ""}
        if request.resume is not None or request.snapshot:
            self._hub.remember_unheard()
        if request.resume is not None:
            resumed = self._hub.memory.since(request.resume, self._subscription)
            answer["missed"] = resumed.problem
            self._hear_again(resumed.events)
        if request.snapshot:
            self._hear_again(self._hub.memory.values(self._subscription))
        return _said(answer)

    def hear(self, numbered: NumberedEvent) -> None:
        if not self._outbox.offer(numbered):
            self._cut("too many events wait for this client: connect again with resume")
        elif self._flush is None:
            now = self._loop.time()
            self._flush = self._loop.call_at(self._outbox.due_at(now), self._send)

    def leave(self) -> None:
        if self._subscription is not None:
            self._hub.audience.remove(self._subscription, self)
            self._subscription = None
        if self._flush is not None:
            self._flush.cancel()

    def _refusal_of(self, wanted: Subscription) -> str:
        """Why the subscription is refused: it names types that this token or key may not receive;
        else "".
        """
        named = frozenset[str]().union(*(one.types or () for one in wanted.filters))
        outside = sorted(named - self._may_hear)
        return f"types: this API key may not receive {', '.join(outside)}" if outside else ""

    def _subscribe(self, wanted: Subscription) -> None:
        if self._subscription is not None:
            self._hub.audience.remove(self._subscription, self)
        self._subscription = wanted
        self._hub.audience.add(wanted, self)

    def _hear_again(self, events: Iterable[NumberedEvent]) -> None:
        for numbered in events:
            self.hear(numbered)

    def _send(self) -> None:
        self._flush = None
        if self._connection.protocol.state is not State.OPEN or not len(self._outbox):
            return
        now = self._loop.time()
        if self._connection.transport.get_write_buffer_size() > MOST_UNSENT:
            self._stuck_since = now if self._stuck_since is None else self._stuck_since
            if now - self._stuck_since >= STUCK_S:
                self._cut("the client reads too slowly")
                return
            self._flush = self._loop.call_later(RETRY_S, self._send)
            return
        self._stuck_since = None
        events, coalesced = self._outbox.take(now)
        told = b",".join(numbered.text for numbered in events)
        # One message for all waiting events. `broadcast` writes without waiting for the client.
        text = b'{"type":"events","coalesced":%d,"events":[%b]}' % (coalesced, told)
        broadcast((self._connection,), text.decode())
        if len(self._outbox):
            self._flush = self._loop.call_at(self._outbox.due_at(now), self._send)

    def _cut(self, why: str) -> None:
        self.leave()
        closing = self._loop.create_task(self._connection.close(TOO_SLOW, why))
        # A client that does not read does not answer the close either.
        self._loop.call_later(1.0, self._connection.transport.abort)
        closing.add_done_callback(lambda _task: None)


def _said(answer: dict[str, str]) -> str:
    return msgspec.json.encode(answer).decode()
