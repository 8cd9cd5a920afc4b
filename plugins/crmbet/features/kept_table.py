"""The feature table of a run, kept with a digest of what it was made from, so that an equal one is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmbet.contracts.source import SourceContract
from crmbet.contracts.table import TableContract
from crmbet.databases.parquet import write_file
from crmbet.databases.statements import statements_digest
from crmbet.datasets.days import find_days, unmade_day
from crmbet.datasets.records import DayFiles
from crmbet.features.records import Learned
from crmbet.learning.records import ModelFit
from crmbet.run.run import Run
from crmbet.storage.layout import attempt_name
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb


from crmbet.features.themes import SIGNATURE, _variables

TABLES = "feature_tables"
"""Markers of feature tables, which lie in the folders of the runs that made them."""


@dataclass(frozen=True)
class _Table:
    """A feature table in the folder of a run."""

    files: list[str]
    users: int
    learned: Learned


def _find_table(store: ObjectStore, run: Run, digest: str) -> _Table | None:
    """The table that another run has made from the same."""
    if run.params.full_refresh:
        return None
    found, _ = find_days(store, run.layout, TABLES, {run.as_of_date: digest})
    if run.as_of_date not in found:
        return None
    table = found[run.as_of_date]
    content = store.read(_learned_key(table.files))
    return _Table(table.files, table.rows, Learned.model_validate_json(content)) if content else None


def _write_table(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, run: Run, queries: Iterable[str]
) -> tuple[list[str], int]:
    """Write a file for each query into the run's folder; returns their keys and the players in them."""
    attempt = attempt_name()
    files, users = [], 0
    for number, query in enumerate(queries):
        files.append(f"{run.prefix}features/{attempt}_{number}.parquet")
        users += write_file(connection, store, run, files[-1], query)
    return files, users


def _mark_table(store: ObjectStore, run: Run, digests: Iterable[str], made: _Table) -> None:
    """Say what a table was made from, last, so that nobody finds half of it."""
    _, markers = find_days(store, run.layout, TABLES, {})
    markers.write(
        {
            run.layout.day(TABLES, run.as_of_date, digest).marker(attempt_name()): (
                unmade_day(run, run.as_of_date, digest)
                .model_copy(update={"files": made.files, "rows": made.users})
                .model_dump_json()
                .encode()
            )
            for digest in digests
        }
    )
    markers.write_index(attempt_name())


def _learned_key(files: Sequence[str]) -> str:
    return files[0].removesuffix(".parquet") + ".json"


def _table_digest(
    run: Run,
    contracts: Mapping[str, SourceContract],
    table: TableContract,
    *,
    days: Sequence[Sequence[DayFiles]],
    thresholds: Mapping[str, float] | None,
    fits: Mapping[str, ModelFit],
) -> str:
    """Identity of a feature table, but for what says which run has made it: of all that its statements read.

    What is computed elsewhere than in statements changes FEATURE_SET_VERSION, which is among the variables.
    """
    variables = {name: value for name, value in _variables(run).items() if name not in SIGNATURE}
    parts = [[(day.day, day.digest) for day in part] for part in days]
    statements = statements_digest(
        ".", "features/themes", "learning", "features/state", "features/sessions", "clean"
    )
    settings = run.settings.model_dump(
        mode="json",
        include={"clv_margin", "clv_monthly_discount_rate", "min_model_cohort", "min_calibration_users"},
    )
    read = (
        variables,
        settings,
        None if thresholds is None else sorted(thresholds.items()),
        sorted((name, fit.model_dump_json()) for name, fit in fits.items()),
        parts,
        statements,
        table.digest,
        [contracts[name].digest for name in sorted(contracts)],
    )
    return hashlib.sha256(repr(read).encode()).hexdigest()[:24]
