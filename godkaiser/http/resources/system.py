"""/health, /system and /audit: the gateway itself."""

from __future__ import annotations

from typing import Annotated, Any

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.link.messages import LinkView
from godkaiser.actors.safety.messages import SafetyView
from godkaiser.actors.storage.messages import RecorderView
from godkaiser.errors.safety import CommandRefused
from godkaiser.errors.services import UnknownActor, UnknownDeadLetter
from godkaiser.http.exchange import (
    RequestBody,
    ask,
    encode,
    issuer_of,
    query_float,
    query_int,
    read_body,
    reply,
)
from godkaiser.http.paging import cursor_of, encode_cursor
from godkaiser.http.resources.storage import ALARMING, spool_error, storage_health
from godkaiser.http.services import Services
from godkaiser.storage.audit import trail as audit
from godkaiser.supervision import ResendRefused, RestartChild, UnknownPath

LOOK_AGAIN_S = 0.1
SHOWN = 100


class PathBody(RequestBody, frozen=True, kw_only=True):
    path: str


class HealthResource:
    """From what the actors have published: no database, no waiting; looked at ten times a second at most."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._newest: tuple[float, bytes] | None = None

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        now = self._services.clock()
        newest = self._newest
        if newest is None or not 0.0 <= now - newest[0] < LOOK_AGAIN_S:
            newest = self._newest = (now, encode(self._look()))
        resp.content_type = falcon.MEDIA_JSON
        resp.data = newest[1]

    def _look(self) -> dict[str, Any]:
        system = self._services.system
        link = system.published_value(paths.BROKER, "view")
        recorder = system.published_value(paths.RECORDER, "view")
        safety = system.published_value(paths.SAFETY, "view")
        devices = [
            view.online
            for path in system.children(paths.DEVICES)
            if isinstance(view := system.published_value(path, "view"), DeviceView)
        ]
        connected = isinstance(link, LinkView) and link.connected
        storage = storage_health(self._services)
        # The spool tries again and again: its error is newer, and there also while no reading comes.
        database_error = spool_error(self._services) or (
            recorder.last_error if isinstance(recorder, RecorderView) else "starting"
        )
        latched = isinstance(safety, SafetyView) and safety.latched
        not_up = sorted(actor.path for actor in system.not_up())
        healthy = (
            connected
            and not database_error
            and latched
            and storage["spool"]["alarm"] < ALARMING
            and not not_up
            and not (isinstance(recorder, RecorderView) and recorder.overload)
        )
        return {
            "status": "healthy" if healthy else "degraded",
            "version": self._services.version,
            "kaiser_id": self._services.kaiser_id,
            "uptime_s": round(self._services.clock() - self._services.started_at, 3),
            "broker": {
                "connected": connected,
                "address": link.address if isinstance(link, LinkView) else "",
                "error": link.last_error if isinstance(link, LinkView) else "starting",
            },
            "database": {"ok": not database_error, "error": database_error, **storage},
            "warnings": _warnings(recorder, link),
            "actors": {"not_up": len(not_up), "paths": not_up[:SHOWN]},
            "devices": {
                "total": len(devices),
                "online": sum(devices),
                "offline": len(devices) - sum(devices),
            },
            "safety": safety.state if isinstance(safety, SafetyView) else "unknown",
            # Under its former name too: it was read as "a stop is latched".
            "safety_on_disk": latched,
            "safety_latched": latched,
            "safety_alarm": safety.alarm if isinstance(safety, SafetyView) else "",
        }


class SystemResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_tree(self, req: falcon.Request, resp: falcon.Response) -> None:
        actors = [
            {
                "path": actor.path,
                "kind": actor.kind,
                "state": actor.state,
                "restarts": actor.restarts,
                "mailbox_depth": actor.mailbox_depth,
                "mailbox_high_water": actor.mailbox_high_water,
                "mailbox_capacity": actor.mailbox_capacity,
                "mailbox_refused": actor.mailbox_refused,
                "oldest_age_s": actor.oldest_age_s,
                "messages_handled": actor.handled,
                "last_error": actor.last_error or None,
                "last_error_at": actor.last_error_at,
                "waiting_for": actor.waiting_for or None,
                "started_at": actor.started_at,
                "busy_s": actor.busy_s,
            }
            for actor in self._services.system.tree()
        ]
        reply(resp, {"data": actors, "count": len(actors)})

    def on_get_events(self, req: falcon.Request, resp: falcon.Response) -> None:
        events = self._services.system.events.recent()[::-1]
        limit = query_int(req, "limit", 100, 1, 1000) or 100
        reply(resp, {"data": events[:limit], "count": len(events[:limit])})

    def on_get_dead_letters(self, req: falcon.Request, resp: falcon.Response) -> None:
        letters = self._services.system.dead_letters
        limit = query_int(req, "limit", 100, 1, 1000) or 100
        data = [
            {
                "id": letter.letter_id,
                "at": letter.at,
                "path": letter.path,
                "reason": letter.reason.value,
                "detail": letter.detail,
                "message": _shown(letter.message),
                "traceback": letter.traceback,
            }
            for letter in letters.list(limit)
        ]
        body = {
            "data": data,
            "count": len(data),
            "totals": letters.counts(),
            "rejected": letters.kinds(),
        }
        reply(resp, body)

    def on_post_resend(self, req: falcon.Request, resp: falcon.Response, letter_id: str) -> None:
        try:
            self._services.system.resend(int(letter_id))
        except (KeyError, ValueError) as error:
            raise UnknownDeadLetter(letter_id=letter_id[:40]) from error
        except ResendRefused as error:
            reason = f"{error}. What it asked for may be wrong by now: command it anew, if it is still wanted."
            raise CommandRefused(reason=reason) from error
        reply(resp, {"success": True}, 202)

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
        reply(resp, {"path": path, "restarting": True}, 202)

    def on_post_crash(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The hard way, as a poison message would: its supervisor must bring it back."""
        path = read_body(req, PathBody).path
        self._check(path)
        self._services.system.crash(path, "an administrator sent a poison message")
        reply(resp, {"path": path, "crashed": True}, 202)

    def on_post_reload(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take what has changed in the files of the configuration."""
        reply(resp, self._services.reload(issuer_of(req)))

    def on_get_audit(self, req: falcon.Request, resp: falcon.Response) -> None:
        limit = query_int(req, "limit", 100, 1, 1000) or 100
        start, end = query_float(req, "start"), query_float(req, "end")
        query = audit.AuditQuery(
            start=start,
            end=end,
            limit=limit + 1,
            who=req.get_param("who"),
            result=req.get_param("result"),
            source=req.get_param("source"),
            what=req.get_param("what"),
            correlation_id=req.get_param("correlation_id"),
            behind=cursor_of(req, Annotated[int, msgspec.Meta(ge=0, lt=2**53)]),
        )
        found = audit.numbered(self._services.database, query)
        following = encode_cursor(found[limit - 1][0]) if len(found) > limit else None
        entries = [entry for _, entry in found[:limit]]
        reply(resp, {"data": entries, "count": len(entries), "next": following})

    def _check(self, path: str) -> None:
        try:
            self._services.system.info(path)
        except UnknownPath as error:
            raise UnknownActor(path=path[:100]) from error


def _shown(message: Any) -> str:
    text = repr(message)
    limit = 2000
    return text if len(text) <= limit else f"{text[:limit]}..."


def _warnings(recorder: object, link: object) -> list[str]:
    """What an admin should mend although everything works."""
    texts = []
    if isinstance(recorder, RecorderView):
        texts += [recorder.warning, recorder.overload]
    if isinstance(link, LinkView) and link.rivals:
        times = "once" if link.rivals == 1 else f"{link.rivals} times in a row"
        texts.append(
            f"Another client took one of our client ids from us ({times}): most"
            " likely a second gateway with this kaiser_id. Stop one of the two."
        )
    return [text for text in texts if text]
