"""Which disks ought to be mounted, by /etc/fstab, and are not."""

from __future__ import annotations

import os
from pathlib import Path

FSTAB = Path("/etc/fstab")


def missing_mount(path: Path, fstab: Path | None = None) -> Path | None:
    """The nearest mount point above a path, if nothing is mounted there."""
    points = mount_points(fstab or FSTAB)
    nearest = next(
        (parent for parent in (path.absolute(), *path.absolute().parents) if parent in points), None
    )
    return None if nearest is None or os.path.ismount(nearest) else nearest


def mount_points(fstab: Path) -> frozenset[Path]:
    """The folders that a file like /etc/fstab mounts something on; none if it cannot be read."""
    try:
        lines = fstab.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return frozenset()
    fields = [line.split() for line in lines if not line.lstrip().startswith("#")]
    # A space in a name is written \040.
    names = [parts[1].replace("\\040", " ") for parts in fields if len(parts) > 1]
    return frozenset(Path(name) for name in names if name.startswith("/"))
