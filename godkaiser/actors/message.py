"""The base of the messages between actors.

Messages are frozen. Imperative names ask for something (`RequestCommand`), past names report an
event (`ReadingAccepted`). A message that is *asked* names its reply in the docstring; refusals come
back as the errors of `godkaiser.errors`. A message is defined in the package of its receiver,
beside the views that this actor publishes.
"""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all messages: frozen, compared by value."""
