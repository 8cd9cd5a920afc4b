"""Small tables about what the sources delivered, for ordinary expectations to judge.

raw_sources      one row per source: its rows of the day compared with earlier weeks, how new its facts are, and the
                 share of bytes that were set aside
raw_days         one row per source and earlier day that changed: shares of filled, keyless, copied and faulty rows
raw_protection   one row per row of a source that may protect players: what of that cannot be read, and whether the row
                 then names a player who is known
raw_references   one row per source and player of the day: whether the players' snapshot has the player
raw_drift        one row per source and column: how far it is from the baseline of the weekday
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from typing import TYPE_CHECKING, Any

from crmbet.contracts.alike_ids import create_fold_id
from crmbet.contracts.source import SourceContract
from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statement
from crmbet.extract.records import UNDATED, SourceCaptures
from crmbet.quality.measures.profile import Kind, Measures, Profile, count_units, measure
from crmbet.quality.measures.tables import Compared, create_drift, create_table
from crmbet.run.run import Run
from crmbet.run.window import midnight
from crmbet.texts import ENGLISH, Texts

if TYPE_CHECKING:
    import duckdb

USUAL_WEEKS = 8
"""Weeks before the day; the median of their same weekdays is the usual volume."""
LEAST_WEEKS = 3
"""With fewer weeks than this there is no usual volume yet."""
ALLOWED_SIGMAS = 3
"""Standard deviations of a count by which a day may fall below the usual volume."""
BUSY = 30
"""From this many rows a day, a day without rows is not chance. From this many players, distributions are compared."""

PLAYERS = "players"
"""The source that lists all players."""


def drifting_kinds(contract: SourceContract) -> dict[str, Kind]:
    """The columns of a source whose distributions are compared: no ids, no times, no personal data."""
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
    """Create `raw_sources` from the counts of the captures and of the objects that were passed over.

    `snapshot_ages` are the days from the newest snapshot of a source to the run's last day.
    """
    rows: list[tuple[Any, ...]] = []
    for name, of in captured.items():
        volume, newest, future = _delivered(run, contracts[name], of)
        shares = (_passed_over_share(of), _set_aside_share(run, of))
        rows.append((name, volume, newest, future, snapshot_ages.get(name), *shares))
    columns: dict[str, tuple[str, list[Any]]] = {
        "source": ("string", [row[0] for row in rows]),
        "volume": ("float64", [row[1] for row in rows]),
        "newest_until": ("timestamp[us]", [row[2] for row in rows]),
        "future_share": ("float64", [row[3] for row in rows]),
        "snapshot_age_days": ("int64", [row[4] for row in rows]),
        "passed_over_share": ("float64", [row[5] for row in rows]),
        "set_aside_share": ("float64", [row[6] for row in rows]),
    }
    create_table(connection, "raw_sources", columns)


def _delivered(
    run: Run, contract: SourceContract, captured: SourceCaptures
) -> tuple[float | None, datetime | None, float | None]:
    """A source's volume relative to the usual one, the end of its newest day before as_of, its share of future rows.

    A figure is None if it cannot be known: for a snapshot, for a young source, or for a source that is usually quiet.
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
    volume = (by_day[last_day] + ALLOWED_SIGMAS * sqrt(usual)) / usual if usual else None
    past = [day for day, rows in by_day.items() if day <= last_day and rows]
    newest = None
    if past and (contract.required or (usual or 0) >= BUSY):
        newest = (
            midnight(max(past) + timedelta(days=1), run.settings.zone).astimezone(UTC).replace(tzinfo=None)
        )
    return volume, newest, _future_share(run, captured)


def _future_share(run: Run, captured: SourceCaptures) -> float | None:
    """The share of rows dated after the day of known_at, among the rows of the chunks that hold the last day.

    For PostgreSQL, which keeps such rows from day to day, it is their share among all rows.
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


def _passed_over_share(captured: SourceCaptures) -> float | None:
    """The share of objects whose ending no format has, among these and those that are read. Empty ones do not count.

    None for PostgreSQL, and for a run that goes back to what earlier runs captured.
    """
    passed_over = captured.passed_over.get("ending")
    if passed_over is None:
        return None
    read = {capture.chunk for capture in captured.captures} | {entry.chunk for entry in captured.unreadable}
    return passed_over.count / (passed_over.count + len(read))


def _set_aside_share(run: Run, captured: SourceCaptures) -> float | None:
    """The share of bytes that are no records, among the texts that are new or hold the last day; None without any.

    Their number of rows says little: what cannot be split counts as one row, however long it is.
    """
    last_day = run.window.last_day.isoformat()
    judged = [of for of in captured.captures if of.chunk in captured.changed or last_day in of.days]
    size = sum(of.size for of in judged)
    return sum(of.set_aside for of in judged) / size if size else None


def judge_days(
    connection: duckdb.DuckDBPyConnection, contract: SourceContract, rows: Fragment
) -> list[tuple[Any, ...]]:
    """The rows of `raw_days` for each day of some typed rows: source, day, and the shares that `create_days` lists."""
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
    days = connection.execute(statement).fetchall()
    return [(contract.name, day.isoformat(), *shares) for day, _, *shares in sorted(days)]


def create_days(connection: duckdb.DuckDBPyConnection, days: Sequence[tuple[Any, ...]]) -> None:
    """Create `raw_days`."""
    names = ("source", "day", "filled_share", "keyless_share", "copy_share", "fault_share", "discarded_share")
    types = ("string", "string", *("float64",) * 5)
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
    """A SELECT of the judged rows with `_also_on`: the newest earlier day that has the same business key, else NULL.

    Cleaning removes the copies of a key within a day, so a key on two days would count twice. `earlier` are the rows of
    earlier days, or None if there are none.
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
        # Usually no key is repeated. Then no pass over the rows needs a join.
        if connection.execute(render("databases/read_rows", source=repeated)).fetchone():
            return Fragment(
                render("quality/mark_repeated", judged=judged, repeated=repeated, key=joined(key))
            )
    return Fragment(render("quality/mark_none", judged=judged))


def create_references(connection: duckdb.DuckDBPyConnection, sources: Sequence[str]) -> None:
    """Create `raw_references`. The views `raw_players` and `raw_<source>` must exist."""
    parts = [
        render("quality/find_players", source=literal(name), rows=identifier(f"raw_{name}"))
        for name in sources
    ]
    rows = Fragment("\nUNION ALL\n".join(parts))
    connection.execute(render("databases/create_table", name=identifier("raw_references"), rows=rows))


def create_protection(connection: duckdb.DuckDBPyConnection, rows: Sequence[tuple[str, Fragment]]) -> None:
    """Create `raw_protection` from the typed rows of sources that may protect players: pairs of source and table."""
    create_fold_id(connection)
    parts = [
        render("quality/find_protection", source=literal(name), rows=table_expression)
        for name, table_expression in rows
    ]
    # A self-exclusion may be delivered where players are not: then nobody knows whom it should name.
    lists = [render("quality/select_known", rows=of) for name, of in rows if name == PLAYERS]
    protection = render(
        "quality/mark_known",
        players_source=literal(PLAYERS),
        rows=Fragment("\nUNION ALL\n".join(parts)),
        players=Fragment("\nUNION ALL\n".join(lists) or statement("quality/select_nobody")),
        is_known=Fragment(
            "coalesce(fold_id(user_id) IN (SELECT form FROM known), false)" if lists else "NULL::BOOLEAN"
        ),
    )
    connection.execute(
        render("databases/create_table", name=identifier("raw_protection"), rows=Fragment(protection))
    )


def describe_discarded(
    connection: duckdb.DuckDBPyConnection, contract: SourceContract, rows: Fragment, say: Texts = ENGLISH
) -> list[str]:
    """A sentence for each day and column of some typed rows with values that were there and became NULL."""
    tolerated = [name for name, column in contract.columns.items() if column.on_invalid == "null"]
    if not tolerated:
        return []
    names = "list_transform(_discarded, lambda entry: split_part(entry, ': ', 1))"
    counts = [Fragment(f"count(*) FILTER (list_contains({names}, {literal(name)}))") for name in tolerated]
    days = connection.execute(render("quality/count_discarded", rows=rows, counts=joined(counts))).fetchall()
    return [
        say(
            "{values} of {total} rows of {source} on {day} have a value of {name} that cannot be read and is left out.",
            values=say.figure(f"{values:,}"),
            total=say.figure(f"{total:,}"),
            source=contract.name,
            day=day,
            name=name,
        )
        for day, *counted, total in days
        for name, values in zip(tolerated, counted, strict=True)
        if values
    ]


@dataclass(frozen=True)
class MeasuredSource:
    """The distributions of a source's rows."""

    measures: Mapping[str, Measures]
    units: int
    """The effective number of players and days behind the rows (see `count_units`)."""

    @property
    def profile(self) -> Profile:
        """The part that a baseline keeps."""
        return Profile(
            units=self.units, columns={name: of.distribution for name, of in self.measures.items()}
        )


def measure_source(
    connection: duckdb.DuckDBPyConnection,
    contract: SourceContract,
    rows: Fragment,
    baseline: Profile | None = None,
) -> MeasuredSource:
    """Measure the columns of a source. `rows` is a table expression of its typed rows."""
    return MeasuredSource(
        measure(connection, rows, drifting_kinds(contract), baseline),
        count_units(connection, rows, Fragment("hash(user_id, _day)")),
    )


def create_raw_drift(
    connection: duckdb.DuckDBPyConnection,
    measured: Mapping[str, MeasuredSource],
    baselines: Mapping[str, Profile],
) -> bool:
    """Create `raw_drift` for the sources with enough players. Returns False if there are none.

    A source that is not in the baseline has no distances.
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
