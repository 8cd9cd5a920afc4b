from __future__ import annotations

from datetime import date

import pytest

from crmbet.storage.layout import Layout, Partition

pytestmark = pytest.mark.unit

LAYOUT = Layout(brand="acme")
DAY = date(2026, 3, 5)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (LAYOUT.root, "crmbet/brand=acme/"),
        (LAYOUT.captures("bets"), "crmbet/brand=acme/captures/source=bets/"),
        (LAYOUT.capture("bets", "c0ffee").prefix, "crmbet/brand=acme/captures/source=bets/chunk=c0ffee/"),
        (LAYOUT.dataset("cleaned/source=bets"), "crmbet/brand=acme/cleaned/source=bets/"),
        (LAYOUT.day("state", DAY, "c0ffee").prefix, "crmbet/brand=acme/state/day=2026-03-05/set=c0ffee/"),
        (
            LAYOUT.day("state", DAY, "c0ffee").done_file("a1"),
            "crmbet/brand=acme/state/day=2026-03-05/set=c0ffee/a1_done.json",
        ),
        (LAYOUT.cut_offs("2"), "crmbet/brand=acme/thresholds/version=2/"),
        (
            LAYOUT.baseline("raw", DAY, DAY, "manual__1"),
            "crmbet/brand=acme/baselines/stage=raw/frozen=2026-03-05/as_of=2026-03-05/run_id=manual__1.json",
        ),
        (
            LAYOUT.report(DAY, "manual__1"),
            "crmbet/brand=acme/reports/as_of=2026-03-05/run_id=manual__1/",
        ),
    ],
)
def test_the_layout_of_the_bucket(address: str, expected: str) -> None:
    assert address == expected


def test_brands_share_nothing() -> None:
    assert not Layout(brand="acme2").root.startswith(LAYOUT.root)
    assert not Layout(brand="acme").root.startswith(Layout(brand="acme2").root)


def test_what_airflow_calls_a_run_stays_readable() -> None:
    assert LAYOUT.run("scheduled__2026-03-05T03:00:00+00:00").endswith(
        "/runs/run_id=scheduled__2026-03-05T03:00:00+00:00/"
    )


@pytest.mark.parametrize(
    "run_id", ["a/b", "../../raw", "with space", "percent%2F", "açaí", "a?b#c", "a*b", "a\nb"]
)
def test_a_run_is_one_folder_whatever_it_is_called(run_id: str) -> None:
    folder = LAYOUT.run(run_id).removeprefix("crmbet/brand=acme/runs/run_id=")

    assert folder.count("/") == 1
    assert folder.endswith("/")
    assert folder.isascii()
    assert not set(folder) & set(" ?#*\n")


def test_two_runs_never_share_a_folder() -> None:
    assert len({LAYOUT.run(run_id) for run_id in ("a/b", "a%2Fb", "a b", "a+b", "a%20b")}) == 5


def test_a_marker_lies_in_its_folder() -> None:
    assert Partition(prefix="x/").done_file("a1") == "x/a1_done.json"
