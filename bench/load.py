"""Loading the feature table, compared with psql that copies the same rows and queries that compare them.

`python -m bench.load <load as JSON>` runs backup, staging and load once, in a process of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from bench.apart import Stopwatch, median_of, report, run_apart
from bench.figures import Figure
from bench.workbench import Workbench
from crmbet.contracts.files import load_table_contract
from crmbet.contracts.table import ENGINE_TYPES, FeatureColumn, TableContract
from crmbet.databases.duckdb import open_engine
from crmbet.databases.statements import Fragment, identifier, joined
from crmbet.load.backup import take_backup
from crmbet.load.load import LoadRules, load
from crmbet.load.session import LoadSession, history_name
from crmbet.load.staging import staged
from crmbet.load.target import ensure_target
from crmbet.run.settings import Settings
from local.postgres import programs

if TYPE_CHECKING:
    import duckdb

LIMIT_STAGING = 1.3
LIMIT_MERGE = 1.5
LIMIT_MIB = 500
ENGINE_MEMORY = "256MB"
FIRST_DAY = datetime(2026, 11, 20, 3, tzinfo=UTC)

VALUES = {
    "text": "'value ' || i % 7",
    "text[]": "['push', 'sms']",
    "varchar(50)": "'u' || lpad(i::VARCHAR, 9, '0')",
    "char(3)": "'444'",
    "integer": "i % 1000",
    "smallint": "i % 4",
    "real": "round(sqrt(i), 6)",
    "r01": "round(1 / (1 + i), 6)",
    "money": "i / 100",
    "boolean": "i % 2 = 0",
    "timestamptz": "now()",
}
"""A plausible value of each type, from a row's number."""


@dataclass(frozen=True, kw_only=True)
class BenchLoad:
    """One load, as another process needs it."""

    dsn: str
    file: str
    rows: int
    columns: int
    number: int
    """The number of the run, which gives it a name and a second of its own."""


def measure(workbench: Workbench, folder: Path, rows: int, columns: int, rounds: int) -> list[Figure]:
    """Load once, then load the same rows several times, each time next to the peers."""
    contract = wide_contract(columns)
    file, copied = folder / "features.parquet", folder / "features.copy"
    with workbench.operator("load") as operator, operator.engine() as engine:
        dsn = operator.source_url
        _write_file(engine, contract, file, rows, "h", FIRST_DAY)

        def run(number: int) -> tuple[str, ...]:
            one = BenchLoad(dsn=dsn, file=str(file), rows=rows, columns=columns, number=number)
            return ("bench.load", json.dumps(asdict(one)))

        first = run_apart(*run(0))
        _psql(
            dsn, f"\\copy (SELECT {_listed(contract)} FROM {_target(contract)}) to '{copied}' (format binary)"
        )
        _psql(dsn, "VACUUM ANALYZE")
        written = _count_writes(dsn)
        peers, again, compares = [], [], []
        for number in range(1, rounds + 1):
            peers.append(_copy_by_psql(dsn, contract, copied))
            again.append(run_apart(*run(number)))
            compares.append(_compare(dsn, contract))
        nothing = _count_writes(dsn) - written
        _write_file(engine, contract, file, rows, "changed", FIRST_DAY + timedelta(days=1))
        changed = run_apart(*run(rounds + 1))
    staging = statistics.median(one.stopwatch.seconds["stage"] for one in again)
    merge = statistics.median(one.stopwatch.seconds["load"] for one in again)
    peer, compare = statistics.median(peers), statistics.median(compares)
    note = f"{rows:,} rows x {len(contract.columns)} columns, median of {rounds}"
    return [
        Figure(name="psql \\copy of the rows from a binary file", value=peer, unit="s", note=note),
        Figure(name="staging from Parquet", value=staging, unit="s", note=note),
        Figure(name="staging over psql", value=staging / peer, unit="x", limit=LIMIT_STAGING),
        Figure(
            name="queries that compare all cells of table and history", value=compare, unit="s", note=note
        ),
        Figure(name="a merge in which nothing changed", value=merge, unit="s", note=note),
        Figure(name="that merge over the queries", value=merge / compare, unit="x", limit=LIMIT_MERGE),
        Figure(name="rows that it wrote to table and history", value=nothing, unit="rows", limit=0),
        Figure(name="the first load, history included", value=first.stopwatch.seconds["load"], unit="s"),
        Figure(name="a merge in which all changed", value=changed.stopwatch.seconds["load"], unit="s"),
        Figure(name="the backup before it", value=changed.stopwatch.seconds["backup"], unit="s"),
        Figure(
            name="peak memory of backup, staging and load",
            value=max(median_of(again).peak_mib, first.peak_mib, changed.peak_mib),
            unit="MiB",
            limit=LIMIT_MIB,
        ),
    ]


def wide_contract(columns: int) -> TableContract:
    """The contract, with reals added up to a number of columns if it has fewer."""
    contract = load_table_contract()
    more = {
        f"extra_{number}": FeatureColumn(type="real", meaning="A real")
        for number in range(columns - len(contract.columns))
    }
    return contract.model_copy(update={"columns": {**contract.columns, **more}})


def run_once(one: BenchLoad) -> None:
    """Backup, staging and merge, as the two tasks do."""
    stopwatch = Stopwatch()
    now = FIRST_DAY + timedelta(minutes=one.number)
    rules = LoadRules(strategy="merge", gone_users="mark", max_shrink=0.1)
    with closing(psycopg2.connect(one.dsn)) as connection, ExitStack() as stack:
        session = LoadSession(
            connection=connection,
            contract=wide_contract(one.columns),
            run_id=f"bench {one.number}",
            lock_timeout_seconds=60,
        )
        ensure_target(session)
        with stopwatch.step("backup"):
            take_backup(session, now)
        settings = Settings.of(lake_bucket="unused", memory_limit=ENGINE_MEMORY)
        engine = stack.enter_context(open_engine(settings))
        with stopwatch.step("stage"):
            staging = stack.enter_context(staged(session, engine, one.dsn, [one.file], one.rows))
        with stopwatch.step("load"):
            counts = load(session, staging, rules, now + timedelta(seconds=1))
    report(stopwatch, inserted=counts.inserted, updated=counts.updated, recorded=counts.recorded)


def _write_file(
    engine: duckdb.DuckDBPyConnection,
    contract: TableContract,
    file: Path,
    rows: int,
    row_hash: str,
    as_of: datetime,
) -> None:
    columns = {
        name: f"({VALUES[column.type]})::{ENGINE_TYPES[column.type]}"
        for name, column in contract.computed.items()
    }
    columns |= {"row_hash": f"md5('{row_hash}' || i)", "as_of": f"TIMESTAMPTZ '{as_of.isoformat()}'"}
    listed = ", ".join(f"{value} AS {name}" for name, value in columns.items())
    engine.execute(f"COPY (SELECT {listed} FROM range({rows}) AS players(i)) TO '{file}' (FORMAT parquet)")


def _copy_by_psql(dsn: str, contract: TableContract, file: Path) -> float:
    stopwatch = Stopwatch()
    definitions = ", ".join(
        f"{identifier(name)} {column.postgres_type}" for name, column in contract.computed.items()
    )
    _psql(dsn, f"CREATE UNLOGGED TABLE peer ({definitions}) WITH (autovacuum_enabled = false)")
    with stopwatch.step("copy"):
        _psql(dsn, f"\\copy peer from '{file}' (format binary)")
    # The table stays for the comparison, as the run's staging table would.
    _psql(dsn, "ANALYZE peer (user_id, as_of, row_hash)")
    return stopwatch.total


def _compare(dsn: str, contract: TableContract) -> float:
    """Seconds that the server takes to compare all cells of what was copied with those of table and history."""
    stopwatch = Stopwatch()
    listed = [joined([identifier(side, name) for name in contract.computed]) for side in ("peer", "loaded")]
    history = identifier(contract.schema_name, history_name(contract))
    with stopwatch.step("compare"):
        for table in (_target(contract), history):
            _psql(
                dsn,
                f"SELECT count(*) FROM peer JOIN {table} AS loaded USING (user_id, as_of) "
                f"WHERE ({listed[0]}) IS DISTINCT FROM ({listed[1]})",
            )
    _psql(dsn, "DROP TABLE peer")
    return stopwatch.total


def _count_writes(dsn: str) -> int:
    """Rows that were ever written to table and history, as the server counts them."""
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables "
            r"WHERE relname ~ '^user_features(_history.*)?$'"
        )
        (writes,) = cursor.fetchone() or (0,)
        return int(writes)


def _psql(dsn: str, command: str) -> None:
    subprocess.run(
        [str(programs() / "psql"), "-X", "-q", dsn, "-c", command], check=True, stdout=subprocess.DEVNULL
    )


def _target(contract: TableContract) -> Fragment:
    return identifier(contract.schema_name, contract.name)


def _listed(contract: TableContract) -> Fragment:
    return joined([identifier(name) for name in contract.computed])


if __name__ == "__main__":
    run_once(BenchLoad(**json.loads(sys.argv[1])))
