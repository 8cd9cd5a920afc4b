"""Every way a run starts, with the context that Airflow 3.3 gives it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from crmbet.failures import BadParam
from crmbet.run.window import Start, Window, midnight, resolve_known_at, resolve_window
from tests.tiers import examples

pytestmark = pytest.mark.unit

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)

REPEATABLE = settings(derandomize=True, deadline=None, database=None)
ZONES = sorted(zone for zone in available_timezones() if "/" in zone)


def resolve(zone: ZoneInfo = SAO_PAULO, started_at: datetime = NOW, **context: Any) -> Window:
    instants: dict[str, Any] = {
        name: datetime.fromisoformat(value) if name != "as_of" and isinstance(value, str) else value
        for name, value in context.items()
        if name != "run_type"
    }
    return resolve_window(Start(run_type=context["run_type"], started_at=started_at, **instants), zone)


def test_scheduled_run_is_about_the_end_of_its_day() -> None:
    window = resolve(
        run_type="scheduled", logical_date="2026-11-21T03:00:00Z", data_interval_end="2026-11-22T03:00:00Z"
    )

    assert window == Window(as_of_date=date(2026, 11, 22), as_of=datetime(2026, 11, 22, 3, tzinfo=UTC))
    assert window.last_day == date(2026, 11, 21)


def test_backfill_of_a_day_is_about_its_end() -> None:
    window = resolve(
        run_type="backfill", logical_date="2026-03-05T03:00:00Z", data_interval_end="2026-03-06T03:00:00Z"
    )

    assert window.as_of_date == date(2026, 3, 6)


def test_a_weeks_scheduled_run_is_about_the_day_that_it_ends_on() -> None:
    # Sunday 05:00 in Sao Paulo to the next.
    window = resolve(
        run_type="scheduled", logical_date="2026-11-15T08:00:00Z", data_interval_end="2026-11-22T08:00:00Z"
    )

    assert window.as_of_date == date(2026, 11, 22)


def test_a_weeks_manual_run_is_about_its_date() -> None:
    window = resolve(
        run_type="manual", logical_date="2026-11-18T00:00:00Z", data_interval_end="2026-11-15T08:00:00Z"
    )

    assert window.as_of_date == date(2026, 11, 18)


# The second is what `airflow dags trigger --logical-date` left in November: its interval comes from the clock.
@pytest.mark.parametrize("interval_end", ["2026-03-05T03:00:00Z", "2026-11-22T03:00:00Z"])
def test_backfill_that_reuses_a_manual_run_ignores_the_interval_of_that_run(interval_end: str) -> None:
    window = resolve(run_type="backfill", logical_date="2026-03-05T03:00:00Z", data_interval_end=interval_end)

    assert window.as_of_date == date(2026, 3, 6)


@pytest.mark.parametrize(
    ("logical_date", "as_of_date"),
    [
        ("2026-11-20T17:45:12Z", date(2026, 11, 20)),
        ("2026-11-20T03:00:00Z", date(2026, 11, 20)),
        ("2026-11-21T02:59:59Z", date(2026, 11, 20)),
        ("2026-11-20T14:00:00-03:00", date(2026, 11, 20)),
    ],
)
def test_ui_or_rest_run_with_an_instant_is_about_the_midnight_before_it(
    logical_date: str, as_of_date: date
) -> None:
    interval_end = midnight(as_of_date, SAO_PAULO)

    window = resolve(run_type="manual", logical_date=logical_date, data_interval_end=interval_end)

    assert window.as_of_date == as_of_date


def test_a_bare_date_means_that_date_though_it_arrives_as_midnight_utc() -> None:
    # 00:00 UTC is 21:00 of the day before in Sao Paulo.
    window = resolve(
        run_type="manual", logical_date="2026-11-20T00:00:00Z", data_interval_end="2026-11-19T03:00:00Z"
    )

    assert window.as_of_date == date(2026, 11, 20)


def test_a_bare_date_east_of_greenwich_means_that_date() -> None:
    window = resolve(
        ZoneInfo("Asia/Tokyo"),
        run_type="manual",
        logical_date="2026-11-20T00:00:00Z",
        data_interval_end="2026-11-19T15:00:00Z",
    )

    assert window == Window(as_of_date=date(2026, 11, 20), as_of=datetime(2026, 11, 19, 15, tzinfo=UTC))


@pytest.mark.parametrize(
    ("started_at", "as_of_date"),
    [
        (datetime(2026, 11, 22, 14, 30, tzinfo=UTC), date(2026, 11, 22)),
        (datetime(2026, 11, 22, 3, 0, tzinfo=UTC), date(2026, 11, 22)),
        (datetime(2026, 11, 22, 2, 59, 59, 999_999, tzinfo=UTC), date(2026, 11, 21)),
    ],
)
def test_run_without_a_logical_date_is_about_the_last_midnight(
    started_at: datetime, as_of_date: date
) -> None:
    """REST with `logical_date: null`, and `airflow dags trigger` without a date."""
    assert resolve(run_type="manual", started_at=started_at).as_of_date == as_of_date


def test_command_line_trigger_with_a_date_is_refused_with_advice() -> None:
    # What `airflow dags trigger --logical-date 2026-03-05` gives on 2026-11-22: the interval comes from the clock.
    with pytest.raises(BadParam) as refused:
        resolve(
            run_type="manual", logical_date="2026-03-05T00:00:00Z", data_interval_end="2026-11-22T03:00:00Z"
        )

    assert "2026-03-05" in str(refused.value)
    assert '--conf \'{"as_of": "2026-03-05"}\'' in refused.value.next_step


@pytest.mark.parametrize(
    ("day", "interval_end"),
    [
        ("2026-11-20", "2026-11-19T03:00:00Z"),
        ("2018-11-04", "2018-11-03T03:00:00Z"),
        ("2018-11-05", "2018-11-04T03:00:00Z"),  # the interval ends on the day without a midnight, at 01:00
        ("2018-02-17", "2018-02-16T02:00:00Z"),
        ("2018-02-19", "2018-02-18T03:00:00Z"),
    ],
)
def test_dags_test_is_about_the_midnight_of_its_day(day: str, interval_end: str) -> None:
    # Measured on Airflow 3.3.2: run_type manual, logical_date 00:00 UTC, the interval one day back, run_after now.
    window = resolve(
        run_type="manual", logical_date=f"{day}T00:00:00Z", data_interval_end=interval_end, started_at=NOW
    )

    assert window.as_of_date == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("run_type", "logical_date", "data_interval_end"),
    [
        ("manual", None, None),
        ("manual", "2026-03-05T00:00:00Z", "2026-11-22T03:00:00Z"),
        ("scheduled", "2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z"),
    ],
)
def test_the_param_as_of_wins(run_type: str, logical_date: str | None, data_interval_end: str | None) -> None:
    window = resolve(
        run_type=run_type, logical_date=logical_date, data_interval_end=data_interval_end, as_of="2026-01-31"
    )

    assert window == Window(as_of_date=date(2026, 1, 31), as_of=datetime(2026, 1, 31, 3, tzinfo=UTC))


def test_an_empty_as_of_is_none() -> None:
    assert resolve(run_type="manual", as_of="").as_of_date == date(2026, 11, 22)


@pytest.mark.parametrize("as_of", ["yesterday", "22/11/2026", "2026-02-30", "2026-11-22T03:00:00Z"])
def test_unreadable_as_of_is_refused(as_of: str) -> None:
    with pytest.raises(BadParam, match=r"as_of '.*' is not a date.*2026-11-22"):
        resolve(run_type="manual", as_of=as_of)


ENDS = ("0001-01-01", "0001-01-02", "1000-01-01", "1969-12-29", "9999-12-30", "9999-12-31")
"""Dates at the ends of the calendar, where a zone's offset or the day before cannot be computed."""


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Pacific/Kiritimati", "Etc/GMT+12", "UTC"])
@pytest.mark.parametrize("day", ENDS)
@pytest.mark.parametrize(
    "start",
    [
        {"run_type": "manual", "as_of": "{}"},
        {"run_type": "manual", "logical_date": "{}T00:00:00+00:00"},
        {"run_type": "manual", "logical_date": "{}T23:59:59-12:00"},
        {"run_type": "manual", "logical_date": "{}T00:00:00+14:00", "data_interval_end": "{}T00:00:00+14:00"},
        {
            "run_type": "scheduled",
            "logical_date": "{}T00:00:00+00:00",
            "data_interval_end": "{}T00:00:00+00:00",
        },
        {"run_type": "backfill", "logical_date": "{}T00:00:00+00:00"},
        {"run_type": "backfill", "logical_date": "{}T23:59:59-12:00"},
    ],
    ids=str,
)
def test_the_ends_of_the_calendar_are_refused_in_words(zone: str, day: str, start: dict[str, str]) -> None:
    context: dict[str, Any] = {name: value.format(day) for name, value in start.items()}

    with pytest.raises(BadParam, match=r"as_of \d{4}-\d\d-\d\d is (before 1970-01-01|in the future)"):
        resolve(ZoneInfo(zone), **context)


def test_no_run_is_about_the_last_day_of_the_calendar_however_late_it_starts() -> None:
    late = datetime(9999, 12, 31, 23, tzinfo=UTC)

    with pytest.raises(BadParam, match="as_of 9999-12-31 is in the future"):
        resolve(ZoneInfo("UTC"), started_at=late, run_type="manual", as_of="9999-12-31")


def test_the_first_as_of() -> None:
    assert resolve(run_type="manual", as_of="1970-01-01").last_day == date(1969, 12, 31)


@pytest.mark.parametrize("day", ENDS)
@pytest.mark.parametrize("time", ["00:00:00Z", "00:00:00+14:00", "23:59:59.999999-12:00"])
def test_a_known_at_at_the_ends_of_the_calendar_is_refused_in_words(day: str, time: str) -> None:
    with pytest.raises(BadParam, match=r"is (before 1970-01-01|after the run's start)"):
        resolve_known_at(f"{day}T{time}", NOW)


def test_as_of_today_is_the_latest() -> None:
    assert resolve(run_type="manual", as_of="2026-11-22").as_of == datetime(2026, 11, 22, 3, tzinfo=UTC)
    with pytest.raises(BadParam, match="as_of 2026-11-23 is in the future"):
        resolve(run_type="manual", as_of="2026-11-23")


def test_backfill_of_a_day_that_is_not_over_is_refused() -> None:
    with pytest.raises(BadParam, match="as_of 2026-11-23 is in the future"):
        resolve(
            run_type="backfill",
            logical_date="2026-11-22T03:00:00Z",
            data_interval_end="2026-11-23T03:00:00Z",
        )


@pytest.mark.parametrize(
    ("logical_date", "as_of"),
    [
        ("2018-11-02T03:00:00Z", datetime(2018, 11, 3, 3, tzinfo=UTC)),
        (
            "2018-11-03T03:00:00Z",
            datetime(2018, 11, 4, 3, tzinfo=UTC),
        ),  # 00:00 does not exist: 01:00 at -02:00
        ("2018-11-04T03:00:00Z", datetime(2018, 11, 5, 2, tzinfo=UTC)),
        ("2018-02-16T02:00:00Z", datetime(2018, 2, 17, 2, tzinfo=UTC)),
        ("2018-02-17T02:00:00Z", datetime(2018, 2, 18, 3, tzinfo=UTC)),  # 25 hours
        ("2018-02-18T03:00:00Z", datetime(2018, 2, 19, 3, tzinfo=UTC)),
    ],
)
def test_scheduled_runs_around_the_change_of_clocks(logical_date: str, as_of: datetime) -> None:
    assert resolve(run_type="scheduled", logical_date=logical_date).as_of == as_of


@settings(REPEATABLE, max_examples=examples(75, full=300))
@given(
    day=st.dates(date(1990, 1, 1), date(2099, 12, 31)),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
)
@example(day=date(2018, 11, 4), zone=SAO_PAULO)
@example(day=date(2018, 2, 18), zone=SAO_PAULO)
@example(day=date(2026, 11, 1), zone=ZoneInfo("America/Havana"))  # has midnight twice
@example(day=date(2006, 10, 29), zone=ZoneInfo("America/St_Johns"))  # went back at one minute past midnight
def test_midnight_is_the_first_instant_of_its_day(day: date, zone: ZoneInfo) -> None:
    first = midnight(day, zone)

    assert first.utcoffset() == timedelta(0)
    assume(first.astimezone(zone).date() == day)  # a zone that moved across the date line has skipped a day
    assert (first - timedelta(microseconds=1)).astimezone(zone).date() < day


def test_a_skipped_day_starts_with_the_next() -> None:
    samoa = ZoneInfo("Pacific/Apia")

    assert midnight(date(2011, 12, 30), samoa) == midnight(date(2011, 12, 31), samoa)


def test_known_at_is_the_start_unless_asked_for() -> None:
    started_at = NOW.astimezone(SAO_PAULO)

    assert resolve_known_at(None, started_at) == NOW
    assert resolve_known_at("", started_at).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "known_at", ["2026-11-20T03:00:00Z", "2026-11-20T00:00:00-03:00", "2026-11-20T03:00:00+00:00"]
)
def test_known_at_is_an_instant(known_at: str) -> None:
    assert resolve_known_at(known_at, NOW) == datetime(2026, 11, 20, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("known_at", "message"),
    [
        ("last week", "not an instant"),
        ("2026-11-20T03:00:00", "no time zone"),
        ("2026-11-20", "no time zone"),
        ("2026-11-22T14:30:00.000001Z", "after the run's start"),
    ],
)
def test_bad_known_at_is_refused(known_at: str, message: str) -> None:
    with pytest.raises(BadParam, match=message) as refused:
        resolve_known_at(known_at, NOW)
    assert refused.value.next_step
