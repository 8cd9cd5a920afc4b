"""Small tables of measured figures in the engine, for ordinary expectations to judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crmbet.databases.statements import Fragment, identifier, render
from crmbet.quality.measures.drift import compare
from crmbet.quality.measures.profile import Measures, Profile

if TYPE_CHECKING:
    import duckdb

SHAPE_MEASURES = ("psi", "ks")
"""Fields of `Drift` that compare whole distributions."""
DRIFT_MEASURES = (*SHAPE_MEASURES, "quartile_shift", "variance_ratio", "skew_shift")
DRIFT_COLUMNS = ("baseline_rows", *DRIFT_MEASURES)


@dataclass(frozen=True)
class Compared:
    """A column and the baseline that it is compared with."""

    labels: Mapping[str, str]
    """The columns that name it in the table, and their values."""
    column: str
    """Its name in the baseline."""
    measures: Measures
    units: int
    """Players behind the rows."""
    baseline: Profile
    excused: Collection[str] = ()
    """Drift measures that are not judged for it."""


def create_drift(connection: duckdb.DuckDBPyConnection, name: str, compared: Sequence[Compared]) -> None:
    """Create a table of how far columns are from their baselines, with one row per column."""
    drifts = []
    for each in compared:
        drift = compare(each.column, each.measures.compared, each.units, each.baseline)
        drifts.append(replace(drift, **dict.fromkeys(each.excused)))
    labels = compared[0].labels if compared else ()
    create_table(
        connection,
        name,
        {
            **{label: ("string", [each.labels[label] for each in compared]) for label in labels},
            **{figure: ("float64", [getattr(drift, figure) for drift in drifts]) for figure in DRIFT_COLUMNS},
        },
    )


def create_table(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, tuple[str, list[Any]]]
) -> None:
    """Create a small table. `columns` has an Arrow type and the values for each name."""
    import pyarrow as pa

    arrays = {
        column: pa.array(values, pa.type_for_alias(alias)) for column, (alias, values) in columns.items()
    }
    connection.register("given_rows", pa.table(arrays))
    rows = Fragment(render("databases/read_rows", source=identifier("given_rows")))
    connection.execute(render("databases/create_table", name=identifier(name), rows=rows))
    connection.unregister("given_rows")
