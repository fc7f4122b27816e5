"""What can be wrong with a payload."""

from __future__ import annotations


class PayloadError(Exception):
    """`reason` is a stable code to count by, `detail` says where and what."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
