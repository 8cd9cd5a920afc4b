"""How far a zone's clock is from UTC, month by month: adding that to an instant is ten times faster than asking for it.

Months are those of `shifted_time` in include/sql/create_parsers.sql, of 2^41 microseconds, which are 25 days. A month
in which the clock is changed has no shift, so that the engine is asked for each of its instants.
"""

from __future__ import annotations

from functools import cache

from crmbet.databases.statements import Fragment, literal, render


@cache
def zone_shifts(zone: str) -> Fragment:
    """A list of microseconds, one for each month from 1970 to 2100, as the engine's own table of zones has it."""
    import duckdb

    with duckdb.connect() as connection:
        query = render("databases/list_zone_shifts", zone=literal(zone))
        (shifts,) = connection.execute(query).fetchone() or ("[]",)
    return Fragment(f"{literal(shifts)}::BIGINT[]")
