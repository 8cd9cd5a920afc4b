"""Manifests of cleaning, also those of earlier releases."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from crmbet.clean.records import UNDATED_DAY, CleanedSource
from crmbet.datasets.records import DayFiles

pytestmark = pytest.mark.unit

FOLDER = "crmbet/brand=acme/quarantine/source=limits/"


def test_undated_rows_in_a_manifest_of_an_earlier_release_are_found() -> None:
    dated = f"{FOLDER}day=2026-03-01/set=a1/x.parquet"
    undated = f"{FOLDER}day=0001-01-01/set=b2/x.parquet"
    day = DayFiles(
        day=date(2026, 3, 1),
        digest="a1",
        files=[],
        rows=0,
        made_at=datetime(2026, 3, 2, tzinfo=UTC),
        quarantine_files=[dated],
    )
    source = CleanedSource(
        days=[day], quarantine_files=[dated, undated], extracted=2, accepted=0, duplicates=0,
        quarantined={"x": 2}, outside={}, made=[],
    )  # fmt: skip

    found = source.quarantined_days

    assert [(of.day, of.digest, of.quarantine_files) for of in found] == [
        (day.day, "a1", [dated]),
        (UNDATED_DAY, "b2", [undated]),
    ]
    assert source.model_copy(update={"quarantine_files": [dated]}).quarantined_days == [day]
