"""The error for an invalid payload."""

from __future__ import annotations


class PayloadError(Exception):
    """`reason` is a stable code for counting; `detail` says what is wrong, and where."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
