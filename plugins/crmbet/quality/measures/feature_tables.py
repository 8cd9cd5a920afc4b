"""Small tables about the feature table, for ordinary expectations to judge. They are about what disturbs models.

feature_profile   one row per feature: how it is filled, whether it varies, how large it gets
feature_set       one row: how many features a model could use
feature_pairs     one row per pair of numeric features: their correlation
feature_drift     one row per feature: how far it is from its baseline
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from crmbet.contracts.table import TableContract
from crmbet.databases.statements import Fragment, identifier, joined, render
from crmbet.quality.known import Known
from crmbet.quality.measures.profile import Kind, Measures, Profile, measure
from crmbet.quality.measures.tables import (
    DRIFT_MEASURES,
    SHAPE_MEASURES,
    Compared,
    create_drift,
    create_table,
)

if TYPE_CHECKING:
    import duckdb

NUMBERS = frozenset({"integer", "smallint", "real", "r01", "money"})
ROWS_AT_ONCE = 65_536
"""Rows that the correlation holds in memory. With a hundred features they take 50 MB."""


def feature_kinds(table: TableContract) -> dict[str, Kind]:
    """Whether each feature of the contract is numbers or words."""
    return {name: "numbers" if column.type in NUMBERS else "words" for name, column in table.features.items()}


@dataclass(frozen=True)
class MeasuredFeatures:
    """The distributions of a feature table."""

    profile: Profile
    compared: Sequence[Compared]
    """Each feature and its baseline. Empty if there is none, or if the table is not mature."""


def create_feature_tables(
    connection: duckdb.DuckDBPyConnection,
    source: Fragment,
    table: TableContract,
    known: Known,
    baseline: Profile | None,
    *,
    min_feature_fill: float,
    absent: frozenset[str] = frozenset(),
    is_mature: bool = True,
) -> MeasuredFeatures:
    """Create the tables from the feature table `source`. Returns its distributions.

    A table is not mature if it has few players, or if its windows are not full yet. Its figures that only a population
    can show are left empty: constant and sparse features, outliers, correlation and drift.

    `absent` are features whose source the operator does not deliver. They are not judged for being empty. Without a
    baseline the features are compared with themselves.
    """
    baseline = baseline if is_mature else None
    measures = measure(connection, source, feature_kinds(table), baseline)
    rows = next(iter(measures.values())).rows if measures else 0
    own = Profile(units=rows, columns={name: of.distribution for name, of in measures.items()})
    unbounded = {name for name, column in table.features.items() if column.maximum is None}
    population = measures if is_mature else {}
    _create_profile(connection, measures, known, absent=absent, unbounded=unbounded, population=population)
    usable = sum(
        of.distinct > 1 and of.nonfinite == 0 and of.filled >= min_feature_fill * of.rows
        for of in measures.values()
    )
    create_table(connection, "feature_set", {"usable_features": ("int64", [usable if is_mature else None])})
    varying = [name for name, of in measures.items() if of.kind == "numbers" and of.distinct > 1]
    _create_pairs(connection, source, varying, known, is_mature=is_mature)
    compared = [
        Compared({"feature": name}, name, of, rows, baseline or own, excused=_excused_moves(known, name))
        for name, of in measures.items()
    ]
    create_drift(connection, "feature_drift", compared)
    return MeasuredFeatures(own, compared if baseline else ())


def _excused_moves(known: Known, feature: str) -> tuple[str, ...]:
    if known.excuses(feature, "drift"):
        return DRIFT_MEASURES
    return SHAPE_MEASURES if known.excuses(feature, "shape") else ()


def _create_profile(
    connection: duckdb.DuckDBPyConnection,
    measures: Mapping[str, Measures],
    known: Known,
    *,
    absent: frozenset[str],
    unbounded: set[str],
    population: Mapping[str, Measures],
) -> None:
    """Create `feature_profile`.

    `unbounded` are the features without an upper limit; only they are judged for outliers. A feature that is not in
    `population` has no figures that need a population.
    """
    judged = {name: of for name, of in population.items() if of.filled or name not in absent}

    def share(part: int, whole: int) -> float:
        return part / whole if whole else 0.0

    columns: dict[str, tuple[str, list[Any]]] = {
        "feature": ("string", list(measures)),
        "distinct_values": (
            "int64",
            [
                of.distinct if name in judged and not known.excuses(name, "constant") else None
                for name, of in measures.items()
            ],
        ),
        "filled_share": (
            "float64",
            [
                share(of.filled, of.rows) if name in judged and not known.excuses(name, "sparse") else None
                for name, of in measures.items()
            ],
        ),
        "nonfinite": ("int64", [of.nonfinite for of in measures.values()]),
        "largest_magnitude": ("float64", [of.largest_magnitude for of in measures.values()]),
        "category_values": (
            "int64",
            [
                of.distinct if of.kind == "words" and not known.excuses(name, "cardinality") else None
                for name, of in measures.items()
            ],
        ),
        "largest_class_share": (
            "float64",
            [
                share(of.largest_class, of.filled)
                if name in population
                and of.kind == "words"
                and of.filled
                and not known.excuses(name, "class_share")
                else None
                for name, of in measures.items()
            ],
        ),
        "outlier_share": (
            "float64",
            [
                share(of.outliers, of.filled)
                if name in population
                and of.kind == "numbers"
                and name in unbounded
                and not known.excuses(name, "outliers")
                else None
                for name, of in measures.items()
            ],
        ),
    }
    create_table(connection, "feature_profile", columns)


def _create_pairs(
    connection: duckdb.DuckDBPyConnection,
    source: Fragment,
    names: list[str],
    known: Known,
    *,
    is_mature: bool,
) -> None:
    correlated = correlate(connection, source, names)
    pairs = [(a, b, r) for (a, b), r in correlated.items() if r is not None and not known.has_pair(a, b)]
    create_table(
        connection,
        "feature_pairs",
        {
            "a": ("string", [a for a, _, _ in pairs]),
            "b": ("string", [b for _, b, _ in pairs]),
            "abs_r": ("float64", [abs(r) if is_mature else None for _, _, r in pairs]),
        },
    )


def correlate(
    connection: duckdb.DuckDBPyConnection, source: Fragment, names: list[str]
) -> dict[tuple[str, str], float | None]:
    """Pearson's r of sign(x) ln(1 + |x|) for every pair, over the rows that have both; None if one is constant there.

    It multiplies matrices of many rows, which is several times faster than an aggregate for each pair.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    if len(names) < 2:
        return {}
    logged = [
        Fragment(f"coalesce(sign({name}) * ln(1 + abs({name})), 'nan'::DOUBLE)::DOUBLE")
        for name in (f"{identifier(each)}::DOUBLE" for each in names)
    ]
    reader = connection.execute(
        render("quality/select_logged", columns=joined(logged), source=source)
    ).to_arrow_reader(ROWS_AT_ONCE)
    size = len(names)
    n, sums, squares, products = (np.zeros((size, size)) for _ in range(4))
    # The matrices are small. Threads would not help, and would wait for each other on a busy machine.
    with threadpool_limits(1, user_api="blas"):
        for batch in reader:
            # One row per feature. Filling columns one by one would touch memory all over.
            values = np.stack([column.to_numpy(zero_copy_only=False) for column in batch.columns])
            there = np.isfinite(values)
            values[~there] = 0.0
            mask = there.astype(float)
            n += mask @ mask.T
            sums += values @ mask.T
            squares += (values * values) @ mask.T
            products += values @ values.T
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = products - sums * sums.T / n
        variance = squares - sums * sums / n
        # The variance of a constant is only rounding.
        varies = variance > 1e-9 * squares
        r = np.where(varies & varies.T, covariance / np.sqrt(variance * variance.T), np.nan)
    return {
        (names[i], names[j]): float(r[i, j]) if np.isfinite(r[i, j]) else None
        for i, j in combinations(range(size), 2)
    }
