"""The base of what actors say to each other.

Messages are frozen. Imperative names ask for something (`RequestCommand`), past names tell what happened
(`ReadingAccepted`). A message that is *asked* names its reply in the docstring; refusals come back as the errors
of `godkaiser.errors`. Each stands in the package of the actor that receives it, beside the views that this actor
publishes for everybody.
"""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all messages: frozen, compared by value."""
