"""Days in segments: whoever reads a day gets its newest rows and no others, however the days share files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.databases.work import Work
from crmbet.datasets import segments
from crmbet.datasets.days import WantedDay, unmade_day, write_days, write_segment
from crmbet.datasets.records import DayFiles, Segment
from crmbet.datasets.segments import chosen_days, find_days, join_months, rows_of_days
from crmbet.datasets.sending import sending
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight
from tests.sql.lake_folder import FolderStore
from tests.tiers import examples

pytestmark = pytest.mark.sql

FIRST = date(2026, 1, 28)
"""Three days of January, which is over as of the first day of March, as February is."""
AS_OF = date(2026, 3, 1)
SETTINGS = Settings.of(lake_bucket="none", brand="acme")
VERSION = "version"

Batch = Mapping[date, tuple[int, int]]
"""Days made together: each with the version of its inputs, and how many rows it has."""


def work_at(engine: duckdb.DuckDBPyConnection, store: Any, known_at: datetime) -> Work:
    window = Window(as_of_date=AS_OF, as_of=midnight(AS_OF, SETTINGS.zone))
    run = Run(run_id="r", window=window, known_at=known_at, params=RunParams(), settings=SETTINGS)
    return Work(run=run, store=store, connection=engine)


def make(work: Work, batch: Batch) -> None:
    """Write a segment, as a batch of a run does."""
    wanted = {day: WantedDay(digest=f"{version}", rows=rows) for day, (version, rows) in batch.items()}
    selects = [
        f"SELECT DATE '{day}' AS _day, {version} AS {VERSION}, unnest(range({rows})) AS number"
        for day, (version, rows) in batch.items()
    ]
    query = f"{' UNION ALL '.join(selects)} ORDER BY _day, number"
    with sending(work.store, work.run.settings) as outgoing:
        made = write_days(work, "state", query, wanted, outgoing)
    _, done_files = find_days(work.store, work.run.layout, "state", {})
    write_segment(done_files, work.run.layout, "state", made)


def rows(engine: duckdb.DuckDBPyConnection, store: Any, days: list[DayFiles]) -> dict[date, tuple[int, int]]:
    """What is read of each day: the version, and the number of rows."""
    found = rows_of_days(store, days)
    if found is None:
        return {}
    counted = engine.execute(f"SELECT _day, any_value({VERSION}), count(*) FROM {found} GROUP BY _day")
    return {day: (version, count) for day, version, count in counted.fetchall()}


@settings(max_examples=examples(6, full=25))
@given(
    batches=st.lists(
        st.dictionaries(
            st.integers(0, 8).map(lambda offset: FIRST + timedelta(days=offset)),
            st.tuples(st.integers(1, 3), st.integers(0, 3)),
            min_size=1,
        ),
        min_size=1,
        max_size=5,
    ),
    few=st.integers(1, 3),
)
def test_every_day_is_read_as_it_was_made_last_also_after_months_are_joined(
    engine: duckdb.DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[Batch],
    few: int,
) -> None:
    store: Any = FolderStore(tmp_path_factory.mktemp("store"))
    expected: dict[date, tuple[int, int]] = {}
    for number, batch in enumerate(batches):
        work = work_at(engine, store, datetime(2026, 3, 1, number, tzinfo=UTC))
        make(work, batch)
        expected |= batch
    digests = {day: f"{version}" for day, (version, _) in expected.items()}
    read = {day: found for day, found in expected.items() if found[1]}

    days, done_files = find_days(store, work.run.layout, "state", digests)

    assert days.keys() == expected.keys()
    assert rows(engine, store, list(days.values())) == read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "FEW_FILES", few)
        joined = join_months(work, "state", [days[day] for day in sorted(days)], done_files)
    assert rows(engine, store, joined) == read
    for month in {day.replace(day=1) for day in read}:
        files = {key for day in joined if day.day.replace(day=1) == month for key in day.files}
        assert len(files) <= few
    again, _ = find_days(store, work.run.layout, "state", digests)
    assert [again[day] for day in sorted(again)] == joined, "every reader chooses the same"
    for day in joined:
        assert rows(engine, store, [day]) == ({day.day: read[day.day]} if day.day in read else {})


@pytest.mark.parametrize(
    ("month", "most_rows", "most_files"),
    [(3, segments.JOINED_ROWS, 7), (1, 13, 7)],
    ids=["not over", "more rows than one task joins"],
)
def test_some_months_are_left_alone(
    engine: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    month: int,
    most_rows: int,
    most_files: int,
) -> None:
    store: Any = FolderStore(tmp_path)
    work = work_at(engine, store, datetime(2026, 3, 1, tzinfo=UTC))
    week = [date(2026, month, number) for number in range(1, 8)]
    for day in week:
        make(work, {day: (1, 2)})
    days, done_files = find_days(store, work.run.layout, "state", dict.fromkeys(week, "1"))
    monkeypatch.setattr(segments, "JOINED_ROWS", most_rows)
    monkeypatch.setattr(segments, "MANY_FILES", most_files)

    joined = join_months(work, "state", [days[day] for day in week], done_files)

    assert joined == [days[day] for day in week]


def test_a_month_that_lasts_is_joined_once_its_days_lie_in_many_files(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "MANY_FILES", 3)
    store: Any = FolderStore(tmp_path)
    work = work_at(engine, store, datetime(2026, 3, 9, tzinfo=UTC))
    files = []
    for number in range(1, 8):
        make(work, {date(2026, 3, number): (1, 2)})
        week = {date(2026, 3, day): "1" for day in range(1, number + 1)}
        days, done_files = find_days(store, work.run.layout, "state", week)
        joined = join_months(work, "state", [days[day] for day in week], done_files)
        files.append(len({key for day in joined for key in day.files}))
        assert rows(engine, store, joined) == dict.fromkeys(week, (1, 2))

    assert files == [1, 2, 3, 1, 2, 3, 1]


def test_of_files_made_at_one_instant_those_joined_last_count() -> None:
    made_at = datetime(2026, 3, 1, tzinfo=UTC)
    layout_run: Any = type("R", (), {"known_at": made_at})
    small = unmade_day(layout_run, FIRST, "a").model_copy(update={"files": ["small"]})
    large = unmade_day(layout_run, FIRST, "a").model_copy(update={"files": ["large"], "days_in_files": 2})
    other = unmade_day(layout_run, FIRST + timedelta(days=1), "b")
    newer = small.model_copy(update={"files": ["newer"], "made_at": made_at + timedelta(hours=1)})
    kept = {
        "1": Segment(days=[large, other], joined_at=made_at + timedelta(days=1)),
        "2": Segment(days=[small]),
    }

    assert chosen_days(kept, lambda day: day.digest == "a") == {FIRST: large}
    assert chosen_days(kept | {"0": Segment(days=[newer])}, lambda _: True)[FIRST] == newer
