"""Two runs side by side: the players and the cells in which their feature tables differ."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from crmbet.contracts.files import load_table_contract
from crmbet.databases.parquet import column_types, scan
from crmbet.databases.statements import Fragment, identifier, joined, render
from crmbet.features.records import FeatureManifest
from crmbet.monitoring.metrics import FEATURES
from crmbet.monitoring.trail import StoreReader, read_manifest


class Comparison(BaseModel):
    """How the feature table of one run differs from that of another. Counts of players, and of cells by column."""

    model_config = ConfigDict(frozen=True)

    only_one: int
    only_other: int
    both: int
    cells: dict[str, int]
    """Columns that differ for some player of both, the most cells first."""


def compare_runs(reader: StoreReader, one: str, other: str) -> Comparison:
    """Compare two runs by their ids. Columns that one of them did not have yet are empty there.

    Raises `SourceMissing` if one of them made no feature table, or has been swept.
    """
    contract = load_table_contract()
    tables = []
    for execution_id in (one, other):
        manifest = read_manifest(reader, execution_id, FEATURES, FeatureManifest)
        tables.append(scan(reader.files, manifest.files, by_name=True))
    had = [column_types(reader.connection, table) for table in tables]
    names = [name for name in contract.features if name in had[0] or name in had[1]]

    def cell(table: str, place: int, name: str) -> str:
        return f"{table}.{identifier(name)}" if name in had[place] else "NULL"

    key = identifier(contract.key)
    differences = joined(
        [
            Fragment(
                f"count(*) FILTER (one.{key} = other.{key} "
                f"AND {cell('one', 0, name)} IS DISTINCT FROM {cell('other', 1, name)})"
            )
            for name in names
        ]
    )
    select = render(
        "monitoring/compare_runs", one=tables[0], other=tables[1], key=key, differences=differences
    )
    only_one, only_other, both, *cells = reader.connection.execute(select).fetchone() or ()
    changed = sorted(zip(names, cells, strict=True), key=lambda column: -column[1])
    return Comparison(
        only_one=only_one,
        only_other=only_other,
        both=both,
        cells={name: count for name, count in changed if count},
    )
