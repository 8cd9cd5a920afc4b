"""The operator `approve`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import timezone

from crmbet.texts import ENGLISH, LANGUAGES, Texts, texts_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk.definitions.context import Context

    from crmbet.load.approval import Preview
    from crmbet.orchestration.context import AirflowRun
    from crmbet.quality.records import QualityManifest

NOBODY = "nobody"


class ApproveOperator(HITLOperator):
    """Ask a person whether the run may load, if it is one that the settings or its params want to be asked about.

    The page of the run shows the form below Required Actions, and no worker is held meanwhile. Whoever rejects, or lets
    the time pass, fails the run. In `airflow dags test` the param `answer` may answer in place of the form.

    :param approvers: ids of the users who may answer; everybody who may answer a required action if it is empty.
    :param response_timeout: how long a person may take. Then the load is rejected.
    """

    def __init__(self, *, approvers: Sequence[str] = (), response_timeout: timedelta, **kwargs: Any) -> None:
        super().__init__(
            subject=_question(ENGLISH),
            options=[_yes(ENGLISH), _no(ENGLISH)],
            assigned_users=[{"id": user, "name": user} for user in approvers] or None,
            response_timeout=response_timeout,
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """Write `approve.json` and return, if nobody has to be asked. Otherwise wait for a person."""
        from crmbet.load.approval import Approval, ask
        from crmbet.orchestration.alerts import tell_question
        from crmbet.orchestration.context import open_run
        from crmbet.orchestration.handover import hand_over

        airflow_run = open_run(context)
        run = airflow_run.run
        if not run.questions:
            return hand_over(airflow_run, self.task_id, Approval(asked=[]), {"asked": []})
        rules, preview, gates = _look(airflow_run, self.dag_id)
        breached = {severity for gate in gates for severity in gate.failed.values()}
        question = ask(run.questions, rules, preview, breached)
        if not question.asked:
            return hand_over(airflow_run, self.task_id, question, {"asked": []})
        context["ti"].xcom_push(key="question", value=question.model_dump(mode="json"))
        say = texts_in(run.settings.language)
        self.subject = _question(say)
        self.options = [_yes(say), _no(say)]
        reasons = _reasons(question.asked, say)
        self.body = _describe(reasons, rules.strategy, preview, gates, say)
        self.log.info("a person is asked before the load (%s):\n%s", ", ".join(question.asked), self.body)
        if answer := run.params.answer:
            event = {
                "chosen_options": [self.options[0 if answer == "approve" else 1]],
                "responded_by_user": {"name": "the param answer"},
            }
            return self.execute_complete(context, event)
        self.log.info("answer in the UI or by REST; `airflow dags test` also takes the param answer")
        until = timezone.utcnow().astimezone(run.settings.zone) + (self.response_timeout or timedelta())
        tell_question(context, reasons, until, run.as_of_date.isoformat())
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Write `approve.json` with who has approved. Raises `LoadRejected` with who has not."""
        from crmbet.failures import LoadRejected
        from crmbet.load.approval import Approval
        from crmbet.orchestration.context import open_run
        from crmbet.orchestration.handover import hand_over

        airflow_run = open_run(context)
        if "error" in event:
            raise LoadRejected(
                "the load was rejected, since nobody answered in time",
                where=f"run {airflow_run.run.run_id}",
                why=f"the time to answer is {self.response_timeout} (CRMBET_APPROVAL_TIMEOUT_MINUTES)",
                next_step="clear approve to be asked again; the table is as it was",
            )
        who = (event.get("responded_by_user") or {}).get("name") or NOBODY
        # The language may have been another one when the form was made.
        agreed = {_yes(texts_in(language)) for language in LANGUAGES}
        chosen = {*event["chosen_options"]}
        if not chosen or not chosen <= agreed:
            raise LoadRejected(
                f"the load was rejected by {who}",
                where=f"run {airflow_run.run.run_id}",
                next_step="mend what the form showed and run the day again, or clear approve to be asked again; the "
                "table is as it was",
            )
        question = context["ti"].xcom_pull(task_ids=self.task_id, key="question")
        approval = Approval.model_validate({**question, "answered_by": who})
        self.log.info("the load was approved by %s", who)
        return hand_over(airflow_run, self.task_id, approval, {"asked": approval.asked, "answered_by": who})


def _look(airflow_run: AirflowRun, dag_id: str) -> tuple[Any, Preview, list[QualityManifest]]:
    """How the run would load, what that would change, and what its gates found."""
    from crmbet.datasets.prefetch import local_copies
    from crmbet.load.approval import preview_load
    from crmbet.load.load import rules_of
    from crmbet.orchestration.context import dsn_of, load_session
    from crmbet.orchestration.handover import read_features
    from crmbet.quality.records import QualityManifest
    from crmbet.run.records import read_manifest
    from crmbet.run.tasks import GATES

    run = airflow_run.run
    gates = [read_manifest(airflow_run.store, run.prefix, task, QualityManifest) for task in GATES.values()]
    features = read_features(airflow_run)
    with (
        airflow_run.work() as work,
        local_copies(work) as copies,
        load_session(run.run_id, run.settings) as session,
    ):
        files = copies.urls(features.files)
        dsn = dsn_of(run.settings.connections.target_connection)
        preview = preview_load(session, work.connection, dsn, files, features.users)
    return rules_of(run, features.reconstructed, dag_id), preview, gates


def _question(say: Texts) -> str:
    return say("May this run load the feature table?")


def _yes(say: Texts) -> str:
    return say("approve: load")


def _no(say: Texts) -> str:
    return say("reject: leave the table as it is")


def _reasons(asked: Sequence[str], say: Texts) -> list[str]:
    """Why a person is asked, in words."""
    known = {
        "replace": say("it replaces the whole table"),
        "loss": say("it would lose more than a load may by itself"),
    }
    return list(dict.fromkeys(known.get(word, say("checks failed")) for word in asked))


def _describe(
    reasons: Sequence[str], strategy: str, preview: Preview, gates: Sequence[QualityManifest], say: Texts
) -> str:
    """What would change, in Markdown. It names no player."""
    figures = {
        say("Load by"): strategy,
        say("Rows now"): preview.rows,
        say("Rows of this run"): preview.staged,
        say("New players"): preview.missing,
        say("Players with other features"): preview.changed,
        say("Players whom this run did not find"): preview.absent,
        say("as_of now"): preview.newest_loaded or "-",
        say("as_of of this run"): preview.newest_staged or "-",
    }
    lines = [say("You are asked because: {reasons}.", reasons="; ".join(reasons)), "", "| | |", "|---|--:|"]
    lines += [f"| {name} | {figure} |" for name, figure in figures.items()]
    if failed := [f"{label} [{severity}]" for gate in gates for label, severity in gate.failed.items()]:
        lines += ["", say("Failed checks: {checks}.", checks=", ".join(failed))]
    lines += ["", *(f"- {gate.stage}: {gate.report_html}" for gate in gates)]
    if preview.movements:
        lines += ["", say("| Segment | From | To | Players |"), "|---|---|---|--:|"]
        lines += [
            f"| {name} | {old or '-'} | {new or '-'} | {moved} |"
            for name, old, new, moved in preview.movements
        ]
    return "\n".join(lines)
