"""The odd Parquet files and numbers of `odd_files/`, with the fates that the table there promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crmbet.extract.ids import INEXACT
from crmbet.extract.parquet_mending import OUT_OF_RANGE
from tests.integration.extract.deliveries import bet, broken, parquet

pytestmark = pytest.mark.integration

ODD_FILES = Path(__file__).parents[1] / "odd_files"
FATES: dict[str, list[tuple[str | None, str | None]]] = {
    "04_float_ids.parquet": [("123", None), ("456", None)],
    "04b_float32_ids_collide.parquet": [(None, f"user_id: {INEXACT}")] * 2,
    "04c_float_ids.jsonl": [("10000000000", None)],
    "05_latin1_in_one_row.parquet": [("p1", None), ("p2", None), ("João", None)],
    "05b_ns_in_a_ms_column.parquet": [("p1", None), (None, f"placed_at: {OUT_OF_RANGE}")],
}
"""For each row the player, or why it is set aside."""


@pytest.mark.few(3)
@pytest.mark.parametrize("name", FATES)
def test_the_rows_of_an_odd_file(put: Any, capture: Any, captured_rows: Any, clean: Any, name: str) -> None:
    put(name, (ODD_FILES / name).read_bytes())

    captures = capture()

    rows = captured_rows(captures)
    assert [(None if row["_reject"] else row["user_id"], row["_reject"]) for row in rows] == FATES[name]
    cleaned = clean(captures)
    assert cleaned.accepted == sum(why is None for _, why in FATES[name])
    assert set(cleaned.quarantined) == {f"record: {why}" for _, why in FATES[name] if why}


def test_what_is_lost_of_a_parquet_file_is_logged_with_its_place(
    put: Any, capture: Any, clean: Any, caplog: pytest.LogCaptureFixture
) -> None:
    content = parquet([bet(number) for number in range(300)], row_group_size=100)
    key = put("part.parquet", broken(content, "stake", 2))

    captures = capture()

    lost = "row group 2, rows 101 to 200"
    assert f"{key}: column stake cannot be read in {lost}; these rows go to quarantine" in caplog.text
    assert clean(captures).quarantined == {f"record: stake: broken in {lost}": 100}
