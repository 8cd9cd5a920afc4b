"""Reading the transactions out of PostgreSQL, beside psql that throws them away."""

from __future__ import annotations

import statistics
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from bench.apart import Stopwatch
from bench.figures import Figure
from bench.pipeline import run_tasks
from bench.workbench import Operator, PipelineRun, Workbench
from crmbet.contracts import SourceContract, load_source_contracts
from crmbet.engine import attach_postgres
from crmbet.ingest.postgres import SOURCE
from local.postgres import programs

if TYPE_CHECKING:
    import duckdb

LIMIT_RATIO = 1.2
AS_OF = "2027-01-01"
"""After all rows, up to some twenty millions."""

# 1.5 seconds apart: five million rows are 87 days. The key is made last, which is faster.
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


def measure(workbench: Workbench, folder: Path, rows: int, rounds: int) -> list[Figure]:
    """Copy the table both ways in turn, then capture it once as the task does."""
    contract = load_source_contracts()["transactions"]
    with workbench.operator("extract_pg") as operator:
        _fill(operator, rows)
        psql: list[float] = []
        ours: list[float] = []
        for _ in range(rounds):
            psql.append(_copy_by_psql(operator))
            ours.append(_copy_by_engine(operator, contract, folder / "transactions.parquet"))
        whole = run_tasks(PipelineRun(operator=operator, as_of=AS_OF), "extract_pg")
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


def copy_relation(connection: duckdb.DuckDBPyConnection, contract: SourceContract, target: Path) -> None:
    """Copy the contract's columns of the attached relation into a local Parquet file."""
    columns = ", ".join(f'"{column.source_name or name}"' for name, column in contract.columns.items())
    connection.execute(
        f"COPY (SELECT {columns} FROM {SOURCE}.public.{contract.relation}) TO '{target}' (FORMAT parquet)"
    )


def _fill(operator: Operator, rows: int) -> None:
    with closing(psycopg2.connect(operator.source_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(FILL, {"rows": rows})
            # The first reader would otherwise write the table once more, to note which rows are committed.
            cursor.execute("VACUUM ANALYZE tbl_transactions")
            cursor.execute("CHECKPOINT")


def _copy_by_psql(operator: Operator) -> float:
    stopwatch = Stopwatch()
    command = [str(programs() / "psql"), "-X", "-q", operator.source_url]
    command += ["-c", r"\copy tbl_transactions to /dev/null (format binary)"]
    with stopwatch.step("psql"):
        subprocess.run(command, check=True)
    return stopwatch.total


def _copy_by_engine(operator: Operator, contract: SourceContract, target: Path) -> float:
    stopwatch = Stopwatch()
    with operator.engine() as connection, stopwatch.step("copy"):
        attach_postgres(connection, operator.source_url, SOURCE, read_only=True)
        copy_relation(connection, contract, target)
    return stopwatch.total
