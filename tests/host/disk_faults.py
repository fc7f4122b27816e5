"""A disk that fails at one step of a write, and what it would hold after a power cut."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = ("open", "write", "fsync", "link", "replace", "fsync of the folder")
"""What a replacement does, in its order."""


class FaultyDisk:
    """Stands before the calls of `os` that change a disk, in one folder."""

    def __init__(self, monkeypatch: Any, folder: Path) -> None:
        self._folder = folder
        self._failing: dict[str, tuple[int, int]] = {}
        self._durable = folder.with_name(f"{folder.name}-durable")
        self.calls: list[str] = []
        self.sync()
        for name, step in (
            ("open", self._step_of_open),
            ("write", lambda *_: "write"),
            ("link", lambda *_: "link"),
            ("replace", lambda *_: "replace"),
            ("fsync", _step_of_fsync),
        ):
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name), step))

    def fail(self, step: str, times: int = 1, code: int = errno.EIO) -> None:
        self._failing[step] = (times, code)

    def mend(self) -> None:
        self._failing.clear()

    def sync(self) -> None:
        """What is there now survives."""
        if self._durable.exists():
            shutil.rmtree(self._durable)
        shutil.copytree(self._folder, self._durable)

    def after_power_cut(self, name: str) -> bytes | None:
        """The file as it was when its folder was last flushed."""
        path = self._durable / name
        return path.read_bytes() if path.exists() else None

    @property
    def is_certain(self) -> bool:
        """Whether no change of a name has followed the last flush of the folder."""
        changes = [c for c in self.calls if c in {"replace", "fsync of the folder"}]
        return not changes or changes[-1] == "fsync of the folder"

    def _wrapped(self, call: Callable[..., Any], step_of: Callable[..., str]) -> Callable[..., Any]:
        def faulty(*args: Any, **kwargs: Any) -> Any:
            step = step_of(*args)
            times, code = self._failing.get(step, (0, 0))
            if times > 0:
                self._failing[step] = (times - 1, code)
                raise OSError(code, os.strerror(code), str(self._folder))
            result = call(*args, **kwargs)
            self.calls.append(step)
            if step == "fsync of the folder":
                self._failing_suspended(self.sync)
            return result

        return faulty

    def _failing_suspended(self, work: Callable[[], None]) -> None:
        failing, self._failing = self._failing, {}
        calls = list(self.calls)
        work()
        self._failing, self.calls = failing, calls

    @staticmethod
    def _step_of_open(_path: Any, flags: int, *_: Any) -> str:
        return "open" if flags & os.O_CREAT else "open to read"


def _step_of_fsync(descriptor: int) -> str:
    return "fsync of the folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync"
