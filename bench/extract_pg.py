"""Reading the transactions from PostgreSQL, compared with psql that throws them away."""

from __future__ import annotations

import statistics
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg2

from bench.apart import Stopwatch
from bench.figures import Figure
from bench.pipeline import run_tasks
from bench.workbench import Operator, PipelineRun, Workbench
from crmbet.contracts.files import load_source_contracts
from crmbet.contracts.source import SourceContract
from crmbet.databases.duckdb import attach_postgres
from crmbet.extract.copying import Batch, copy_days
from crmbet.extract.postgres import LARGE_SHARE, days_copied_together
from crmbet.extract.relation import SOURCE, ask_postgres, describe_relation
from local.postgres import programs

LIMIT_RATIO = 1.2
AS_OF = "2027-01-01"
"""A date after all rows, up to about twenty million rows."""

# Rows are 1.5 seconds apart, so five million rows are 87 days. Making the key last is faster.
FILL = """
CREATE TABLE tbl_transactions (
    transaction_id UUID NOT NULL,
    user_id VARCHAR(50) NOT NULL,
    amount DECIMAL(10,2) NOT NULL,
    transaction_type VARCHAR(20) NOT NULL,
    status VARCHAR(20) NOT NULL,
    created_at TIMESTAMP NOT NULL
);
INSERT INTO tbl_transactions
SELECT
    md5(i::text)::uuid,
    'u' || lpad((hashint8(i) & 262143)::text, 8, '0'),
    1 + (hashint8(i + 1) & 65535) / 100.0,
    (ARRAY['deposit', 'withdrawal', 'bet', 'win', 'bonus', 'refund', 'deposit', 'bet'])[1 + (hashint8(i + 2) & 7)],
    (ARRAY['completed', 'success', 'pending', 'failed', 'cancelled', 'completed', 'completed', 'approved'])
        [1 + (hashint8(i + 3) & 7)],
    TIMESTAMP '2026-01-01' + i * INTERVAL '1.5 seconds'
FROM generate_series(0::bigint, %(rows)s - 1) AS i;
ALTER TABLE tbl_transactions ADD PRIMARY KEY (transaction_id);
"""
ROWS_BY_DAY = "SELECT created_at::date, count(*) FROM tbl_transactions GROUP BY 1"


def measure(workbench: Workbench, folder: Path, rows: int, rounds: int) -> list[Figure]:
    """Copy the table both ways in turn, then capture it once as the task does."""
    contract = load_source_contracts()["transactions"]
    with workbench.operator("extract_pg") as operator:
        _fill(operator, rows)
        run = PipelineRun(operator=operator, as_of=AS_OF)
        psql: list[float] = []
        ours: list[float] = []
        for _ in range(rounds):
            psql.append(_copy_by_psql(operator))
            ours.append(_copy_by_engine(run, contract, folder / "transactions.parquet"))
        whole = run_tasks(run, "extract_pg")
    note = f"{rows:,} rows, median of {rounds}"
    peer, copying = statistics.median(psql), statistics.median(ours)
    return [
        Figure(name="psql \\copy to /dev/null, binary", value=peer, unit="s", note=note),
        Figure(name="copy from PostgreSQL to Parquet", value=copying, unit="s", note=note),
        Figure(name="copy to Parquet over psql", value=copying / peer, unit="x", limit=LIMIT_RATIO),
        Figure(
            name="extract_pg on an empty prefix",
            value=whole.stopwatch.total,
            unit="s",
            note=f"{whole.counts['extract_pg']} days, {whole.peak_mib:.0f} MiB",
        ),
    ]


def _fill(operator: Operator, rows: int) -> None:
    with closing(psycopg2.connect(operator.source_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(FILL, {"rows": rows})
            # Otherwise the first reader would write the table once more, to note which rows are committed.
            cursor.execute("VACUUM ANALYZE tbl_transactions")
            cursor.execute("CHECKPOINT")


def _copy_by_psql(operator: Operator) -> float:
    stopwatch = Stopwatch()
    command = [str(programs() / "psql"), "-X", "-q", operator.source_url]
    command += ["-c", r"\copy tbl_transactions to /dev/null (format binary)"]
    with stopwatch.step("psql"):
        subprocess.run(command, check=True)
    return stopwatch.total


def _copy_by_engine(run: PipelineRun, contract: SourceContract, target: Path) -> float:
    """Copy all days of the table into local Parquet files, with the batches and the statement of the task."""
    stopwatch = Stopwatch()
    with run.work() as work:
        connection = work.connection
        attach_postgres(connection, run.operator.source_url, SOURCE, read_only=True)
        rows = dict(ask_postgres(connection, ROWS_BY_DAY))
        with stopwatch.step("copy"):
            relation = describe_relation(connection, contract)
            for days in days_copied_together(rows):
                is_large = sum(rows[day] for day in days) >= sum(rows.values()) * LARGE_SHARE
                batch = Batch(days=tuple(days), is_large=is_large, has_nan=False)
                copy_days(connection, relation, batch, run=run.run, contract=contract, path=target)
    return stopwatch.total
