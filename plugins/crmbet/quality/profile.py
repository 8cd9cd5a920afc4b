"""How the columns of a table are filled and spread: what distributions, outliers and readiness are judged by.

One statement a column, so that the memory it takes is a column's, however wide the table is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isnan
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from crmbet.manifest import Record
from crmbet.statements import Fragment, identifier, joined, render

if TYPE_CHECKING:
    import duckdb

Kind = Literal["numbers", "words"]

ABSENT = "NULL"
"""The bin of rows without a finite number, or without a word."""
OTHER = "other"
"""The bin of words that few rows have."""


class Distribution(Record):
    """How one column is spread, in rows by bin. This is what a baseline keeps."""

    kind: Kind
    bins: dict[str, int]
    """Of numbers: '0' up to the first edge, '1' up to the second, and so on; of words: the words."""
    edges: list[float] = Field(default_factory=list)
    """Deciles, upper ends of the bins (inclusive), ascending; the last bin has none."""
    quartiles: list[float] = Field(default_factory=list)
    variance: float | None = None
    """Of sign(x) ln(1 + |x|), as is `skew`."""
    skew: float | None = None


class Profile(Record):
    """The distributions of a table's columns."""

    units: int
    """Players behind the rows: how much the rows can tell."""
    columns: dict[str, Distribution]


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What one column is like today."""

    kind: Kind
    rows: int
    filled: int
    distinct: int
    """Of numbers only whether there are none, one, or more (2)."""
    nonfinite: int = 0
    largest_magnitude: float | None = None
    outliers: int = 0
    largest_class: int = 0
    """Rows of the most frequent word."""
    distribution: Distribution
    """In bins of its own."""
    compared: Distribution
    """In the bins of the baseline, or of its own where there is none."""


def measure(
    connection: duckdb.DuckDBPyConnection,
    source: Fragment,
    kinds: Mapping[str, Kind],
    baseline: Profile | None,
) -> dict[str, Measures]:
    """Measure columns of a table expression, by name."""
    found = {}
    for name, kind in kinds.items():
        known = baseline.columns.get(name) if baseline else None
        edges = known.edges if known is not None and known.kind == kind else None
        if kind == "numbers":
            found[name] = _measure_numbers(connection, source, name, edges)
        else:
            found[name] = _measure_words(connection, source, name)
    return found


def count_units(connection: duckdb.DuckDBPyConnection, source: Fragment, unit: Fragment) -> int:
    """Different values of the expression `unit`."""
    ((units,),) = connection.execute(render("quality/count_units", unit=unit, source=source)).fetchall()
    return int(units)


def _measure_numbers(
    connection: duckdb.DuckDBPyConnection, source: Fragment, name: str, baseline_edges: list[float] | None
) -> Measures:
    column = identifier(name)
    row = connection.execute(render("quality/measure_numbers", column=column, source=source)).fetchone()
    rows, filled, nonfinite, smallest, largest, deciles, quartiles, variance, skew, usual, deviation = (
        row or ()
    )
    edges = sorted(set(deciles or ()))

    def count(at: list[float]) -> tuple[dict[str, int], int]:
        below = joined([Fragment(f"count(*) FILTER (number <= {edge!r}::DOUBLE)") for edge in at])
        statement = render(
            "quality/count_numbers",
            column=column,
            source=source,
            below=below,
            usual=Fragment(f"{usual or 0!r}::DOUBLE"),
            deviation=Fragment(f"{deviation or 0!r}::DOUBLE"),
        )
        counted, outliers = connection.execute(statement).fetchone() or ((), 0)
        upto = [0, *counted, filled - nonfinite]
        bins = {str(place): after - before for place, (before, after) in enumerate(pairwise(upto))}
        return {**bins, ABSENT: rows - (filled - nonfinite)}, outliers

    bins, outliers = count(edges)
    own = Distribution(
        kind="numbers",
        bins=bins,
        edges=edges,
        quartiles=quartiles or [],
        variance=variance,
        skew=_finite(skew),
    )
    compared = own
    if baseline_edges is not None and baseline_edges != edges:
        compared = own.model_copy(update={"bins": count(baseline_edges)[0], "edges": baseline_edges})
    return Measures(
        kind="numbers",
        rows=rows,
        filled=filled,
        distinct=0 if smallest is None else 1 if smallest == largest else 2,
        nonfinite=nonfinite,
        largest_magnitude=None if smallest is None else max(abs(smallest), abs(largest)),
        outliers=outliers,
        distribution=own,
        compared=compared,
    )


def _measure_words(connection: duckdb.DuckDBPyConnection, source: Fragment, name: str) -> Measures:
    found = connection.execute(
        render("quality/count_words", column=identifier(name), source=source)
    ).fetchall()
    words = {value: rows for value, rows, *_ in found if value is not None}
    absent = sum(rows for value, rows, *_ in found if value is None)
    distinct, rows = (found[0][2], int(found[0][3])) if found else (0, 0)
    bins = {**words, OTHER: rows - absent - sum(words.values()), ABSENT: absent}
    own = Distribution(kind="words", bins=bins)
    return Measures(
        kind="words",
        rows=rows,
        filled=rows - absent,
        distinct=distinct,
        largest_class=max(words.values(), default=0),
        distribution=own,
        compared=own,
    )


def _finite(value: float | None) -> float | None:
    """Of a constant column the skewness is NaN."""
    return None if value is None or isnan(value) else value
