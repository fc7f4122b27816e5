"""The data folder: made if it is missing, never on the wrong disk, and locked for one process."""

from __future__ import annotations

from pathlib import Path

from godkaiser.config.mounts import FSTAB, missing_mount
from godkaiser.config.settings import Config
from godkaiser.errors.process import PassingCondition, startup_failure
from godkaiser.host.durable_file import make_folder
from godkaiser.host.single_instance import DataFolderLock
from godkaiser.storage.engine.database import sqlite_path


def open_data_folder(config: Config) -> DataFolderLock:
    """Make the folder and lock it.

    Raises:
        PassingCondition: its disk is not mounted, another gateway holds it.
        StartupFailed: an admin must change something first.
    """
    make_data_folder(config)
    return DataFolderLock(config.data_dir)


def make_data_folder(config: Config) -> None:
    """Make the folder if it is missing.

    Only the folder itself is made, not what is above it: on a disk that is not mounted yet the gateway
    would start anew, with an empty database and without its stops.

    Raises:
        PassingCondition: its disk is not mounted.
        StartupFailed: an admin must change something first.
    """
    folder = config.data_dir
    refuse_unmounted(folder)
    file = sqlite_path(config.database_url)
    if file is not None:
        refuse_unmounted(file)
    if not folder.parent.is_dir():
        reason = (
            f"the data folder {folder} cannot be made: there is no {folder.parent}. Mount its disk, make"
            " that folder, or choose another [gateway] data_dir."
        )
        raise PassingCondition(reason=reason)
    try:
        make_folder(folder)
    except OSError as error:
        reason = (
            f"the data folder {folder} cannot be made: {error.strerror}. Choose another"
            " [gateway] data_dir, or make its parent writable."
        )
        raise startup_failure(reason, error) from error


def refuse_unmounted(path: Path) -> None:
    """Raises PassingCondition when the path is below a mount point of /etc/fstab that is not mounted."""
    point = missing_mount(path)
    if point is not None:
        reason = f"{path} is on a disk that is not mounted: {point} is in {FSTAB}. Mount it."
        raise PassingCondition(reason=reason)
