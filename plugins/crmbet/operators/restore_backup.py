"""The operator `restore_backup`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, timezone

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class RestoreBackupOperator(BaseOperator):
    """Make the target hold what a backup holds."""

    template_fields: Sequence[str] = ("backup",)

    def __init__(self, *, backup: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backup = backup

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the backup's name, rows and as_of of the table, whether it changed, and the backup taken before."""
        from crmbet.load.restore import restore
        from crmbet.orchestration.context import load_session, settings_of

        settings = settings_of(context["dag_run"].dag_id)
        with load_session(context["run_id"], settings) as session:
            restored = restore(session, self.backup, timezone.utcnow())
        result = asdict(restored) | {"as_of": restored.as_of and restored.as_of.isoformat()}
        self.log.info("restored: %s; the history was not changed", result)
        return result
