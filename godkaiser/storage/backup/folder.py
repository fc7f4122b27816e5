"""A backup on disk: files, and a manifest that is written last. Without it the backup is
incomplete.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from godkaiser.errors.storage import BackupRefused
from godkaiser.host.durable_file import replace_file, sync_file

MANIFEST = "manifest.json"
FORMAT = 1
_BLOCK = 1 << 20


class BackupFile(msgspec.Struct, frozen=True, kw_only=True):
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`tables` holds the number of rows of each; `engine` is sqlite or postgresql."""

    format: int
    program: str
    created_at: float
    engine: str
    schema: int
    tables: dict[str, int]
    files: dict[str, BackupFile]


def make_folder(folder: Path) -> None:
    """Raises BackupRefused: the folder exists already, or cannot be created."""
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError as error:
        raise BackupRefused(
            reason=f"{folder} exists already. Choose another folder; a backup never overwrites one."
        ) from error
    except OSError as error:
        raise BackupRefused(
            reason=f"{folder} cannot be created: {error.strerror}. Choose a folder where you may write."
        ) from error


def describe(path: Path) -> BackupFile:
    """Flush the file to disk; returns its size and digest."""
    digest = hashlib.sha256()
    sync_file(path)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    path.chmod(0o600)
    return BackupFile(bytes=path.stat().st_size, sha256=digest.hexdigest())


def write_manifest(folder: Path, manifest: Manifest) -> None:
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    replace_file(folder / MANIFEST, content, mode=0o600)


def check(folder: Path) -> Manifest:
    """Verify every file against the manifest, and return it.

    Raises:
        BackupRefused: it is not a backup, is from a later program, or is damaged; the text names
        the file.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        reason = f"{folder} has no {MANIFEST}: it is not a backup, or an incomplete one. Choose another folder."
        raise BackupRefused(reason=reason) from error
    except OSError as error:
        raise BackupRefused(
            reason=f"{folder / MANIFEST}: {error.strerror}. Run this as a user who may read it."
        ) from error
    except msgspec.MsgspecError as error:
        raise BackupRefused(
            reason=f"{folder / MANIFEST} is damaged ({error}). Choose another backup."
        ) from error
    if manifest.format > FORMAT:
        raise BackupRefused(
            reason=f"{folder} was made by God-Kaiser {manifest.program}, whose format this program"
            " does not know. Install that version or a newer one."
        )
    for name, wanted in manifest.files.items():
        path = folder / Path(name).name
        try:
            found = describe(path)
        except OSError as error:
            raise BackupRefused(
                reason=f"{path}: {error.strerror}. The backup is incomplete; choose another."
            ) from error
        if found != wanted:
            raise BackupRefused(
                reason=f"{path} was changed or is damaged: its checksum differs from the manifest."
                " Choose another backup."
            )
    return manifest
