"""The operator `choose_backup`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowSkipException

from crmbet.texts import ENGLISH, LANGUAGES, Texts, texts_in

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from crmbet.load.backup import Backup


class ChooseBackupOperator(HITLOperator):
    """List the target's backups with their proofs, and find out which one should be restored.

    The param `backup` may name it. If it does not, the task waits for a person to choose one in a form: the run's
    page in the UI shows it below Required Actions, and no worker is held meanwhile.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            subject=_question(ENGLISH),
            # A form needs options when the DAG is parsed. The real ones are read when the task runs.
            options=[_none_of_them(ENGLISH)],
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """Return the name of a backup, or wait for a person. Skips the run if there is none."""
        from crmbet.load.backup import list_backups
        from crmbet.load.restore import choose
        from crmbet.orchestration.context import load_session, settings_of

        settings = settings_of(context["dag_run"].dag_id)
        with load_session(context["run_id"], settings) as session:
            with session.transaction() as cursor:
                backups = list_backups(cursor, session)
            for backup in backups:
                self.log.info("backup %s: %s", backup.name, backup.proof.model_dump_json())
            if not backups:
                raise AirflowSkipException(
                    f"{session.where}: there is no backup, so there is nothing to restore"
                )
            context["ti"].xcom_push(
                key="backups", value=[backup.model_dump(mode="json") for backup in backups]
            )
            if name := context["params"]["backup"]:
                return choose(session, backups, name).name
        say = texts_in(settings.language)
        self.subject = _question(say)
        self.options = [*(backup.name for backup in backups), _none_of_them(say)]
        self.body = _describe(backups, say)
        self.log.info("choose one in the UI, or start the run again with the param backup")
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:  # noqa: ARG002
        """Return the name that a person has chosen. Skips the run if that is none."""
        chosen: str
        (chosen,) = event["chosen_options"]
        self.log.info("%s was chosen by %s", chosen, event.get("responded_by_user"))
        # The language may have been another one when the form was made.
        if chosen in {_none_of_them(texts_in(language)) for language in LANGUAGES}:
            raise AirflowSkipException("nothing is restored, since a person chose so")
        return chosen


def _question(say: Texts) -> str:
    return say("Which backup should be restored?")


def _none_of_them(say: Texts) -> str:
    return say("none: leave the table as it is")


def _describe(backups: list[Backup], say: Texts) -> str:
    """The backups as a table in Markdown."""
    rows = [
        f"| {backup.name} | {backup.proof.taken_at:%Y-%m-%d %H:%M} | {backup.proof.as_of} "
        f"| {say.figure(f'{backup.proof.rows:,}')} | {backup.proof.run_id.replace('|', ' ')} |"
        for backup in backups
    ]
    return "\n".join(
        [
            say("| Backup | Taken (UTC) | Newest as_of | Rows | Before the load of run |"),
            "|---|---|---|--:|---|",
            *rows,
        ]
    )
