"""The database, the spool, backups."""

from __future__ import annotations

from godkaiser.errors.base import GatewayError, ServiceUnavailable


class DatabaseUnavailable(ServiceUnavailable):
    code = "DATABASE_UNAVAILABLE"
    template = "The database does not answer: {reason}. Control goes on; try again."


class SpoolUnavailable(ServiceUnavailable):
    code = "SPOOL_UNAVAILABLE"
    template = "The spool cannot keep it: {reason}; readings wait with the broker until then."


class DatabaseInDoubt(DatabaseUnavailable):
    """The answer to a COMMIT is lost."""

    code = "DATABASE_IN_DOUBT"
    retry_after_s = None
    template = "The database did not say whether it has stored this: {reason}. Look before you send it again."


class RecordNotWritten(ServiceUnavailable):
    template = "The {record} cannot be written: {reason}. Nothing has changed. Free the disk and try again."


class BackupRefused(GatewayError):
    """Of a backup, a restore or a move of data, at the command line."""

    code = "BACKUP_REFUSED"
    template = "{reason}"


class SealRefused(GatewayError):
    """Of a sealed file, its keys and passphrases, at the command line."""

    code = "SEAL_REFUSED"
    template = "{reason}"
