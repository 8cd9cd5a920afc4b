"""A run that has set rows aside, made up in a store, and how the monitoring page reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.workbench import Operator
from crmbet.clean.records import CleanedSource, CleanManifest
from crmbet.contracts.files import load_source_contracts
from crmbet.databases.duckdb import open_engine
from crmbet.datasets.prefetch import LocalCopies
from crmbet.datasets.records import DayFiles
from crmbet.monitoring.trail import StoreReader
from crmbet.run.records import write_manifest
from crmbet.run.settings import Settings
from crmbet.storage.layout import Layout
from crmbet.storage.verified import keep_file

REASON = "stake: unreadable"
ROWS = """
COPY (
    SELECT '{reason}' AS reason, 'raw/bets/dt=2026-11-20/part-00.csv' AS source_key, n AS source_row,
        'b20261120-' || n AS business_key, NULL::VARCHAR AS protected_user_id, NULL::TIMESTAMP AS happened_at,
        'bench' AS run_id, DATE '2026-11-20' AS _day,
        to_json({{
            bet_id: 'b20261120-' || n, user_id: 'u' || n, placed_at: '2026-11-20T12:00:00Z', game_type: 'slots',
            stake: 'R$ --', payout: '0.00', session_id: 's' || n, game_id: 'slots-01', device_type: 'mobile',
            rtp: '0.96', is_bonus: 'false', balance_after: '10.00', ingested_at: '2026-11-20T12:00:01Z'
        }}) AS record
    FROM range(1, {rows} + 1) AS numbers(n)
) TO '{path}' (FORMAT parquet)
"""


def set_rows_aside(operator: Operator, execution_id: str, rows: int) -> None:
    """Write the quarantine of one day of bets, and the manifest that names it."""
    layout = Layout(brand="default")
    day = datetime(2026, 11, 20, tzinfo=UTC)
    with TemporaryDirectory() as folder, operator.engine() as connection:
        path = Path(folder) / "rows.parquet"
        connection.execute(ROWS.format(reason=REASON, rows=rows, path=path))
        partition = layout.day("quarantine/source=bets", day.date(), "0" * 32)
        key = keep_file(operator.store, path, f"{partition.prefix}rows.parquet")
    cleaned = DayFiles(
        day=day.date(), digest="0" * 32, files=[], rows=0, made_at=day, quarantined={REASON: rows},
        quarantine_files=[key],
    )  # fmt: skip
    source = CleanedSource(
        days=[cleaned], quarantine_files=[key], extracted=rows, accepted=0, duplicates=0,
        quarantined={REASON: rows}, outside={}, made=[],
    )  # fmt: skip
    write_manifest(operator.store, layout.run(execution_id), "clean", CleanManifest(sources={"bets": source}))


@contextmanager
def read_store(operator: Operator) -> Iterator[StoreReader]:
    """The store as the page reads it."""
    settings = Settings.of(lake_bucket=operator.bucket, memory_limit="512MB", threads=1)
    with TemporaryDirectory() as folder, open_engine(settings) as connection:
        yield StoreReader(
            store=operator.store,
            layout=Layout(brand="default"),
            files=LocalCopies(operator.store, Path(folder)),
            connection=connection,
            contracts=load_source_contracts(),
        )
