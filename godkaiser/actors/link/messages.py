"""The view that the broker actor publishes."""

from __future__ import annotations

from godkaiser.actors.message import Message


class LinkView(Message, frozen=True, kw_only=True):
    """Published by /control/link/broker as "view". `rivals`: how often in a row another client took one of
    our client ids.
    """

    connected: bool
    address: str
    since: float
    last_error: str = ""
    rivals: int = 0
