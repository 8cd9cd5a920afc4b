"""What can go wrong, in words for the person on call.

Two families decide what Airflow does next: `PermanentFailure` fails the task at once, since trying again would only
fail again; `TemporaryFailure` is retried with back-off. `crmbet.orchestration.retrying` makes a retry policy of
them.
"""

from __future__ import annotations

from crmbet.redaction import redact


class CrmbetError(Exception):
    """An error that says what broke, where, why, and what to do next.

    The four parts become one line, so that the Airflow grid, a log search and an alert all show the whole of it.
    Secrets are taken out of each part, since a part may repeat the words of a driver or an engine.
    """

    def __init__(self, what: str, *, where: str = "", why: str = "", next_step: str = "") -> None:
        what, where, why, next_step = (redact(part) for part in (what, where, why, next_step))
        parts = [what.rstrip(".") + "."]
        if where:
            parts.append(f"Where: {where.rstrip('.')}.")
        if why:
            parts.append(f"Why: {why.rstrip('.')}.")
        if next_step:
            parts.append(f"Next: {next_step.rstrip('.')}.")
        super().__init__(" ".join(parts))
        self.what = what
        self.where = where
        self.why = why
        self.next_step = next_step


class PermanentFailure(CrmbetError):
    """Trying again cannot help: a person has to change something first."""


class TemporaryFailure(CrmbetError):
    """The same task may well succeed in a minute."""


class BadSetting(PermanentFailure):
    """A setting from the environment is missing or has a value that makes no sense."""


class BadParam(PermanentFailure):
    """A DAG run was started with a param that does not exist or makes no sense."""


class BadContract(PermanentFailure):
    """A contract in include/contracts/ contradicts itself."""


class SourceMissing(PermanentFailure):
    """A bucket, a feed, a table or a column that the contract requires is not there."""


class SourceUnreadable(PermanentFailure):
    """A source object exists and cannot be read as what it says it is."""


class SourceShrunk(PermanentFailure):
    """A source lost chunks or rows that an earlier run had seen."""


class AccessRefused(PermanentFailure):
    """Credentials are wrong or lack a right."""


class RowsUnaccounted(PermanentFailure):
    """Rows went in and did not come out anywhere: the accounting identity of cleaning does not hold."""


class QualityBreach(PermanentFailure):
    """A quality check failed with a severity that this run does not tolerate."""


class LoadRejected(PermanentFailure):
    """A person was asked whether the run may load, and said no, or nobody answered in time. Nothing was touched."""


class BadAudience(PermanentFailure):
    """The file of an audience is wrong, or asks for what no audience may have. None was handed over."""


class ReceiverRefused(PermanentFailure):
    """The receiver of audiences does not want a message: its address or the secret is wrong, or the receiver is."""


class LoadRefused(PermanentFailure):
    """The load would break a promise (schema drift, an older as_of, duplicate keys), so nothing was touched."""


class DamagedObject(PermanentFailure):
    """An object in our store is not what was written there, or is gone.

    The run makes damaged objects again where it can. You see this error only if neither store nor sources can give one
    back.
    """

    def __init__(
        self, what: str, *, key: str = "", where: str = "", why: str = "", next_step: str = ""
    ) -> None:
        super().__init__(what, where=where, why=why, next_step=next_step)
        self.key = key
        """The object's key."""


class DataLost(PermanentFailure):
    """What was captured from a source is damaged or gone, and the source does not hold it any more."""


class ErasureOverdue(PermanentFailure):
    """Somebody asked to be erased, and it has not been done in time."""


class ErasureUnproven(PermanentFailure):
    """After an erasure, something still holds the player, or cannot be decoded. The request stays open."""


class LostConnection(TemporaryFailure):
    """A server was unreachable or went away in the middle."""


class SourceChanged(TemporaryFailure):
    """A source object was replaced while it was read: what was read is neither the old nor the new one."""


class LockHeld(TemporaryFailure):
    """Another run is loading the same table."""
