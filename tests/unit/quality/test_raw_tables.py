"""What is told of a source before any of its rows is judged."""

from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb
import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.databases.statements import Fragment
from crmbet.extract.records import UNDATED, Capture, DayCount, SourceCaptures
from crmbet.quality.measures.raw_tables import create_sources, describe_discarded
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight

pytestmark = pytest.mark.unit


def test_future_rows_that_were_not_captured_have_a_share_in_all_rows() -> None:
    settings = Settings(lake_bucket="lake")
    as_of = midnight(date(2026, 8, 12), settings.zone)
    run = Run(
        run_id="r",
        window=Window(as_of_date=date(2026, 8, 12), as_of=as_of),
        known_at=datetime(2026, 8, 12, 6, tzinfo=UTC),
        params=RunParams(),
        settings=settings,
    )
    capture = Capture(
        source="transactions",
        chunk="2026-08-11",
        digest="d",
        files=["f"],
        extracted=30,
        days={"2026-08-11": DayCount(rows=30, fingerprint="1")},
        captured_at=run.known_at,
        made_at=run.known_at,
    )
    captured = {"transactions": SourceCaptures(captures=[capture], future=10)}

    with duckdb.connect() as connection:
        create_sources(connection, run, captured, load_source_contracts(), {})
        assert connection.execute("SELECT future_share FROM raw_sources").fetchall() == [(0.25,)]


def test_bytes_that_are_set_aside_count_among_what_is_new_or_holds_the_last_day() -> None:
    settings = Settings(lake_bucket="lake")
    as_of = datetime(2026, 8, 12, 3, tzinfo=UTC)
    run = Run(
        run_id="r",
        window=Window(as_of_date=date(2026, 8, 12), as_of=as_of),
        known_at=as_of,
        params=RunParams(),
        settings=settings,
    )

    def capture(chunk: str, day: str, size: int, set_aside: int) -> Capture:
        return Capture(
            source="bets",
            chunk=chunk,
            digest=chunk,
            files=["f"],
            extracted=1,
            size=size,
            set_aside=set_aside,
            days={day: DayCount(rows=1, fingerprint="1")},
            captured_at=run.known_at,
            made_at=run.known_at,
        )

    old = capture("old", "2026-08-01", 1000, 1000)
    last = capture("last", "2026-08-11", 700, 0)
    undated = capture("undated", UNDATED, 300, 150)
    parquet = capture("parquet", "2026-08-11", 0, 0)
    cases = [
        ([old, last], {}, 0.0),
        ([old, last, undated], {"undated": "new"}, 0.15),
        ([old], {}, None),
        ([parquet], {"parquet": "new"}, None),
    ]
    for captures, changed, share in cases:
        captured = {"bets": SourceCaptures(captures=captures, changed=changed)}
        with duckdb.connect() as connection:
            create_sources(connection, run, captured, load_source_contracts(), {})
            assert connection.execute("SELECT set_aside_share FROM raw_sources").fetchall() == [(share,)]


def test_values_that_are_left_out_are_counted_in_a_sentence() -> None:
    rows = Fragment("(SELECT DATE '2026-08-11' AS _day, ['consents: aaa', 'birth_date: 99'] AS _discarded)")
    contract = load_source_contracts()["players"]

    with duckdb.connect() as connection:
        told = describe_discarded(connection, contract, rows)

    assert told == [
        f"1 of 1 rows of players on 2026-08-11 have a value of {name} that cannot be read and is left out."
        for name in ("birth_date", "consents")
    ]
