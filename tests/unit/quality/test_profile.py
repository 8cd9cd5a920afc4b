"""What is worked out from the counts of a column's values is what the engine's own aggregates say of its rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import duckdb
import pytest

from crmbet.databases.statements import Fragment
from crmbet.quality.measures.profile import count_units, measure

pytestmark = pytest.mark.unit

NUMBERS = {
    "money, which repeats": "round(exp(hash(i, 1) % 1000 / 150.0), 2)",
    "both signs": "round(hash(i, 2) % 2001 - 700.0, 1) / 7",
    "mostly nothing": "if(hash(i, 3) % 4 = 0, hash(i, 4) % 90 + 1, 0)",
    "with gaps": "if(hash(i, 5) % 3 = 0, NULL, hash(i, 6) % 1000003 / 13.0)",
    "with what is no number": "if(hash(i, 7) % 9 < 2, ['nan', 'inf'][1 + i % 2], (hash(i, 8) % 500)::VARCHAR)",
}
ENGINE = """
SELECT
    count(*), count(value), count(*) FILTER (NOT isfinite(value)), max(abs(number)),
    quantile_cont(number, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]), quantile_cont(number, [0.25, 0.5, 0.75]),
    var_pop(logged), skewness(logged), median(magnitude), mad(magnitude), list(number)
FROM (
    SELECT
        value, CASE WHEN isfinite(value) THEN value END AS number,
        sign(number) * ln(1 + abs(number)) AS logged, ln(abs(nullif(number, 0))) AS magnitude
    FROM numbers
)
"""


@pytest.mark.parametrize("values", NUMBERS.values(), ids=NUMBERS)
def test_figures_of_numbers_are_the_engines(values: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE TABLE numbers AS SELECT ({values})::DOUBLE AS value FROM range(5000) _(i)"
        )
        found = measure(connection, Fragment("numbers"), {"value": "numbers"}, None)["value"]
        expected = connection.execute(ENGINE).fetchone()

    assert expected is not None
    rows, filled, nonfinite, largest, deciles, quartiles, variance, skew, usual, deviation, numbers = expected
    spread = found.distribution
    assert (found.rows, found.filled, found.nonfinite, found.largest_magnitude) == (
        rows,
        filled,
        nonfinite,
        largest,
    )
    assert spread.edges == pytest.approx(sorted(set(deciles)), rel=1e-12)
    assert spread.quartiles == pytest.approx(quartiles, rel=1e-12)
    assert (spread.variance, spread.skew) == pytest.approx((variance, skew), rel=1e-9)
    assert sum(spread.bins.values()) == rows
    assert list(spread.bins.values()) == _binned(numbers, spread.edges, rows)
    assert found.outliers == sum(
        abs(math.log(abs(number)) - usual) > 3.5 * max(math.log(2), 1.4826 * deviation)
        for number in numbers
        if number
    )


def _binned(numbers: Iterable[float | None], edges: list[float], rows: int) -> list[int]:
    known = [number for number in numbers if number is not None]
    counts = [sum(number <= edge for number in known) for edge in edges]
    upto = [0, *counts, len(known)]
    bins = [after - before for before, after in pairwise(upto)]
    return [*bins, rows - len(known)]


@pytest.mark.parametrize(
    ("values", "distinct"), [("NULL::DOUBLE", 0), ("7::DOUBLE", 1), ("'nan'::DOUBLE", 0)]
)
def test_a_column_of_nothing_or_one_number_has_no_skew(values: str, distinct: int) -> None:
    with duckdb.connect() as connection:
        rows = Fragment(f"(SELECT {values} AS value FROM range(10))")
        found = measure(connection, rows, {"value": "numbers"}, None)["value"]

    assert (found.rows, found.distinct, found.distribution.skew) == (10, distinct, None)
    assert sum(found.distribution.bins.values()) == 10


def test_a_table_without_rows_has_no_figures() -> None:
    with duckdb.connect() as connection:
        rows = Fragment("(SELECT 1::DOUBLE AS value WHERE false)")
        found = measure(connection, rows, {"value": "numbers"}, None)["value"]

    assert (found.rows, found.filled, found.largest_magnitude, found.outliers) == (0, 0, None, 0)
    assert found.distribution.variance is None


@pytest.mark.parametrize(
    ("value", "variance_error", "skew_error"),
    [
        # Of a normal distribution the roots of 2 and 6; a bounded one errs less, a heavy tail far more.
        ("exp(3 + 0.5 * sqrt(-2 * ln(u)) * cos(2 * pi() * v)) - 1", math.sqrt(2), math.sqrt(6)),
        ("exp(3 + u) - 1", math.sqrt(0.8), math.sqrt(27 / 7 - 1.8)),
    ],
    ids=["normal", "uniform"],
)
def test_errors_of_variance_and_skew_are_those_of_large_samples(
    value: str, variance_error: float, skew_error: float
) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE TABLE numbers AS SELECT {value} AS value FROM (SELECT (hash(i) % 1000000 + 1) / 1000001 AS u, "
            "(hash(i, 2) % 1000000) / 1000000 AS v FROM range(200000) _(i))"
        )
        spread = measure(connection, Fragment("numbers"), {"value": "numbers"}, None)["value"].distribution
    assert spread.variance_error == pytest.approx(variance_error, rel=0.02)
    assert spread.skew_error == pytest.approx(skew_error, rel=0.03)


@pytest.mark.parametrize(
    ("rows", "units"),
    [("range(10)", 10), ("(SELECT greatest(range - 9, 0) AS range FROM range(20))", 4), ("range(0)", 0)],
)
def test_units_that_have_most_of_the_rows_are_worth_little_more_than_themselves(
    rows: str, units: int
) -> None:
    """Kish: (10 + 10 * 1)^2 / (10^2 + 10 * 1^2) is 3.6."""
    with duckdb.connect() as connection:
        assert count_units(connection, Fragment(rows), Fragment("range")) == units
