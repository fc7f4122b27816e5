"""The notifier: passes the notifications of rules to one actor for each recipient. No actor waits
for it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping

import msgspec

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.actors.services.recipient import Attempted, Deliver, Notify, RecipientActor
from godkaiser.supervision import (
    Actor,
    ChildSpec,
    Handle,
    MailboxSpec,
    Overflow,
    StartChild,
    StopChild,
)

MOST_RECIPIENTS = 100
WAITING_FOR_ONE = 100
ASK_TIMEOUT_S = 4.0


class NotifierView(Message, frozen=True, kw_only=True):
    """Published as "view"."""

    delivered: int = 0
    retried: int = 0
    given_up: int = 0
    last_error: str = ""


class NotifierActor(Actor):
    def __init__(self, channels: Mapping[str, Deliver]) -> None:
        super().__init__()
        self._channels = channels
        self._recipients: OrderedDict[str, None] = OrderedDict()
        self._view = NotifierView()

    def on_start(self) -> None:
        remembered = self.context.recall("view")
        if isinstance(remembered, NotifierView):
            self._view = remembered
        self._recipients = OrderedDict(
            (path.rpartition("/")[2], None) for path in self.context.children(paths.RECIPIENTS)
        )
        self.context.publish("view", self._view)

    def on_receive(self, message: object) -> None:
        match message:
            case Notify():
                self._recipient_of(message).tell(message)
            case Attempted(outcome=outcome, error=error):
                count = getattr(self._view, outcome) + 1
                changes = {outcome: count, "last_error": error or self._view.last_error}
                self._view = msgspec.structs.replace(self._view, **changes)
                self.context.publish("view", self._view)
            case _:
                self.context.unhandled(message)

    def _recipient_of(self, notification: Notify) -> Handle:
        """The actor of a recipient; at the limit, the recipient that was unused for the longest
        time is replaced.
        """
        # A target may contain a secret, but the path of an actor is visible.
        digest = hashlib.sha256(notification.target.encode("utf-8", "backslashreplace"))
        name = f"{notification.channel}-{digest.hexdigest()[:16]}"
        supervisor = self.context.handle(paths.RECIPIENTS)
        if name not in self._recipients:
            if len(self._recipients) >= MOST_RECIPIENTS:
                idlest, _ = self._recipients.popitem(last=False)
                supervisor.ask(StopChild(idlest), timeout_s=ASK_TIMEOUT_S)
            deliver = self._channels[notification.channel]
            spec = ChildSpec(
                name=name,
                factory=lambda: RecipientActor(deliver),
                mailbox=MailboxSpec(capacity=WAITING_FOR_ONE, overflow=Overflow.KEEP_NEWEST),
            )
            supervisor.ask(StartChild(spec), timeout_s=ASK_TIMEOUT_S)
        self._recipients[name] = None
        self._recipients.move_to_end(name)
        return self.context.handle(paths.recipient(name))
