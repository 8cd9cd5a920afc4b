"""An incident becomes one message: it is sent first, and then written down (docs/adr/0013).

The process that does so may be killed soon, and the servers that it asks may be what has failed. So every server has
a budget of seconds, and a message with fewer facts is sent rather than none. What nobody was told of is told by
whoever runs next: `crmbet.orchestration.alerts.tell_untold` and the deadline.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseHook, Variable, timezone
from airflow.sdk.exceptions import AirflowNotFoundException

from crmbet.failures import BadSetting, CrmbetError
from crmbet.monitoring.alerts.budget import OutOfTime, within
from crmbet.monitoring.outcome import Failure, TaskOutcome
from crmbet.orchestration.watching import AIRFLOW_FAILURES, OUTCOME
from crmbet.run.brand import SEPARATOR
from crmbet.run.brands import brand_name
from crmbet.run.tasks import EXTRACTS, GATES

if TYPE_CHECKING:
    from crmbet.monitoring.alerts.message import Kind, Message
    from crmbet.monitoring.tables import Alert, MonitoringTables

LOOK_SECONDS = 4
"""How long the target database may take to say what is known about a run."""
REPORT_SECONDS = 4
"""How long the lake may take to give the report of a quality gate."""
WRITE_SECONDS = 5
"""How long the target database may take to write an alert."""
SPARE_SECONDS = 2
"""What is left over when all of these and the channels have taken their time."""
TARGET, LAKE = "the target database", "the lake"
"""What `within` calls the servers."""

LEVELS: Mapping[Kind, int] = {
    "failed": logging.ERROR,
    "deadline": logging.ERROR,
    "set_aside": logging.WARNING,
    "asked": logging.WARNING,
    "recovered": logging.INFO,
}
"""How an alert is logged."""
PAGE = "crmbet"
"""Where the monitoring page is mounted below the API server (crmbet_monitoring_plugin)."""
NOTE = "crmbet_told_"
"""Variables of Airflow that begin with it hold alerts that were sent and could not be written to the target."""
NOTED: tuple[Kind, ...] = ("failed", "deadline", "set_aside")
"""Kinds of alerts for which it matters later whether they were sent."""

NO_TASK_FAILED = Failure(
    kind="Unforeseen",
    what="no task of the run failed, and not all of them succeeded",
    next_step="open the run; if it is one of `airflow dags test`, a scheduler may have taken its tasks: pause the DAG "
    "and run the command again",
)

FAILURES = (CrmbetError, OutOfTime, *AIRFLOW_FAILURES)
"""What asking any server may raise. Everything else is a fault of ours, which nobody catches."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the target database, and the notes beside it, know about a run."""

    row: dict[str, Any] | None = None
    """The run's row, if it is about what the run did since it last started."""
    alerts: tuple[Mapping[str, Any], ...] = ()
    since: datetime | None = None
    """When the run last started. None if Airflow does not say so."""
    is_certain: bool = True
    """Whether the database has answered."""

    @property
    def is_told(self) -> bool:
        """Whether somebody has been told that the run failed, since it last started."""
        return bool(self._heard("failed"))

    @property
    def told_tasks(self) -> set[str | None]:
        """The tasks whose warnings somebody has been told of, since the run last started."""
        return {alert["task_id"] for alert in self._heard("set_aside")}

    def was_alerted(self, *kinds: Kind) -> bool:
        """Whether the run has ever raised an alert of one of these kinds."""
        return any(alert["kind"] in kinds for alert in self.alerts)

    def _heard(self, kind: Kind) -> list[Mapping[str, Any]]:
        return [
            alert
            for alert in self.alerts
            if alert["kind"] == kind
            and (self.since is None or alert["raised_at"] >= self.since)
            and is_heard(alert["delivered"])
        ]


def describe(error: BaseException) -> str:
    """What may be said of an error. Ours hold no secret; of any other only its class is said."""
    return str(error) if isinstance(error, (CrmbetError, OutOfTime)) else type(error).__name__


def is_heard(delivered: Mapping[str, str]) -> bool:
    """Whether a channel has taken an alert, or there was none to take it."""
    from crmbet.monitoring.alerts.channels import SENT

    return not delivered or SENT in delivered.values()


def can_ask_airflow() -> bool:
    """Whether this process can ask Airflow about runs, XComs and variables.

    Tasks, the DAG processor and the triggerer can. The callbacks of `airflow dags test` cannot.
    """
    from airflow.sdk.execution_time import task_runner

    return hasattr(task_runner, "SUPERVISOR_COMMS")


def has_time(dag_id: str) -> bool:
    """Whether an incident can be told before the DAG processor kills this process.

    Several callbacks may wait for one process. One that would be killed half-way might be told twice.
    """
    needed = LOOK_SECONDS + REPORT_SECONDS + WRITE_SECONDS + channel_seconds(dag_id) + SPARE_SECONDS
    return seconds_left() > needed


def channel_seconds(dag_id: str) -> int:
    """How long all channels of alerts together may take. A bad setting does not silence an alert."""
    from crmbet.orchestration.context import settings_of
    from crmbet.run.settings import TimeoutSettings

    try:
        return settings_of(dag_id).timeouts.alert_timeout_seconds
    except CrmbetError as error:
        log.warning("the default time is given to channels of alerts: %s", error)
        return TimeoutSettings().alert_timeout_seconds


def seconds_left() -> float:
    """Seconds until the DAG processor kills this process. In other processes there is no end to them."""
    if sys.argv[1:2] != ["dag-processor"]:
        return inf
    import psutil
    from airflow.sdk.configuration import conf

    age = time.time() - float(psutil.Process().create_time())
    return float(conf.getfloat("dag_processor", "dag_file_processor_timeout")) - age


def look(dag_id: str, run_id: str, since: datetime | None, seconds: float = LOOK_SECONDS) -> Known:
    """What is known about a run that last started at `since`."""
    from crmbet.monitoring.tables import open_monitoring, read_alerts_of, read_run
    from crmbet.orchestration.context import target_of

    noted = _notes_of(dag_id, run_id)
    try:
        dsn, schema = target_of(dag_id)

        def read() -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
            with open_monitoring(dsn, schema) as tables:
                return read_run(tables, dag_id, run_id), read_alerts_of(tables, dag_id, run_id)

        row, alerts = within(seconds, TARGET, read)
    except FAILURES as error:
        log.warning("the run's row and its earlier alerts cannot be read: %s", describe(error))
        return Known(alerts=tuple(noted), since=since, is_certain=False)
    if row is not None and since is not None and row["started_at"] < since:
        row = None
    return Known(row=row, alerts=(*alerts, *noted), since=since)


def send(  # noqa: PLR0913 - all but the first by name
    kind: Kind,
    *,
    dag_id: str,
    run_id: str,
    failure: Failure,
    task_id: str | None = None,
    try_number: int | None = None,
    as_of: str | None = None,
    quality: Mapping[str, Any] | None = None,
    is_late: bool = False,
) -> dict[str, str]:
    """Send a message by all channels, log it, then write it down. Returns what became of it in each channel.

    `quality` has the judgements of the run's gates by stage, as the run's row has them.
    """
    from crmbet.monitoring.alerts.channels import send_to_all
    from crmbet.monitoring.alerts.message import Message, anchor_of
    from crmbet.orchestration.context import spoken_texts

    links = links_of(
        dag_id,
        run_id,
        task_id=task_id,
        try_number=try_number,
        anchor=anchor_of(failure.kind),
        stages=quality or {},
    )
    if kind == "asked":
        links = {"answer": f"{links['run']}/tasks/{task_id}/required_actions", **links}
    message = Message(
        kind=kind,
        dag_id=dag_id,
        execution_id=run_id,
        failure=failure,
        as_of=as_of,
        task_id=task_id,
        try_number=try_number,
        breaches=_breaches(dag_id, quality or {}),
        links=links,
        is_late=is_late,
        brand=brand_name(dag_id, os.environ),
        say=spoken_texts(dag_id),
    )
    delivered = send_to_all(configured_channels(), message, channel_seconds(dag_id))
    log.log(LEVELS[kind], "ALERT %s dag=%s run=%s task=%s: %s", kind, dag_id, run_id, task_id, failure.what)
    for name, result in delivered.items():
        log.log(logging.INFO if result == "sent" else logging.WARNING, "alert by %s: %s", name, result)
    if not delivered:
        log.info("no alert channel is configured, so the alert is only in this log (docs/deployment.md)")
    _store(message, delivered)
    return delivered


def send_row(row: Mapping[str, Any]) -> dict[str, str]:
    """Tell of a failed run by its row, some time after it failed. Returns the same as `send`."""
    task_id = row["failed_task"]
    reported = row["tasks"].get(task_id) if task_id else None
    outcome = TaskOutcome.model_validate(reported) if reported else None
    failure = outcome.failure if outcome else None
    return send(
        "failed",
        dag_id=row["dag_id"],
        run_id=row["execution_id"],
        failure=failure or NO_TASK_FAILED,
        task_id=task_id,
        try_number=outcome.try_number if outcome else None,
        as_of=str(row["as_of_date"]) if row["as_of_date"] else None,
        quality=row["quality"],
        is_late=True,
    )


def links_of(
    dag_id: str,
    run_id: str,
    *,
    task_id: str | None,
    try_number: int | None,
    anchor: str,
    stages: Mapping[str, Any],
) -> dict[str, str]:
    """Links for a message: name to an address of the API server."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    run = f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    _, separator, brand = dag_id.partition(SEPARATOR)
    own = f"{PAGE}{separator}{brand}"
    # Airflow's UI frames the page of one brand; those of the others stand for themselves.
    page = f"{base}/{own}/" if brand else f"{base}/plugin/{PAGE}"
    links = {"run": run, "page": page, "runbook": f"{base}/{PAGE}/runbook#{anchor}"}
    if task_id:
        suffix = f"?try_number={try_number}" if try_number else ""
        links = {"log": f"{run}/tasks/{quote(task_id, safe='')}{suffix}", **links}
    for stage, quality in stages.items():
        if not quality["passed"]:
            links["report"] = f"{base}/{own}/reports/{quote(run_id, safe='')}/{stage}"
    return links


def configured_channels() -> dict[str, Any]:
    """The alert connections that exist, by id. In place of one that cannot be read, the result of its channel.

    So a run is not taken for told if its only channel cannot be read.
    """
    from crmbet.monitoring.alerts.channels import CHANNELS, MALFORMED
    from crmbet.orchestration.connections import require_readable_extra, why_unreadable

    connections: dict[str, Any] = {}
    for name in CHANNELS:
        try:
            connection = BaseHook.get_connection(name)
            require_readable_extra(name, connection.extra)
        except AirflowNotFoundException:
            if why := why_unreadable(name, os.environ):
                connections[name] = f"{MALFORMED}: {why}"
        except BadSetting as failure:
            connections[name] = f"{MALFORMED}: its extra cannot be read: {failure.why}"
        except AIRFLOW_FAILURES as error:
            connections[name] = f"the connection cannot be read: {type(error).__name__}"
        else:
            connections[name] = connection
    return connections


def first_failed(dag_id: str, run_id: str, order: list[str]) -> str | None:
    """The first task, in the run's order, that failed itself. Airflow gives the last one, which may be `record_run`.

    None if there is none, or if Airflow cannot be asked.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    if not can_ask_airflow():
        return None
    try:
        states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id])[run_id]
    except (*AIRFLOW_FAILURES, KeyError) as error:
        log.warning("the states of the tasks of %s cannot be read: %s", run_id, type(error).__name__)
        return None
    failed = [name for name, state in states.items() if str(getattr(state, "value", state)) == "failed"]
    return next((name for name in [*order, *failed] if name in failed), None)


def outcome_of(dag_id: str, run_id: str, task_id: str | None, row: Mapping[str, Any] | None) -> TaskOutcome:
    """The outcome that the failed task reported in its XCom, or in the run's row if XComs cannot be read."""
    reported, readable = None, False
    if task_id:
        reported, readable = _pull(dag_id, run_id, task_id, OUTCOME)
        reported = reported or ((row or {}).get("tasks") or {}).get(task_id)
    if reported:
        return TaskOutcome.model_validate(reported)
    if readable:
        return TaskOutcome(state="failed", failure=Failure.of(None))
    if row is not None and row["failed_task"] is None:
        return TaskOutcome(state="failed", failure=NO_TASK_FAILED)
    unknown = Failure(
        kind="Unforeseen",
        what="a task failed, and its reason cannot be read",
        next_step="read the end of its log",
    )
    return TaskOutcome(state="failed", failure=unknown)


def as_of_date(row: Mapping[str, Any] | None, dag_id: str, run_id: str) -> str | None:
    """The run's as_of, a date. None if no task came far enough to know it."""
    if row and row["as_of_date"]:
        return str(row["as_of_date"])
    for task_id in EXTRACTS:
        result, _ = _pull(dag_id, run_id, task_id, "return_value")
        if result and result.get("as_of"):
            return str(result["as_of"])
    return None


def failed_gate(
    dag_id: str, run_id: str, as_of: str | None, task_id: str | None, failure: Failure
) -> dict[str, Any]:
    """The judgement of the gate that failed a run, for a run without a row: only where its report is."""
    from crmbet.orchestration.context import settings_of
    from crmbet.storage.layout import Layout

    stages = [stage for stage, gate in GATES.items() if gate == task_id]
    if failure.kind != "QualityBreach" or not stages or as_of is None:
        return {}
    try:
        settings = settings_of(dag_id)
    except CrmbetError as error:
        log.warning("the address of the report is unknown: %s", error)
        return {}
    folder = Layout(brand=settings.brand).report(date.fromisoformat(as_of), run_id)
    address = f"s3://{settings.lake_bucket}/{folder}{stages[0]}.html"
    return {stages[0]: {"passed": False, "report": address, "breaches": []}}


def write_notes(tables: MonitoringTables, dag_id: str) -> None:
    """Write the alerts of the DAG's brand to its tables that could not be written when they were sent."""
    from crmbet.monitoring.tables import write_alert

    for key in list(Variable.keys(prefix=NOTE)):
        alert = _noted(key)
        if alert is not None and brand_name(alert.dag_id, os.environ) == brand_name(dag_id, os.environ):
            write_alert(tables, alert)
            Variable.delete(key)
            log.info("wrote the alert about the run %s, which was sent earlier", alert.execution_id)


def _pull(dag_id: str, run_id: str, task_id: str, key: str) -> tuple[Any, bool]:
    """An XCom's value, None if there is none, and whether XComs could be read at all."""
    from airflow.sdk.execution_time.xcom import XCom

    if not can_ask_airflow():
        return None, False
    try:
        return XCom.get_one(dag_id=dag_id, run_id=run_id, task_id=task_id, key=key), True
    except AIRFLOW_FAILURES as error:
        log.warning("the XCom %s of %s cannot be read: %s", key, task_id, type(error).__name__)
        return None, False


def _breaches(dag_id: str, quality: Mapping[str, Any]) -> tuple[Any, ...]:
    """The failed expectations with the ids of some rows. They are read from the report: the database has no ids."""
    from crmbet.monitoring.metrics import Breach, list_breaches
    from crmbet.orchestration.context import read_report

    breaches: list[Any] = []
    for stage, judged in quality.items():
        if judged["passed"]:
            continue
        address = judged["report"].removesuffix("html") + "json"
        try:
            report = within(REPORT_SECONDS, LAKE, partial(read_report, dag_id, address))
            breaches += list_breaches(stage, report)
        # A damaged report is no JSON.
        except (*FAILURES, ValueError) as error:
            log.warning("the report cannot be read for the alert: %s", describe(error))
            breaches += [Breach.model_validate(breach) for breach in judged["breaches"]]
    return tuple(breaches)


def _store(message: Message, delivered: dict[str, str]) -> None:
    """Write the alert to the target. If that cannot be done, leave a note that it was sent."""
    from crmbet.monitoring.tables import Alert, ensure_tables, open_monitoring, write_alert
    from crmbet.orchestration.context import target_of

    alert = Alert(
        raised_at=timezone.utcnow(),
        kind=message.kind,
        dag_id=message.dag_id,
        execution_id=message.execution_id,
        as_of_date=date.fromisoformat(message.as_of) if message.as_of else None,
        task_id=message.task_id,
        try_number=message.try_number,
        what=message.failure.what,
        next_step=message.failure.next_step,
        anchor=message.anchor,
        delivered=delivered,
    )
    try:
        dsn, schema = target_of(message.dag_id)

        def write() -> None:
            with open_monitoring(dsn, schema) as tables:
                ensure_tables(tables)
                write_alert(tables, alert)

        within(WRITE_SECONDS, TARGET, write)
    except FAILURES as error:
        log.warning("the alert was sent and cannot be written to the target now: %s", describe(error))
        _leave_note(alert)


def _leave_note(alert: Alert) -> None:
    if alert.kind not in NOTED or not can_ask_airflow():
        return
    from pydantic import TypeAdapter

    from crmbet.monitoring.tables import Alert as Stored

    text = TypeAdapter(Stored).dump_json(alert).decode()
    # A run may have a warning of each task, and of everything else one.
    task_id = alert.task_id if alert.kind == "set_aside" else None
    try:
        Variable.set(
            _note_key(alert.dag_id, alert.execution_id, alert.kind, task_id),
            text,
            description="An alert of crmbet that was sent. The next run of its brand writes it to the table alerts.",
        )
    except AIRFLOW_FAILURES as error:
        log.warning(
            "there is no note either that the alert was sent, so it may be sent again: %s",
            type(error).__name__,
        )


def _notes_of(dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Alerts that were sent about a run as a whole and are not in the target yet."""
    if not can_ask_airflow():
        return []
    alerts = [_noted(_note_key(dag_id, run_id, kind)) for kind in NOTED if kind != "set_aside"]
    return [vars(alert) for alert in alerts if alert is not None]


def _noted(key: str) -> Alert | None:
    from pydantic import TypeAdapter

    from crmbet.monitoring.tables import Alert as Stored

    try:
        text = Variable.get(key, default=None)
    except AIRFLOW_FAILURES as error:
        log.warning("the note %s cannot be read: %s", key, type(error).__name__)
        return None
    return None if text is None else TypeAdapter(Stored).validate_json(text)


def _note_key(dag_id: str, run_id: str, kind: str, task_id: str | None = None) -> str:
    """A run's id may be longer than the key of a variable, so the key has its hash."""
    about = f"{dag_id} {run_id} {task_id}" if task_id else f"{dag_id} {run_id}"
    return f"{NOTE}{kind}_{sha256(about.encode()).hexdigest()[:32]}"
