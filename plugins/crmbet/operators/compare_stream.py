"""The operator `compare_stream`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class CompareStreamOperator(BaseOperator):
    """Compare the live rows of the day before as_of with a rebuild from their chunks, cell by cell.

    A difference fails nothing, since the batch does not use live rows: it becomes a warning of the run, which is sent.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Write `compare_stream.json`; returns its address and the rows compared and differing. Skips other days."""
        from airflow.sdk.exceptions import AirflowSkipException

        from crmbet.contracts.files import load_source_contracts
        from crmbet.orchestration.context import erased_players, load_session, open_run
        from crmbet.orchestration.handover import hand_over
        from crmbet.stream.parity import compare_live
        from crmbet.stream.target import StreamTables

        airflow_run = open_run(context)
        run = airflow_run.run
        with airflow_run.work() as work, load_session(run.run_id, run.settings) as session:
            tables, day = StreamTables(session), run.window.last_day
            if not tables.has_day(day):
                raise AirflowSkipException(
                    f"there are no live rows of {day}: the stream did not run, or they are swept"
                )
            topics = run.settings.stream.topics
            parity = compare_live(
                work,
                tables,
                topics,
                load_source_contracts(over=run.settings.source.contracts_directory),
                day,
                erased=erased_players(run),
            )
        if not parity.is_equal:
            self.log.error("live rows of %s differ from their rebuild: %s", day, parity.differing)
        counts = {"rows": parity.rows, "differing_columns": len(parity.differing)}
        return hand_over(airflow_run, self.task_id, parity, counts)
