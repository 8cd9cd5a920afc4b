"""A column of a table that has several names: the first one there counts, and a rename captures no day anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from crmbet.extract.records import SourceCaptures
from crmbet.failures import SourceMissing

pytestmark = pytest.mark.integration

RENAME = "ALTER TABLE tbl_transactions RENAME COLUMN {} TO {}"
ADD = "ALTER TABLE tbl_transactions ADD COLUMN valor decimal(10,2) DEFAULT 7"


@pytest.fixture
def amounts(captured_rows: Any) -> Callable[[SourceCaptures], set[Any]]:
    def read(captures: SourceCaptures) -> set[Any]:
        return {row["amount"] for row in captured_rows(captures)}

    return read


@pytest.mark.few(2)
@pytest.mark.parametrize("names", [["amount", "valor"], ["valor", "amount"], ["x", "valor", "amount", "y"]])
@pytest.mark.parametrize("before", ["amount", "valor"])
def test_a_rename_in_the_table_captures_no_day_anew(
    source: Any, capture: Any, mapped: Any, amounts: Any, add: Any, before: str, names: list[str]
) -> None:
    # Days far back are not looked at in each run.
    add("2020-01-15 12:00:00")
    (after,) = {"amount", "valor"} - {before}
    if before == "valor":
        source(RENAME.format("amount", "valor"))
    first = capture(mapped(amount=before))
    assert first.new == 4

    listed = capture(mapped(amount=names))
    assert (listed.new, listed.captures) == (0, first.captures)

    source(RENAME.format(before, after))
    source(RENAME.format("created_at", "quando"))
    contract = mapped(amount=names, created_at=["created_at", "quando"])
    renamed = capture(contract)
    assert (renamed.new, renamed.captures) == (0, first.captures)

    source(f"UPDATE tbl_transactions SET {after} = 9 WHERE quando::date = '2026-08-09'")
    changed = capture(contract)
    assert (changed.new, changed.changed) == (1, {"2026-08-09": "changed"})
    assert amounts(changed) == {Decimal("10.50"), Decimal(9)}
    assert capture(contract).new == 0
    assert capture(contract, verify_all=True).new == 0


@pytest.mark.parametrize(
    ("names", "value", "new"),
    [(["amount", "valor"], Decimal("10.50"), 0), (["valor", "amount"], Decimal(7), 4)],
)
def test_of_two_names_in_the_table_the_first_counts_on_all_days(
    source: Any, capture: Any, mapped: Any, amounts: Any, add: Any, names: list[str], value: Decimal, new: int
) -> None:
    add("2020-01-15 12:00:00")
    first = capture()
    source(ADD)

    both = capture(mapped(amount=names))

    assert (both.new, amounts(both)) == (new, {value})
    when = first.captures[0].captured_at.isoformat()
    assert amounts(capture(mapped(amount=names), known_at=when)) == {Decimal("10.50")}
    assert capture(mapped(amount=names)).new == 0


def test_another_name_in_place_of_the_first_is_another_column(
    source: Any, capture: Any, mapped: Any, amounts: Any
) -> None:
    capture()
    source(ADD)

    assert amounts(capture(mapped(amount="valor"))) == {Decimal(7)}


def test_the_event_time_may_have_several_names(
    source: Any, capture: Any, mapped: Any, captured_rows: Any
) -> None:
    source(RENAME.format("created_at", "quando"))

    rows = captured_rows(capture(mapped(created_at=["created_at", "quando"])))

    assert {row["_day"] for row in rows} == {date(2026, 8, day) for day in (7, 8, 9, 11)}


def test_all_names_of_a_missing_column_are_told(source: Any, capture: Any, mapped: Any) -> None:
    source(RENAME.format("amount", "total"))

    with pytest.raises(SourceMissing, match="column amount or valor is missing from tbl_transactions"):
        capture(mapped(amount=["amount", "valor"]))
