"""One gateway for each data folder: two that share a latch would each undo the other's stop."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from godkaiser.errors.process import PassingCondition, startup_failure
from godkaiser.host.durable_file import inherit_owner


class DataFolderLock:
    """Held from its making until `release`, and not beyond the end of the process, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Raises StartupFailed: another process holds it, or the folder cannot be written."""
        path = folder / "gateway.lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            inherit_owner(path, folder)
        except OSError as error:
            reason = f"{path} cannot be opened: {error.strerror}. Make {folder} writable."
            raise startup_failure(reason, error) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 20).decode(errors="replace").strip()
            os.close(self._descriptor)
            reason = (
                f"another gateway (process {holder or 'unknown'}) runs on the data folder {folder}."
                " Stop it, or give this one a folder of its own."
            )
            raise PassingCondition(reason=reason) from error
        os.truncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
