"""Errors about the database, the spool and backups."""

from __future__ import annotations

from godkaiser.errors.base import GatewayError, ServiceUnavailable


class DatabaseUnavailable(ServiceUnavailable):
    code = "DATABASE_UNAVAILABLE"
    template = "The database does not answer: {reason}. Control goes on; try again."


class SpoolUnavailable(ServiceUnavailable):
    code = "SPOOL_UNAVAILABLE"
    template = "The spool cannot store records: {reason}; until then readings wait with the broker."


class DatabaseInDoubt(DatabaseUnavailable):
    """The answer to a COMMIT is lost."""

    code = "DATABASE_IN_DOUBT"
    retry_after_s = None
    template = "The database did not confirm whether it has stored this: {reason}. Check before you send it again."


class RecordNotWritten(ServiceUnavailable):
    template = "The {record} cannot be written: {reason}. Nothing has changed. Free the disk and try again."


class BackupRefused(GatewayError):
    """A backup, a restore or a move of data is refused, on the command line."""

    code = "BACKUP_REFUSED"
    template = "{reason}"


class SealRefused(GatewayError):
    """A sealed file, its key or its passphrase is refused, on the command line."""

    code = "SEAL_REFUSED"
    template = "{reason}"
