"""The tables of monitoring, in the target database. A run's end writes them, the page reads them.

The first write creates them. Reading returns nothing while they do not exist, since the page may be opened before the
first run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from crmbet.databases import postgres
from crmbet.databases.sessions import open_session
from crmbet.databases.statements import Fragment, identifier, render, statement
from crmbet.load.side_tables import grant_to_monitor
from crmbet.monitoring.metrics import RunMetrics
from crmbet.run.settings import TimeoutSettings
from crmbet.run.tasks import RESTORE

if TYPE_CHECKING:
    from psycopg2 import extensions

CONNECT_SECONDS = 5
"""Monitoring gives up on a database that does not answer within this time."""
STATEMENT_SECONDS = 20
JUDGED_SHOWN = 400
"""The page shows what checks found in this many of the newest judgements of a stage."""
EXPECTATIONS_SHOWN = 12
COSTS_READ = 200
"""What is usual is found among this many runs, some of which repeat a day."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One row of `alerts`."""

    raised_at: datetime
    kind: str
    dag_id: str
    execution_id: str
    as_of_date: date | None
    task_id: str | None
    try_number: int | None
    what: str
    next_step: str
    anchor: str
    """Heading of docs/runbook.md."""
    delivered: dict[str, str]
    """Channel to `sent`, or to the reason why it could not be sent."""


@dataclass(frozen=True)
class MonitoringTables:
    """The tables of monitoring in one schema, which is one brand's."""

    connection: extensions.connection
    schema: str

    @contextmanager
    def transaction(self) -> Iterator[extensions.cursor]:
        """A transaction. Raises our failures in place of psycopg2's."""
        with postgres.transaction(self.connection, where=_where(self.schema)) as cursor:
            yield cursor

    def statement(self, name: str, **fragments: Fragment) -> str:
        """A statement of include/sql/monitoring/ for this schema."""
        return render(f"monitoring/{name}", schema=identifier(self.schema), **fragments)


@contextmanager
def open_monitoring(dsn: str, schema: str) -> Iterator[MonitoringTables]:
    """Open a connection that gives up soon, and close it at the end. Raises our failures in place of psycopg2's.

    The time-outs of monitoring replace those of `dsn`. Its other libpq options are kept.
    """
    timeouts = TimeoutSettings(
        connect_timeout_seconds=CONNECT_SECONDS,
        answer_timeout_seconds=STATEMENT_SECONDS,
        statement_timeout_seconds=STATEMENT_SECONDS,
        idle_timeout_seconds=STATEMENT_SECONDS,
    )
    with postgres.failures_explained(_where(schema)):
        connection = open_session(dsn, timeouts, firm=True, application_name="crmbet monitoring")
    with closing(connection):
        yield MonitoringTables(connection, schema)


def ensure_tables(tables: MonitoringTables) -> None:
    """Create the schema and the tables unless they exist. A table of an earlier version gets its key of today."""
    with tables.transaction() as cursor:
        if len(_present(cursor, tables, ["pipeline_runs", "alerts"])) == 2:
            _widen_key(cursor, tables)
            _add_columns(cursor, tables)
            return
        cursor.execute(tables.statement("take_lock"))
        # CREATE SCHEMA IF NOT EXISTS needs the right to create one even where it exists; a loader may lack it.
        cursor.execute(statement("load/find_schema"), {"schema": tables.schema})
        if cursor.fetchone() is None:
            cursor.execute(render("load/create_schema", schema=identifier(tables.schema)))
        cursor.execute(tables.statement("create_pipeline_runs"))
        cursor.execute(tables.statement("create_alerts"))
        for table in ("pipeline_runs", "alerts"):
            grant_to_monitor(cursor, tables.schema, table)


def write_run(tables: MonitoringTables, metrics: RunMetrics) -> None:
    """Write a run's row. It replaces that of an earlier try, but a failure leaves an earlier success."""
    from psycopg2.extras import Json

    document = metrics.model_dump(
        mode="json", exclude={"quality": {"__all__": {"breaches": {"__all__": {"keys"}}}}}
    )
    nested = {
        name: Json(document[name]) for name in ("quarantined", "tasks", "quality", "params", "versions")
    }
    derived = {
        "records_quarantined": metrics.records_quarantined,
        "quality_score": metrics.data_quality_score,
        "quality_grade": metrics.quality_grade,
        "success_rate": metrics.success_rate,
        "accepted_rate": metrics.accepted_rate,
        "players": Json(document["players"]) if metrics.players else None,
    }
    with tables.transaction() as cursor:
        cursor.execute(tables.statement("write_run"), {**metrics.model_dump(), **nested, **derived})


def write_alert(tables: MonitoringTables, alert: Alert) -> None:
    """Write an alert's row."""
    from psycopg2.extras import Json

    with tables.transaction() as cursor:
        cursor.execute(tables.statement("write_alert"), {**vars(alert), "delivered": Json(alert.delivered)})


def read_alerts_of(tables: MonitoringTables, dag_id: str, execution_id: str) -> list[dict[str, Any]]:
    """All alerts that a run has raised, oldest first: kind, raised_at, task_id, delivered."""
    return _select(tables, "alerts", "select_alerts_of", {"dag_id": dag_id, "execution_id": execution_id})


def list_untold(tables: MonitoringTables, *, since: datetime, before: datetime) -> list[dict[str, Any]]:
    """Rows of failed runs that ended between two instants and that nobody was told of, oldest first.

    Somebody was told if a channel has taken an alert about the failure since the run started, or if there was no
    channel to send it by.
    """
    with tables.transaction() as cursor:
        if len(_present(cursor, tables, ["pipeline_runs", "alerts"])) < 2:
            return []
    return _select(tables, "alerts", "select_untold", {"since": since, "before": before})


def list_warned(tables: MonitoringTables, *, since: datetime, before: datetime) -> list[dict[str, Any]]:
    """Rows of successful runs that ended between two instants and have left a warning, oldest first."""
    return _select(tables, "pipeline_runs", "select_warned", {"since": since, "before": before})


def begin_telling(tables: MonitoringTables) -> bool:
    """Take the right to tell of other runs, until the connection is closed. False if another session has it."""
    with tables.transaction() as cursor:
        lock = {"lock": f"crmbet.telling:{tables.schema}"}
        cursor.execute(tables.statement("try_telling_lock"), lock)
        return bool(postgres.single_row(cursor)[0])


def read_run(tables: MonitoringTables, dag_id: str, execution_id: str) -> dict[str, Any] | None:
    """The row of a run's last try, or None if there is none."""
    rows = _select(tables, "pipeline_runs", "select_run", {"dag_id": dag_id, "execution_id": execution_id})
    return rows[0] if rows else None


def read_runs(
    tables: MonitoringTables, dag_id: str, limit: int, chosen: tuple[date, date] | None = None
) -> list[dict[str, Any]]:
    """The newest runs, and the newest of those about the chosen dates (inclusive), as many again. Newest first."""
    since, until = chosen or (None, None)
    values = {"dag_id": dag_id, "limit": limit, "since": since, "until": until}
    return _select(tables, "pipeline_runs", "select_runs", values)


def read_costs(tables: MonitoringTables, dag_id: str) -> list[dict[str, Any]]:
    """What the newest good runs of a DAG have used, newest first, as `crmbet.monitoring.costs` takes it."""
    return _select(tables, "pipeline_runs", "select_costs", {"dag_id": dag_id, "limit": COSTS_READ})


def read_table_run(tables: MonitoringTables, dag_id: str) -> dict[str, Any] | None:
    """The run that made what the table shows: the last load of the newest as_of, or a restore after it.

    None if nothing was loaded yet.
    """
    rows = _select(tables, "pipeline_runs", "select_table_run", {"dag_id": dag_id, "restore": RESTORE})
    return rows[0] if rows else None


def read_alerts(tables: MonitoringTables, limit: int) -> list[dict[str, Any]]:
    """The newest alerts, newest first."""
    return _select(tables, "alerts", "select_alerts", {"limit": limit})


def read_drift(tables: MonitoringTables) -> list[dict[str, Any]]:
    """The features of the newest judged as_of beside their baseline. Empty if no run has compared any."""
    return _select(tables, "feature_drift", "select_drift", {})


def read_checks(tables: MonitoringTables) -> list[dict[str, Any]]:
    """Of each stage and check, the as_of dates that were judged, oldest first, and whether it passed in each."""
    return _select(tables, "quality_results", "select_checks", {"judged": JUDGED_SHOWN})


def read_check_trend(tables: MonitoringTables, stage: str, check: str) -> list[dict[str, Any]]:
    """Of each expectation of a check, the values that were found and their limits, oldest first.

    Those that were in breach come first, then those that came nearest to their limits.
    """
    values = {"stage": stage, "check": check, "judged": JUDGED_SHOWN, "most": EXPECTATIONS_SHOWN}
    return _select(tables, "quality_results", "select_check_trend", values)


def read_fill_trend(tables: MonitoringTables, dag_id: str, column: str) -> list[list[Any]]:
    """The share of players with a value in a column, in the last good run of each as_of, oldest first."""
    values = {"dag_id": dag_id, "column": column, "most": JUDGED_SHOWN}
    return [[*row.values()] for row in _select(tables, "pipeline_runs", "select_fill_trend", values)]


def read_drift_trend(tables: MonitoringTables, feature: str) -> list[list[Any]]:
    """Of each judged as_of, oldest first: date, stability index, its limit, baseline. The newest has its bins, too."""
    values = {"feature": feature, "most": JUDGED_SHOWN}
    return [[*row.values()] for row in _select(tables, "feature_drift", "select_drift_trend", values)]


def read_stream(tables: MonitoringTables, since: datetime) -> list[dict[str, Any]]:
    """The minutes of the stream from an instant on, oldest first. Empty without a stream."""
    return _select(tables, "stream_minutes", "select_stream", {"since": since})


def read_audiences(tables: MonitoringTables) -> list[dict[str, Any]]:
    """The audiences that have a view, as each was handed over last. Empty if none ever was."""
    return _select(tables, "audience_runs", "select_audiences", {"schema": tables.schema})


def metrics_of(row: dict[str, Any]) -> RunMetrics:
    """The metrics that a run's row was made from, without the keys of breaches."""
    return RunMetrics.model_validate({name: row[name] for name in RunMetrics.model_fields})


def _select(tables: MonitoringTables, table: str, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    with tables.transaction() as cursor:
        if not _present(cursor, tables, [table]):
            return []
        cursor.execute(tables.statement(name), values)
        columns = [column.name for column in cursor.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in cursor]


def _widen_key(cursor: extensions.cursor, tables: MonitoringTables) -> None:
    of_runs = {"table": identifier(tables.schema, "pipeline_runs")}
    cursor.execute(tables.statement("find_narrow_key"), of_runs)
    if cursor.fetchone() is None:
        return
    cursor.execute(tables.statement("take_lock"))
    # Another run may have been faster.
    cursor.execute(tables.statement("find_narrow_key"), of_runs)
    for (key,) in cursor.fetchall():
        cursor.execute(tables.statement("widen_key", key=identifier(key)))


def _add_columns(cursor: extensions.cursor, tables: MonitoringTables) -> None:
    cursor.execute(
        tables.statement("find_newest_column"), {"table": identifier(tables.schema, "pipeline_runs")}
    )
    if cursor.fetchone() is None:
        cursor.execute(tables.statement("add_columns"))


def _present(cursor: extensions.cursor, tables: MonitoringTables, names: list[str]) -> set[str]:
    cursor.execute(tables.statement("list_tables"), {"schema": tables.schema, "names": names})
    return {name for (name,) in cursor}


def _where(schema: str) -> str:
    return f"schema {schema}, tables of monitoring"
