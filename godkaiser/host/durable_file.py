"""Files that survive a power cut: replaced as a whole, flushed, and with certainty about which one holds.

The only place of the program that replaces a file or flushes a folder. (Files that grow, the spool's segments and
notes, flush what they append themselves.)
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

DRAFT, BEFORE = ".new", ".before"
# Some filesystems have no hard links, and some kernels refuse them for files of other owners.
_NO_LINKS = {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EXDEV}


class SameFolder:
    """A folder as it was found; whoever writes there later checks that it still is that one.

    A disk that is unmounted or swapped leaves another folder under the same name: what is written there is
    not found when the right one is back.
    """

    def __init__(self, folder: Path) -> None:
        """Raises OSError: it is not there."""
        self._folder = folder
        self._identity = _identity_of(folder)

    def check(self) -> None:
        """Raises OSError: it has gone, or another one has its name."""
        if _identity_of(self._folder) != self._identity:
            text = "it is not the folder of the start any more: was its disk unmounted or swapped?"
            raise OSError(errno.ESTALE, text, str(self._folder))


def _identity_of(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


class InDoubt(OSError):
    """A replacement failed, and after a power cut the disk may hold the old file or the new one."""


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Make a folder and the missing ones above it, so that they survive a power cut.

    A folder that is there already keeps its mode.

    Raises:
        OSError: it cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    with suppress(FileExistsError):
        folder.mkdir(mode)
        folder.chmod(mode)
        inherit_owner(folder, folder.parent)
        sync_folder(folder.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def replace_file(path: Path, content: bytes, *, mode: int, roll_back: bool = True) -> None:
    """Put `content` in place of the file, whatever the umask; on return it survives a power cut.

    Raises:
        InDoubt: see `put_in_place`.
        OSError: the folder is missing, the disk is full or failing; the file before it still stands, on disk too.
    """
    draft = path.with_name(path.name + DRAFT)
    try:
        write_file(draft, content, mode)
    except OSError:
        _remove(draft)
        raise
    put_in_place(draft, path, roll_back=roll_back)


def replace_unflushed(path: Path, content: bytes, *, mode: int) -> None:
    """Put `content` in place of the file for all processes; a power cut may take it, and leave an empty one.

    For what is on disk elsewhere, too, and is written where nothing may wait for a disk.

    Raises:
        OSError: the file before it still stands.
    """
    draft = path.with_name(path.name + DRAFT)
    try:
        write_file(draft, content, mode, flush=False)
        os.replace(draft, path)  # noqa: PTH105
    except OSError:
        _remove(draft)
        raise


def put_in_place(draft: Path, path: Path, *, roll_back: bool = True) -> None:
    """Rename a flushed file over `path`, in the same folder, and flush the folder.

    When the flush fails, the file before it is put back: a process that is killed afterwards finds what its
    caller was told. With `roll_back` False the new file is left there instead.

    Raises:
        InDoubt: after a power cut it may be the old one or the new one.
        OSError: the file before it still stands, on disk too. The draft is gone.
    """
    before = path.with_name(path.name + BEFORE)
    try:
        inherit_owner(draft, path if path.exists() else path.parent)
        is_kept = roll_back and _keep(path, before)
    except OSError:
        _remove(draft)
        raise
    try:
        os.replace(draft, path)  # noqa: PTH105 - the tests let it fail
        sync_folder(path.parent)
    except OSError as error:
        if os.path.lexists(draft):
            # The rename itself was refused.
            _remove(draft)
            _remove(before)
            raise
        if not roll_back:
            raise _in_doubt(error, path) from error
        try:
            if is_kept:
                os.replace(before, path)  # noqa: PTH105
            else:
                path.unlink(missing_ok=True)
            sync_folder(path.parent)
        except OSError as second:
            raise _in_doubt(second, path) from error
        raise
    _remove(before)


def write_file(path: Path, content: bytes, mode: int, *, flush: bool = True) -> None:
    """Write a file and flush it. Raises OSError; half of it may be there then."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        view = memoryview(content)
        # A disk that fills up takes a part, and says so by the result only.
        while view:
            view = view[os.write(descriptor, view) :]
        if flush:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file for its owner only; at the end it survives a power cut, and after an error it is gone: half of
    it must not pass for all of it.

    Raises:
        FileExistsError: there is one already; it stays.
        OSError: it cannot be made, written or flushed.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            sync_folder(path.parent)
        except BaseException:
            path.unlink()
            raise


def inherit_owner(path: Path, like: Path) -> None:
    """Root leaves no file of its own where the gateway, as another user, must read and write.

    Does nothing for other users. Raises OSError.
    """
    if os.geteuid() == 0:
        found = like.stat()
        os.chown(path, found.st_uid, found.st_gid)


def sync_file(path: Path) -> None:
    """Make what was written into a file survive a power cut. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep(path: Path, before: Path) -> bool:
    """Give the file a second name that outlives its replacement; False when there is no file."""
    before.unlink(missing_ok=True)
    try:
        os.link(path, before)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        write_file(before, path.read_bytes(), path.stat().st_mode & 0o777)
    return True


def _remove(path: Path) -> None:
    """It is of no use any more; one that stays is replaced by the next."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _in_doubt(error: OSError, path: Path) -> InDoubt:
    return InDoubt(error.errno, error.strerror, str(path))
