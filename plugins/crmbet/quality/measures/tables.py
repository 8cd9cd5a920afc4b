"""Small tables in the engine, made of what was measured, for ordinary expectations to judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crmbet.databases.statements import Fragment, identifier, render
from crmbet.quality.measures.drift import compare
from crmbet.quality.measures.profile import Measures, Profile

if TYPE_CHECKING:
    import duckdb

SHAPE = ("psi", "ks")
MOVES = (*SHAPE, "quartile_shift", "variance_ratio", "skew_shift")
FIGURES = ("baseline_rows", *MOVES)


@dataclass(frozen=True)
class Compared:
    """A column, and the baseline that it is held against."""

    labels: Mapping[str, str]
    """What names it in the table."""
    column: str
    """What names it in the baseline."""
    measures: Measures
    units: int
    """Players behind the rows."""
    baseline: Profile
    excused: Collection[str] = ()
    """Figures that say nothing of it."""


def create_drift(connection: duckdb.DuckDBPyConnection, name: str, compared: Sequence[Compared]) -> None:
    """A table of how far columns are from their baselines, a row a column."""
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
            **{figure: ("float64", [getattr(drift, figure) for drift in drifts]) for figure in FIGURES},
        },
    )


def create_table(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, tuple[str, list[Any]]]
) -> None:
    """A small table from columns, each by name: a type of Arrow and the values."""
    import pyarrow as pa

    arrays = {
        column: pa.array(values, pa.type_for_alias(alias)) for column, (alias, values) in columns.items()
    }
    connection.register("given_rows", pa.table(arrays))
    rows = Fragment(render("databases/read_rows", source=identifier("given_rows")))
    connection.execute(render("databases/create_table", name=identifier(name), rows=rows))
    connection.unregister("given_rows")
