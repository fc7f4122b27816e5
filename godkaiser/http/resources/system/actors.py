"""/system: the tree of actors, their events and dead letters, and the configuration taken anew."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec

from godkaiser.config.changes import Reloaded
from godkaiser.errors.process import ReloadRefused
from godkaiser.errors.safety import CommandRefused
from godkaiser.errors.services import UnknownActor, UnknownDeadLetter
from godkaiser.http.endpoint import ADMIN, VIEWER, Done, Endpoint, Entries, Example
from godkaiser.http.exchange import RequestBody, ask, issuer_of, query_int, read_body, reply
from godkaiser.http.queries import count
from godkaiser.http.services import Services
from godkaiser.supervision import LifeEvent, Reason, ResendRefused, RestartChild, UnknownPath


class PathBody(RequestBody, frozen=True, kw_only=True):
    path: str


class ActorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An actor at a glance; ages in seconds, times in unix seconds."""

    path: str
    kind: str
    state: str
    restarts: int
    mailbox_depth: int
    mailbox_high_water: int
    mailbox_capacity: int
    mailbox_refused: int
    oldest_age_s: float
    messages_handled: int
    last_error: str | None
    last_error_at: float | None
    waiting_for: str | None
    started_at: float | None
    busy_s: float


class DeadLetterAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A message that nobody handled; `path` is the actor that should have."""

    id: int
    at: float
    path: str
    reason: Reason
    detail: str
    message: str
    traceback: str


class DeadLettersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`totals` counts by reason, `rejected` by what was wrong with the content."""

    data: list[DeadLetterAnswer]
    count: int
    totals: dict[str, int]
    rejected: dict[str, int]


class RestartAnswer(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    restarting: bool = True


class CrashAnswer(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    crashed: bool = True


_DEVICE = {"path": "/control/devices/ESP_4F3A9C"}
ENDPOINTS = (
    Endpoint(
        "GET", "/system/tree", "tree", VIEWER,
        "List every actor: path, state, restarts, mailbox, messages handled, last error.", Entries[ActorAnswer],
    ),
    Endpoint(
        "GET", "/system/events", "events", VIEWER, "List the newest steps in the lives of actors.",
        Entries[LifeEvent], query=(count(1000),), event="system",
    ),
    Endpoint(
        "GET", "/system/dead-letters", "dead_letters", VIEWER,
        "List messages that nobody handled, with reason and traceback.", DeadLettersAnswer,
        details="`totals` by reason, `rejected` by what was wrong with their content.", query=(count(1000),),
    ),
    Endpoint(
        "POST", "/system/dead-letters/{letter_id}/resend", "resend", ADMIN,
        "Send a dead letter again to the actor that lives at its path now.", Done, 202,
        details="409 for an actuator, the safety actor and rules.",
        refuses=(UnknownDeadLetter, CommandRefused), never_late=True,
    ),
    Endpoint(
        "POST", "/system/reload", "reload", ADMIN, "Take what has changed in the configuration files.", Reloaded,
        details="409 `RELOAD_REFUSED` has every mistake, and nothing has changed.", refuses=(ReloadRefused,),
    ),
    Endpoint(
        "POST", "/system/actors/restart", "restart", ADMIN, "Stop an actor in order and start it again.",
        RestartAnswer, 202, body=PathBody, refuses=(UnknownActor, CommandRefused), for_people=True,
        examples=(Example(_DEVICE),),
    ),
    Endpoint(
        "POST", "/system/actors/crash", "crash", ADMIN, "Crash an actor, to see its supervisor at work.",
        CrashAnswer, 202, details="By a poison message.", body=PathBody, refuses=(UnknownActor,),
        for_people=True, for_debugging=True, examples=(Example(_DEVICE),),
    ),
)  # fmt: skip


class ActorResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_tree(self, req: falcon.Request, resp: falcon.Response) -> None:
        actors = [
            ActorAnswer(
                path=actor.path,
                kind=actor.kind,
                state=actor.state,
                restarts=actor.restarts,
                mailbox_depth=actor.mailbox_depth,
                mailbox_high_water=actor.mailbox_high_water,
                mailbox_capacity=actor.mailbox_capacity,
                mailbox_refused=actor.mailbox_refused,
                oldest_age_s=actor.oldest_age_s,
                messages_handled=actor.handled,
                last_error=actor.last_error or None,
                last_error_at=actor.last_error_at,
                waiting_for=actor.waiting_for or None,
                started_at=actor.started_at,
                busy_s=actor.busy_s,
            )
            for actor in self._services.system.tree()
        ]
        reply(resp, Entries(data=actors, count=len(actors)))

    def on_get_events(self, req: falcon.Request, resp: falcon.Response) -> None:
        events = self._services.system.events.recent()[::-1]
        limit = query_int(req, "limit", 100, 1, 1000) or 100
        reply(resp, Entries(data=events[:limit], count=len(events[:limit])))

    def on_get_dead_letters(self, req: falcon.Request, resp: falcon.Response) -> None:
        letters = self._services.system.dead_letters
        limit = query_int(req, "limit", 100, 1, 1000) or 100
        data = [
            DeadLetterAnswer(
                id=letter.letter_id,
                at=letter.at,
                path=letter.path,
                reason=letter.reason,
                detail=letter.detail,
                message=_shown(letter.message),
                traceback=letter.traceback,
            )
            for letter in letters.list(limit)
        ]
        answer = DeadLettersAnswer(
            data=data, count=len(data), totals=letters.counts(), rejected=letters.kinds()
        )
        reply(resp, answer)

    def on_post_resend(self, req: falcon.Request, resp: falcon.Response, letter_id: str) -> None:
        try:
            self._services.system.resend(int(letter_id))
        except (KeyError, ValueError) as error:
            raise UnknownDeadLetter(letter_id=letter_id[:40]) from error
        except ResendRefused as error:
            reason = f"{error}. What it asked for may be wrong by now: command it anew, if it is still wanted."
            raise CommandRefused(reason=reason) from error
        reply(resp, Done(), 202)

    def on_post_restart(self, req: falcon.Request, resp: falcon.Response) -> None:
        """In order: the actor is stopped and started, and its mailbox waits."""
        path = read_body(req, PathBody).path
        self._check(path)
        parent, _, name = path.rpartition("/")
        if not name:
            reason = "The root is restarted by restarting the gateway."
            raise CommandRefused(reason=reason)
        try:
            self._services.system.handle(parent or "/")
        except UnknownPath as error:
            reason = f"{path} is in a private subtree. Restart {parent} instead, or crash it."
            raise CommandRefused(reason=reason) from error
        ask(self._services.system, parent or "/", RestartChild(name))
        reply(resp, RestartAnswer(path=path), 202)

    def on_post_crash(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The hard way, as a poison message would: its supervisor must bring it back."""
        path = read_body(req, PathBody).path
        self._check(path)
        self._services.system.crash(path, "an administrator sent a poison message")
        reply(resp, CrashAnswer(path=path), 202)

    def on_post_reload(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take what has changed in the files of the configuration."""
        reply(resp, self._services.reload(issuer_of(req)))

    def _check(self, path: str) -> None:
        try:
            self._services.system.info(path)
        except UnknownPath as error:
            raise UnknownActor(path=path[:100]) from error


def _shown(message: Any) -> str:
    text = repr(message)
    limit = 2000
    return text if len(text) <= limit else f"{text[:limit]}..."
