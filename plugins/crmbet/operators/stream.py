"""The operator `stream`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

MARGIN = 0.1
"""The share of its longest time that a run leaves itself for its last batch."""


class StreamOperator(BaseOperator):
    """Read the topics of `CRMBET_STREAM_TOPICS` into captures and live rows, until shortly before the time-out."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Write `stream.json`; returns its address and the messages, batches and quarantined messages."""
        from airflow.sdk import timezone

        from crmbet.contracts.files import load_source_contracts
        from crmbet.load.store_lock import StoreWanted
        from crmbet.orchestration.context import erased_players, load_session, open_run, stream_config
        from crmbet.orchestration.handover import hand_over
        from crmbet.stream.consumer import open_consumer
        from crmbet.stream.streaming import Stream
        from crmbet.stream.target import StreamTables

        started = time.monotonic()
        airflow_run = open_run(context)
        run = airflow_run.run
        ends_at = started + run.settings.timeouts.stream_timeout_minutes * 60 * (1 - MARGIN)
        with (
            airflow_run.work() as work,
            load_session(run.run_id, run.settings) as session,
            open_consumer(stream_config(run.settings)) as consumer,
        ):
            stream = Stream(
                work=work,
                tables=StreamTables(session),
                consumer=consumer,
                topics=run.settings.stream.topics,
                sources=load_source_contracts(over=run.settings.source.contracts_directory),
                clock=timezone.utcnow,
                erased=erased_players(run),
            )
            wanted = StoreWanted(session, time.monotonic)
            figures = stream.run(
                lambda: time.monotonic() > ends_at or stream.figures.has_become_old or wanted.by_an_erasure()
            )
        manifest = figures.manifest()
        return hand_over(airflow_run, self.task_id, manifest, manifest.counts)
