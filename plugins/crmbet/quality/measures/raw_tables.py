"""Small tables about what the sources delivered, which ordinary expectations judge.

raw_sources      a row a source: how much it brought for the day, against the same weekday before, and how new it is
raw_days         a row a source and earlier day that has changed: what the day is worth
raw_references   a row a source and player of the day: whether the players' snapshot knows the player
raw_drift        a row a source and column: how far it is from the baseline of the weekday
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from typing import TYPE_CHECKING, Any

from crmbet.contracts.source import SourceContract
from crmbet.databases.statements import Fragment, identifier, joined, literal, render
from crmbet.extract.records import UNDATED, SourceCaptures
from crmbet.quality.measures.profile import Kind, Measures, Profile, count_units, measure
from crmbet.quality.measures.tables import Compared, create_drift, create_table
from crmbet.run.run import Run
from crmbet.run.window import midnight

if TYPE_CHECKING:
    import duckdb

USUAL_WEEKS = 8
"""Weeks before the day whose same weekday says what is usual."""
LEAST_WEEKS = 3
"""With fewer of them nothing is usual yet."""
CHANCE = 3
"""Standard deviations of a count that are chance."""
BUSY = 30
"""Rows a day from which on a day without any is no chance, and players whose behaviour can be compared."""


def drifting_kinds(contract: SourceContract) -> dict[str, Kind]:
    """The columns of a source whose distribution means something: no ids, no times, no personal data."""
    kinds: dict[str, Kind] = {}
    for name, column in contract.columns.items():
        if column.personal:
            continue
        if column.type in ("integer", "decimal", "real"):
            kinds[name] = "numbers"
        elif column.type in ("enum", "boolean"):
            kinds[name] = "words"
    return kinds


def create_sources(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    captured: Mapping[str, SourceCaptures],
    contracts: Mapping[str, SourceContract],
    snapshot_ages: Mapping[str, int],
) -> None:
    """How much each captured source brought, by what was counted when it was captured.

    `snapshot_ages` are days from the newest snapshot of a source to the run's last day.
    """
    rows: list[tuple[Any, ...]] = []
    for name, of in captured.items():
        volume, newest, future = _delivered(run, contracts[name], of)
        rows.append((name, volume, newest, future, snapshot_ages.get(name)))
    columns: dict[str, tuple[str, list[Any]]] = {
        "source": ("string", [row[0] for row in rows]),
        "volume": ("float64", [row[1] for row in rows]),
        "newest_until": ("timestamp[us]", [row[2] for row in rows]),
        "future_share": ("float64", [row[3] for row in rows]),
        "snapshot_age_days": ("int64", [row[4] for row in rows]),
    }
    create_table(connection, "raw_sources", columns)


def _delivered(
    run: Run, contract: SourceContract, captured: SourceCaptures
) -> tuple[float | None, datetime | None, float | None]:
    """A source's volume against the usual one, the end of its newest day before as_of, its share of future rows.

    None where that cannot be told: for a snapshot, of a young source, or of one that is quiet by nature.
    """
    if contract.event_time is None:
        return None, None, None
    last_day = run.window.last_day
    by_day: Counter[date] = Counter()
    for capture in captured.captures:
        for iso, count in capture.days.items():
            if iso != UNDATED:
                by_day[date.fromisoformat(iso)] += count.rows
    first = min(by_day, default=last_day)
    before = [last_day - timedelta(weeks=weeks) for weeks in range(1, USUAL_WEEKS + 1)]
    same = [by_day[day] for day in before if day >= first]
    usual = statistics.median(same) if len(same) >= LEAST_WEEKS else None
    volume = (by_day[last_day] + CHANCE * sqrt(usual)) / usual if usual else None
    past = [day for day, rows in by_day.items() if day <= last_day and rows]
    newest = None
    if past and (contract.required or (usual or 0) >= BUSY):
        newest = (
            midnight(max(past) + timedelta(days=1), run.settings.zone).astimezone(UTC).replace(tzinfo=None)
        )
    return volume, newest, _future_share(run, captured)


def _future_share(run: Run, captured: SourceCaptures) -> float | None:
    """Rows on days after the one on which the run looked, among the rows of the chunks of the last day.

    Of PostgreSQL, which keeps them from day to day, among all rows.
    """
    if captured.future:
        return captured.future / (captured.future + captured.extracted)
    today = run.known_at.astimezone(run.settings.zone).date()
    judged = [capture for capture in captured.captures if run.window.last_day.isoformat() in capture.days]
    rows = [
        (date.fromisoformat(iso) > today, count.rows)
        for capture in judged
        for iso, count in capture.days.items()
        if iso != UNDATED
    ]
    total = sum(count for _, count in rows)
    return sum(count for later, count in rows if later) / total if total else None


def judge_days(
    connection: duckdb.DuckDBPyConnection, contract: SourceContract, rows: Fragment
) -> list[tuple[Any, ...]]:
    """What each day of some typed rows is worth: day, and the shares that `create_days` lists."""
    required = [identifier(name) for name, column in contract.columns.items() if column.required]
    key = [identifier(name) for name in contract.business_key]
    keyed = Fragment(" AND ".join(f"{name} IS NOT NULL" for name in key))
    statement = render(
        "quality/judge_days",
        rows=rows,
        filled=joined([Fragment(f"count({name})") for name in required]),
        keyed=keyed,
        keyless=Fragment(f"NOT ({keyed}) OR user_id IS NULL"),
        key=joined(key),
    )
    found = connection.execute(statement).fetchall()
    return [(contract.name, day.isoformat(), *shares) for day, _, *shares in sorted(found)]


def create_days(connection: duckdb.DuckDBPyConnection, days: Sequence[tuple[Any, ...]]) -> None:
    """The table of changed days."""
    names = ("source", "day", "filled_share", "keyless_share", "copy_share", "fault_share")
    types = ("string", "string", *("float64",) * 4)
    create_table(
        connection,
        "raw_days",
        {name: (types[place], [day[place] for day in days]) for place, name in enumerate(names)},
    )


def mark_repeated(
    connection: duckdb.DuckDBPyConnection,
    contract: SourceContract,
    judged: Fragment,
    earlier: Fragment | None,
) -> Fragment:
    """SELECT of the judged rows with `_also_on`: the newest earlier day that has the same business key, else NULL.

    Cleaning removes the copies of a key within a day; a key on two days would count twice. `earlier` are rows of
    earlier days, None if there are none.
    """
    if earlier is not None:
        key = [identifier(name) for name in contract.business_key]
        repeated = identifier(f"repeated_{contract.name}")
        rows = Fragment(
            render(
                "quality/find_repeated",
                key=joined(key),
                keyed=Fragment(" AND ".join(f"{name} IS NOT NULL" for name in key)),
                earlier=earlier,
                judged=judged,
            )
        )
        connection.execute(render("databases/create_table", name=repeated, rows=rows))
        # Usually there is none, and every pass over the rows is spared a join.
        if connection.execute(render("databases/read_rows", source=repeated)).fetchone():
            return Fragment(
                render("quality/mark_repeated", judged=judged, repeated=repeated, key=joined(key))
            )
    return Fragment(render("quality/mark_none", judged=judged))


def create_references(connection: duckdb.DuckDBPyConnection, sources: Sequence[str]) -> None:
    """Who of the day's players is known; `raw_players` and the sources' views are there."""
    parts = [
        render("quality/find_players", source=literal(name), rows=identifier(f"raw_{name}"))
        for name in sources
    ]
    rows = Fragment("\nUNION ALL\n".join(parts))
    connection.execute(render("databases/create_table", name=identifier("raw_references"), rows=rows))


@dataclass(frozen=True)
class MeasuredSource:
    """The distributions of a source's rows."""

    measures: Mapping[str, Measures]
    units: int
    """Players, on a day, behind the rows."""

    @property
    def profile(self) -> Profile:
        """What a baseline keeps of it."""
        return Profile(
            units=self.units, columns={name: of.distribution for name, of in self.measures.items()}
        )


def measure_source(
    connection: duckdb.DuckDBPyConnection,
    contract: SourceContract,
    rows: Fragment,
    baseline: Profile | None = None,
) -> MeasuredSource:
    """Measure the columns of a source's typed rows, given as a table expression."""
    return MeasuredSource(
        measure(connection, rows, drifting_kinds(contract), baseline),
        count_units(connection, rows, Fragment("hash(user_id, _day)")),
    )


def create_raw_drift(
    connection: duckdb.DuckDBPyConnection,
    measured: Mapping[str, MeasuredSource],
    baselines: Mapping[str, Profile],
) -> bool:
    """Make the table of distances of the sources that enough players are behind; False if there is none.

    A source that the baseline does not know has no distance.
    """
    compared = [
        Compared({"source": name, "feature": column}, column, of, source.units, baseline)
        for name, source in measured.items()
        if source.units >= BUSY
        for baseline in [baselines.get(name) or Profile(units=0, columns={})]
        for column, of in source.measures.items()
    ]
    if compared:
        create_drift(connection, "raw_drift", compared)
    return bool(compared)
