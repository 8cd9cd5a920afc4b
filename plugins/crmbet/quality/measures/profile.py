"""Profiles: how the columns of a table are filled and spread. Distributions, outliers and readiness are judged by them.

Each column has its own statement, so memory holds one column at a time, however wide the table is. The engine counts
the numbers of a column once, by value. All other figures are computed from the counts.
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
"""The bin of rows without a finite number or a word."""
OTHER = "other"
"""The bin of words that few rows have."""
DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
QUARTILES = (0.25, 0.5, 0.75)
OUTLIER_SIGMAS = 3.5
MAD_SIGMA = 1.4826
"""The standard deviation of a normal distribution, in median absolute deviations."""


class Distribution(Record):
    """How one column is spread: rows by bin, and moments. A baseline keeps this."""

    kind: Kind
    bins: dict[str, int]
    """For numbers, bin '0' goes up to the first edge, '1' up to the second, and so on. For words, a bin is a word."""
    edges: list[float] = Field(default_factory=list)
    """Deciles in ascending order: the upper ends of the bins, inclusive. The last bin has no edge."""
    quartiles: list[float] = Field(default_factory=list)
    variance: float | None = None
    """The variance of sign(x) ln(1 + |x|). `skew` is of the same."""
    skew: float | None = None
    variance_error: float | None = None
    """The standard error of the logarithm of the variance, times the square root of the sample size. `skew_error` is
    that of the skew."""
    skew_error: float | None = None


class Profile(Record):
    """The distributions of a table's columns."""

    units: int
    """The effective number of players behind the rows (see `count_units`)."""
    columns: dict[str, Distribution]


@dataclass(frozen=True, kw_only=True)
class Measures:
    """The figures of one column of the judged data."""

    kind: Kind
    rows: int
    filled: int
    distinct: int
    """For numbers it is 0, 1, or 2 for more."""
    nonfinite: int = 0
    largest_magnitude: float | None = None
    outliers: int = 0
    largest_class: int = 0
    """Rows of the most frequent word."""
    distribution: Distribution
    """In the column's own bins."""
    compared: Distribution
    """In the bins of the baseline, or in its own if there is no baseline."""


@dataclass(frozen=True, kw_only=True)
class LogMoments:
    """Moments of sign(x) ln(1 + |x|), with errors as in `Distribution`. None if a figure cannot be computed."""

    variance: float | None = None
    skew: float | None = None
    variance_error: float | None = None
    skew_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Counted:
    """The rows of a column of numbers, counted by value. Amounts repeat, so there are far fewer values than rows."""

    values: NDArray[np.float64]
    """The finite values, each once, in ascending order."""
    upto: NDArray[np.int64]
    """The number of rows with that value or a smaller one."""
    rows: int
    filled: int
    nonfinite: int

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """The quantiles of the finite values at these shares, by linear interpolation."""
        return _quantiles(self.values, self.upto, shares)

    def bins(self, edges: Sequence[float]) -> dict[str, int]:
        """The number of rows in each bin of a distribution with these edges."""
        import numpy as np

        finite = self.filled - self.nonfinite
        places = np.searchsorted(self.values, edges, side="right")
        upto = [0, *(int(self.upto[place - 1]) if place else 0 for place in places), finite]
        bins = {str(place): after - before for place, (before, after) in enumerate(pairwise(upto))}
        return {**bins, ABSENT: self.rows - finite}

    def log_moments(self) -> LogMoments:
        """Variance and skewness. They are None if there are too few values, or if nothing varies.

        The skewness is corrected for the size of the sample (Joanes and Gill 1998, G1). The errors hold for large
        samples of any distribution, by the delta method. With standardised z, the error of the skewness g is the root
        mean square of z^3 - g - 3 z - 1.5 g (z^2 - 1), and that of the logarithm of the variance is the root mean
        square of z^2 - 1.
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
        """The number of rows whose ln |x| is more than 3.5 robust sigmas from the median.

        The sigma is that of the median absolute deviation. Zeros do not count. Half or twice the usual size is never an
        outlier.
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
    quantiles = []
    for share in shares:
        place = share * last
        low, high = (
            float(values[upto.searchsorted(rank, side="right")]) for rank in (int(place), ceil(place))
        )
        quantiles.append(low + (high - low) * (place - int(place)))
    return quantiles


def measure(
    connection: duckdb.DuckDBPyConnection,
    source: Fragment,
    kinds: Mapping[str, Kind],
    baseline: Profile | None,
) -> dict[str, Measures]:
    """Measure the columns of a table expression. Returns the measures by column."""
    measures: dict[str, Measures] = {}
    for name, kind in kinds.items():
        known = baseline.columns.get(name) if baseline else None
        edges = known.edges if known is not None and known.kind == kind else None
        if kind == "numbers":
            measures[name] = _measure_numbers(connection, source, name, edges)
        else:
            measures[name] = _measure_words(connection, source, name)
    return measures


def count_units(connection: duckdb.DuckDBPyConnection, source: Fragment, unit: Fragment) -> int:
    """The number of independent rows that carry as much information as these, if rows of one `unit` are similar.

    `unit` is an expression, such as the player. The result is Kish's effective number of units (Survey Sampling, 1965).
    It is the number of units if all have equally many rows, and less otherwise.
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

    counted_rows = connection.execute(
        render("quality/count_values", column=identifier(name), source=source)
    ).fetchnumpy()
    values, counts = np.ma.filled(counted_rows["value"], np.nan), np.asarray(counted_rows["rows"])
    is_null = np.ma.getmaskarray(counted_rows["value"])
    is_finite = np.isfinite(values)
    rows, absent = int(counts.sum()), int(counts[is_null].sum())
    # -0.0 counts as 0.
    values, counts = _ascending(values[is_finite] + 0.0, counts[is_finite])
    return Counted(
        values=values,
        upto=counts.cumsum(),
        rows=rows,
        filled=rows - absent,
        nonfinite=rows - absent - int(counts.sum()),
    )


def _measure_words(connection: duckdb.DuckDBPyConnection, source: Fragment, name: str) -> Measures:
    counted_rows = connection.execute(
        render("quality/count_words", column=identifier(name), source=source)
    ).fetchall()
    words = {value: rows for value, rows, *_ in counted_rows if value is not None}
    absent = sum(rows for value, rows, *_ in counted_rows if value is None)
    distinct, rows = (counted_rows[0][2], int(counted_rows[0][3])) if counted_rows else (0, 0)
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
