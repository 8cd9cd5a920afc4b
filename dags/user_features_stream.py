"""What players do today, within seconds.

One long task reads the topics of `CRMBET_STREAM_TOPICS` from Kafka, batch by batch. It captures each batch on S3, and
writes `ml_features.user_features_live`: a row for each player of today and yesterday. It ends itself shortly before
its time-out, and the next run takes over at once. The offsets are committed in PostgreSQL together with the rows, so
it does not matter where a run dies.

Without `CRMBET_STREAM_TOPICS` there is no such DAG. docs/streaming.md says what is promised, and how to operate it.
"""

from __future__ import annotations

import os
from datetime import datetime
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, chain

from crmbet.operators.record_run import RecordRunOperator
from crmbet.operators.stream import StreamOperator
from crmbet.orchestration.alerts import alerted
from crmbet.orchestration.retrying import RETRIES
from crmbet.orchestration.watching import WATCHED
from crmbet.run.brand import Brand
from crmbet.run.brands import read_brands
from crmbet.run.schedule import operator_timezone, stream_topics, time_limit


def stream_dag(brand: Brand) -> DAG:
    """The DAG of a brand that has a stream."""
    with DAG(
        brand.dag_id("user_features_stream"),
        # The next run begins when one has ended.
        schedule="@continuous",
        start_date=datetime(2015, 1, 1, tzinfo=ZoneInfo(operator_timezone(brand.environ))),
        catchup=False,
        max_active_runs=1,
        default_args={**RETRIES, **WATCHED},
        **alerted(brand.environ),
        doc_md=__doc__,
        tags=["crm", "stream", *brand.tags],
    ) as dag:
        stream = StreamOperator(
            task_id="stream", execution_timeout=time_limit(brand.environ, "stream_timeout_minutes")
        )
        # As in the daily DAG: it runs whether or not the stream succeeds, and does not decide whether the run does.
        record_run = RecordRunOperator(
            task_id="record_run",
            retries=1,
            execution_timeout=time_limit(brand.environ, "record_timeout_minutes"),
        ).as_teardown(on_failure_fail_dagrun=False)

        chain(stream, record_run)
    return dag


for brand in read_brands(os.environ).brands:
    if stream_topics(brand.environ):
        dag = stream_dag(brand)
