"""Which days a run looks at: changes in recent days are found at once, older ones within thirty as_of dates."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from crmbet.extract.days_to_read import TURN_BEFORE_ALL, TURN_WITHOUT_DAY, TURNS, turn_of
from crmbet.extract.records import UNDATED
from crmbet.failures import LostConnection, SourceShrunk

pytestmark = pytest.mark.integration

AS_OF = date(2026, 8, 12)
OLD = date(2026, 1, 24)
"""Two hundred days before."""


@pytest.fixture
def months(table: Any, query: Any) -> None:
    """Ten transactions a day, on the sixty days before as_of and on twenty around OLD."""
    table()
    query(
        """
        INSERT INTO tbl_transactions
        SELECT gen_random_uuid(), 'u' || n, 1 + n, 'bet', 'completed', timestamp '2026-08-12' - n * interval '2.4 hours'
        FROM generate_series(1, 2100) AS n
        WHERE n <= 600 OR n > 1900
        """
    )


def date_of(turn: int) -> date:
    """The first as_of since August 12th that has this turn."""
    return next(
        day for day in (AS_OF + timedelta(days=n) for n in range(TURNS)) if day.toordinal() % TURNS == turn
    )


def date_of_another(turn: int) -> date:
    """An as_of that has another turn."""
    return date_of((turn + 7) % TURNS)


def change(query: Any, day: date) -> None:
    query(
        "UPDATE tbl_transactions SET status = 'cancelled' WHERE transaction_id = "
        "(SELECT transaction_id FROM tbl_transactions WHERE created_at >= %s ORDER BY created_at LIMIT 1)",
        day,
    )


def test_a_change_three_weeks_ago_is_found_by_the_next_run_and_alone_captured(
    months: None, query: Any, capture: Any
) -> None:
    capture()
    change(query, AS_OF - timedelta(days=21))

    found = capture()

    assert (found.new, found.changed) == (1, {"2026-07-22": "changed"})
    assert found.touched_days == ["2026-07-21"], "it was before three in the morning, UTC"


def test_a_change_200_days_ago_is_found_within_thirty_dates(months: None, query: Any, capture: Any) -> None:
    capture()
    change(query, OLD)
    its = date_of(turn_of(OLD))
    # Its neighbours in time, and every seventh date: that each day has one turn in thirty is a test of its own.
    dates = {AS_OF + timedelta(days=n) for n in range(0, TURNS, 7)}
    dates |= {its + timedelta(days=n) for n in (-1, 0, 1)}

    assert [as_of for as_of in sorted(dates) if capture(as_of=as_of).new] == [its]


def test_a_change_200_days_ago_is_found_at_once_if_asked_for(months: None, query: Any, capture: Any) -> None:
    first = capture()
    change(query, OLD)
    another = date_of_another(turn_of(OLD))
    assert capture(as_of=another).captures == first.captures

    found = capture(as_of=another, verify_all=True)

    assert found.changed == {str(OLD): "changed"}
    assert found.extracted == 800


def test_an_old_day_that_is_deleted_stops_the_run_whose_turn_it_is(
    months: None, query: Any, capture: Any
) -> None:
    capture()
    query("DELETE FROM tbl_transactions WHERE created_at::date = %s", OLD)
    assert capture(as_of=date_of_another(turn_of(OLD))).extracted == 800

    with pytest.raises(SourceShrunk, match=r"2026-01-24 \(10 rows before, gone now\)"):
        capture(as_of=date_of(turn_of(OLD)))
    with pytest.raises(SourceShrunk):
        capture(verify_all=True)
    assert capture(verify_all=True, source_deletions="remove").extracted == 790


def test_more_or_fewer_days_can_be_verified_in_every_run(months: None, query: Any, capture: Any) -> None:
    capture()
    change(query, AS_OF - timedelta(days=21))

    assert capture(settings={"verify_days": 7}, as_of=date(2026, 8, 13)).new == 0
    assert capture(settings={"verify_days": 30}, as_of=date(2026, 8, 13)).new == 1


def test_what_is_delivered_before_all_captures_is_found_within_thirty_dates(
    source: Any, add: Any, capture: Any
) -> None:
    capture()
    add("2019-05-05 12:00:00")
    add("0001-01-01 00:00:00")

    assert capture(as_of=date_of_another(TURN_BEFORE_ALL)).new == 0
    assert capture(as_of=date_of(TURN_BEFORE_ALL)).new == 2
    assert capture(verify_all=True).new == 0


def test_changed_rows_without_a_day_are_found_within_thirty_dates(
    source: Any, add: Any, capture: Any, query: Any
) -> None:
    add(None)
    capture()
    query("UPDATE tbl_transactions SET status = 'failed' WHERE created_at IS NULL")

    assert capture(as_of=date_of_another(TURN_WITHOUT_DAY)).new == 0
    assert capture(as_of=date_of(TURN_WITHOUT_DAY)).changed == {UNDATED: "changed"}


def test_the_first_rows_without_a_day_are_found_at_once(
    source: Any, add: Any, capture: Any, contents: Any
) -> None:
    capture()
    add("infinity")

    found = capture()

    assert found.changed == {UNDATED: "new"}


def test_an_old_day_without_captures_is_looked_at_in_every_run(
    months: None, add: Any, query: Any, capture: Any
) -> None:
    query("DELETE FROM tbl_transactions WHERE created_at::date = %s", OLD)
    capture()
    add(f"{OLD} 12:00:00")

    found = capture(as_of=date(2026, 8, 13))

    assert found.changed == {str(OLD): "new"}


def test_a_first_run_that_died_goes_on_under_the_next_as_of(
    months: None, capture: Any, contents: Any, uploads: list[Any]
) -> None:
    uploads += [lambda: None, lambda: None, _fail]
    with pytest.raises(LostConnection):
        capture()

    found = capture(as_of=date(2026, 8, 13))

    assert found.new == 80 - 60
    assert found.extracted == 800


def test_what_lies_after_as_of_is_not_captured_until_its_time_comes(
    source: Any, capture: Any, contents: Any, captured_rows: Any
) -> None:
    assert contents(capture(as_of=date(2026, 8, 9))) == {"2026-08-08": 3, "2026-08-09": 2}
    assert contents(capture(as_of=date(2026, 8, 11)))["2026-08-11"] == 1
    assert "2026-08-11" in contents(capture(as_of=date(2026, 8, 8))), "handed on, and left out by cleaning"


def test_rows_from_the_future_are_counted_and_told(
    source: Any, add: Any, capture: Any, contents: Any, caplog: pytest.LogCaptureFixture
) -> None:
    # The first run looks on August 12th.
    for instant in ("2026-08-12 23:59:59", "2026-08-13 00:00:00", "2099-12-31 00:00:00", "infinity"):
        add(instant)

    captures = capture()

    assert captures.future == 2
    assert max(day for day in contents(captures) if day != UNDATED) == "2026-08-12"
    assert "tbl_transactions has 2 rows dated after 2026-08-12" in caplog.text


def test_an_earlier_as_of_judges_no_later_day(source: Any, query: Any, capture: Any, contents: Any) -> None:
    first = capture()
    query("DELETE FROM tbl_transactions WHERE created_at >= '2026-08-11'")

    assert capture(as_of=date(2026, 8, 9)).captures == first.captures
    assert capture(as_of=date(2026, 8, 9), full_refresh=True).extracted == first.extracted


def test_the_index_serves_what_a_run_looks_at(
    months: None, query: Any, capture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crmbet.extract import postgres
    from crmbet.extract.relation import ask_postgres

    query("CREATE INDEX ON tbl_transactions USING brin (created_at)")
    capture()
    asked: list[str] = []

    def note_question(connection: Any, sql: str) -> Any:
        asked.append(sql)
        return ask_postgres(connection, sql)

    monkeypatch.setattr(postgres, "ask_postgres", note_question)

    capture()

    query("SET enable_seqscan = off")
    plan = "\n".join(row[0] for row in query("EXPLAIN " + asked[0].partition("\n\n")[0]))
    assert "Bitmap Index Scan" in plan
    assert "Seq Scan" not in plan


def _fail() -> None:
    raise LostConnection("S3 answered 503")
