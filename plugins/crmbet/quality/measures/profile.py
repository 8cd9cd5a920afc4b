"""How the columns of a table are filled and spread: what distributions, outliers and readiness are judged by.

One statement a column, so that the memory it takes is a column's, however wide the table is. Numbers are counted by
value in the engine, once, and everything about them is worked out from the counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import ceil, log, sqrt
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from crmbet.databases.statements import Fragment, identifier, render
from crmbet.run.records import Record

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["numbers", "words"]

ABSENT = "NULL"
"""The bin of rows without a finite number, or without a word."""
OTHER = "other"
"""The bin of words that few rows have."""
DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
QUARTILES = (0.25, 0.5, 0.75)
OUTLIER_SIGMAS = 3.5
MAD_SIGMA = 1.4826
"""A normal standard deviation in median deviations."""


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
    variance_error: float | None = None
    """Standard error of the variance's logarithm, times the root of the sample's size; for `skew_error` likewise."""
    skew_error: float | None = None


class Profile(Record):
    """The distributions of a table's columns."""

    units: int
    """Players behind the rows: how much the rows can tell (see `count_units`)."""
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


@dataclass(frozen=True, kw_only=True)
class LogMoments:
    """Moments of sign(x) ln(1 + |x|), with errors as `Distribution` has them. None where there is no such figure."""

    variance: float | None = None
    skew: float | None = None
    variance_error: float | None = None
    skew_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Counted:
    """The rows of a column of numbers, counted by value: money repeats, so that this is far less than the rows are."""

    values: NDArray[np.float64]
    """The finite ones, each once, ascending."""
    upto: NDArray[np.int64]
    """Rows with that value or a smaller one."""
    rows: int
    filled: int
    nonfinite: int

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Numbers below which these shares of the finite ones lie, between two of them in proportion."""
        return _quantiles(self.values, self.upto, shares)

    def bins(self, edges: Sequence[float]) -> dict[str, int]:
        """Rows in each bin of a distribution with these edges."""
        import numpy as np

        finite = self.filled - self.nonfinite
        places = np.searchsorted(self.values, edges, side="right")
        upto = [0, *(int(self.upto[place - 1]) if place else 0 for place in places), finite]
        bins = {str(place): after - before for place, (before, after) in enumerate(pairwise(upto))}
        return {**bins, ABSENT: self.rows - finite}

    def log_moments(self) -> LogMoments:
        """Variance and skewness; nothing where there is too little, or nothing that varies.

        The skewness is corrected for the sample's size (Joanes and Gill 1998, G1). The errors are those of large
        samples of whatever distribution, by the delta method: of the skewness g the root mean square of
        z^3 - g - 3 z - 1.5 g (z^2 - 1), of the variance's logarithm that of z^2 - 1, over standardised z.
        """
        import numpy as np

        if not len(self.values):
            return LogMoments()
        counts, n = self._counts, int(self.upto[-1])
        logged = np.sign(self.values) * np.log1p(np.abs(self.values))
        logged -= (logged * counts).sum() / n
        variance = float((logged**2 * counts).sum() / n)
        if n < 3 or len(self.values) < 2 or variance == 0:
            return LogMoments(variance=variance)
        z = logged / sqrt(variance)
        skew = float((z**3 * counts).sum() / n)
        influence = z**3 - skew - 3 * z - 1.5 * skew * (z**2 - 1)
        return LogMoments(
            variance=variance,
            skew=skew * sqrt(n * (n - 1)) / (n - 2),
            variance_error=sqrt(float(((z**2 - 1) ** 2 * counts).sum() / n)),
            skew_error=sqrt(float((influence**2 * counts).sum() / n)),
        )

    def outliers(self) -> int:
        """Rows further than a robust 3.5 sigma from what is usual, by median and median deviation of ln |x|.

        Numbers other than 0 only. Half of what is usual, or twice it, is never an outlier.
        """
        import numpy as np

        there = self.values != 0
        if not there.any():
            return 0
        magnitudes, counts = _ascending(np.log(np.abs(self.values[there])), self._counts[there])
        (usual,) = _quantiles(magnitudes, counts.cumsum(), [0.5])
        distances, counts = _ascending(np.abs(magnitudes - usual), counts)
        (deviation,) = _quantiles(distances, counts.cumsum(), [0.5])
        return int(counts[distances > OUTLIER_SIGMAS * max(log(2), MAD_SIGMA * deviation)].sum())

    @property
    def _counts(self) -> NDArray[np.int64]:
        import numpy as np

        return np.diff(self.upto, prepend=0)


def _ascending(
    values: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    order = values.argsort(kind="stable")
    return values[order], counts[order]


def _quantiles(values: NDArray[np.float64], upto: NDArray[np.int64], shares: Sequence[float]) -> list[float]:
    if not len(values):
        return []
    last = int(upto[-1]) - 1
    found = []
    for share in shares:
        place = share * last
        low, high = (
            float(values[upto.searchsorted(rank, side="right")]) for rank in (int(place), ceil(place))
        )
        found.append(low + (high - low) * (place - int(place)))
    return found


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
    """How many independent rows tell as much as these, if those with one value of the expression `unit` are alike.

    Kish's effective number of units (Survey Sampling, 1965): their number if all have as many rows, else less.
    """
    ((units,),) = connection.execute(render("quality/count_units", unit=unit, source=source)).fetchall()
    return int(units + 0.5)


def _measure_numbers(
    connection: duckdb.DuckDBPyConnection, source: Fragment, name: str, baseline_edges: list[float] | None
) -> Measures:
    counted = _count_values(connection, source, name)
    edges = sorted(set(counted.quantiles(DECILES)))
    own = Distribution(
        kind="numbers",
        bins=counted.bins(edges),
        edges=edges,
        quartiles=counted.quantiles(QUARTILES),
        **asdict(counted.log_moments()),
    )
    compared = own
    if baseline_edges is not None and baseline_edges != edges:
        compared = own.model_copy(update={"bins": counted.bins(baseline_edges), "edges": baseline_edges})
    values = counted.values
    return Measures(
        kind="numbers",
        rows=counted.rows,
        filled=counted.filled,
        distinct=min(len(values), 2),
        nonfinite=counted.nonfinite,
        largest_magnitude=max(abs(float(values[0])), abs(float(values[-1]))) if len(values) else None,
        outliers=counted.outliers(),
        distribution=own,
        compared=compared,
    )


def _count_values(connection: duckdb.DuckDBPyConnection, source: Fragment, name: str) -> Counted:
    import numpy as np

    found = connection.execute(
        render("quality/count_values", column=identifier(name), source=source)
    ).fetchnumpy()
    values, counts = np.ma.filled(found["value"], np.nan), np.asarray(found["rows"])
    is_null = np.ma.getmaskarray(found["value"])
    is_finite = np.isfinite(values)
    rows, absent = int(counts.sum()), int(counts[is_null].sum())
    # A zero with a sign is a zero.
    values, counts = _ascending(values[is_finite] + 0.0, counts[is_finite])
    return Counted(
        values=values,
        upto=counts.cumsum(),
        rows=rows,
        filled=rows - absent,
        nonfinite=rows - absent - int(counts.sum()),
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
