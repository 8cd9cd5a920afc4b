"""What was captured once is not captured again; what changed or vanished is settled as the run was told to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.contracts.source import SourceContract
from crmbet.databases.work import Work
from crmbet.extract.lake import capture_feed
from crmbet.extract.records import SourceCaptures
from crmbet.failures import SourceMissing, SourceShrunk

pytestmark = pytest.mark.integration

HEADER = "bet_id,user_id,placed_at,game_type,stake"


def bets(*numbers: int) -> str:
    lines = [f"b{number},u1,2026-08-10T12:00:00Z,slots,10.50" for number in numbers]
    return "\n".join([HEADER, *lines]) + "\n"


def contents(captures: SourceCaptures) -> dict[str, int]:
    return {captured.chunk.rsplit("/", 1)[-1]: captured.extracted for captured in captures.captures}


def test_a_second_run_captures_nothing_and_uses_the_same_files(put: Any, capture: Any, store: Any) -> None:
    put("a.csv", bets(1, 2))
    put("b.csv", bets(3))
    first = capture()
    written = {entry.key: entry.etag for entry in store.list("crmbet/")}

    second = capture()

    assert (first.new, second.new) == (2, 0)
    assert second.captures == first.captures
    assert {entry.key: entry.etag for entry in store.list("crmbet/")} == written


def test_a_changed_or_new_object_alone_is_captured(put: Any, capture: Any) -> None:
    put("a.csv", bets(1))
    put("b.csv", bets(2))
    first = capture()
    put("b.csv", bets(2, 3))
    put("c.csv", bets(4))

    second = capture()

    assert second.new == 2
    assert contents(second) == {"a.csv": 1, "b.csv": 2, "c.csv": 1}
    assert second.captures[0] == first.captures[0]


def test_a_change_of_the_contracts_columns_captures_anew(put: Any, capture: Any, contract: Any) -> None:
    put("a.csv", bets(1))
    capture()
    described = contract.model_dump()
    del described["columns"]["rtp"]

    assert capture(SourceContract.model_validate(described)).new == 1


def test_known_at_selects_what_had_been_captured_by_then(put: Any, capture: Any, make_run: Any) -> None:
    put("a.csv", bets(1))
    between = make_run().known_at
    first = capture()
    put("a.csv", bets(1, 2))
    put("b.csv", bets(3))
    capture()

    def at(hours: int) -> SourceCaptures:
        found: SourceCaptures = capture(known_at=(between + timedelta(hours=hours, minutes=1)).isoformat())
        return found

    assert (contents(at(1)), at(1).new) == ({"a.csv": 1}, 0)
    assert at(1).captures == first.captures
    assert contents(at(2)) == {"a.csv": 2, "b.csv": 1}
    with pytest.raises(SourceMissing, match="nothing had been captured by known_at"):
        at(0)


def test_full_refresh_captures_everything_and_keeps_the_past(put: Any, capture: Any) -> None:
    put("a.csv", bets(1))
    first = capture()

    refreshed = capture(full_refresh=True)

    assert refreshed.new == 1
    assert refreshed.captures[0].files != first.captures[0].files
    assert capture().captures == refreshed.captures
    when = first.captures[0].captured_at.isoformat()
    assert contents(capture(known_at=when)) == {"a.csv": 1}, "the same content was known before"


@pytest.mark.parametrize("loss", ["vanished", "shrunken"])
class TestLoss:
    """Ten records are captured; then the object is gone, or holds six of them."""

    @pytest.fixture(autouse=True)
    def _lose(self, put: Any, delete: Any, capture: Any, loss: str) -> None:
        key = put("a.csv", bets(*range(10)))
        put("other.csv", bets(11))
        capture()
        if loss == "vanished":
            delete(key)
        else:
            put("a.csv", bets(*range(6)))

    @pytest.fixture
    def left(self, loss: str) -> dict[str, int]:
        return {"other.csv": 1} if loss == "vanished" else {"a.csv": 6, "other.csv": 1}

    def test_stop_names_it_and_asks_again(self, capture: Any, loss: str) -> None:
        for _ in range(2):
            with pytest.raises(SourceShrunk) as failure:
                capture()
            now = "gone" if loss == "vanished" else "6"
            assert f"a chunk of bets vanished or shrank: raw/bets/a.csv (10 rows before, {now} now)" in str(
                failure.value
            )
            assert "source_deletions=remove" in str(failure.value)
            assert "source_deletions=keep" in str(failure.value)

    def test_keep_stands_by_the_last_capture_and_the_next_run_asks_again(self, capture: Any) -> None:
        for _ in range(2):
            assert contents(capture(source_deletions="keep")) == {"a.csv": 10, "other.csv": 1}
        with pytest.raises(SourceShrunk):
            capture()

    def test_remove_believes_the_source_for_good(self, capture: Any, left: dict[str, int]) -> None:
        assert contents(capture(source_deletions="remove")) == left
        assert contents(capture()) == left

    def test_the_past_is_not_rewritten(self, capture: Any, make_run: Any, left: dict[str, int]) -> None:
        before = make_run().known_at
        removed_at = make_run().known_at + timedelta(hours=1)
        capture(source_deletions="remove")

        assert contents(capture(known_at=before.isoformat())) == {"a.csv": 10, "other.csv": 1}
        assert contents(capture(known_at=removed_at.isoformat())) == left

    def test_what_comes_back_is_used_and_its_next_loss_noticed(
        self, put: Any, delete: Any, capture: Any, left: dict[str, int], loss: str
    ) -> None:
        capture(source_deletions="remove")
        key = put("a.csv", bets(*range(10)))
        assert contents(capture()) == {"a.csv": 10, "other.csv": 1}
        came_back = capture().captures[0]
        assert contents(capture(known_at="2027-01-01T00:00:00Z")) == {"a.csv": 10, "other.csv": 1}
        assert capture().captures[0] == came_back

        if loss == "vanished":
            delete(key)
        else:
            put("a.csv", bets(*range(6)))
        with pytest.raises(SourceShrunk):
            capture()
        assert contents(capture(source_deletions="remove")) == left
        assert contents(capture()) == left


def test_a_small_loss_is_tolerated_as_the_setting_says(put: Any, capture: Any) -> None:
    put("a.csv", bets(*range(10)))
    capture()
    put("a.csv", bets(*range(9)))

    with pytest.raises(SourceShrunk):
        capture(settings={"max_source_shrink": 0.05})
    assert contents(capture()) == {"a.csv": 9}


def test_the_last_object_of_a_required_feed_cannot_be_removed(put: Any, delete: Any, capture: Any) -> None:
    key = put("a.csv", bets(1))
    capture()
    delete(key)

    with pytest.raises(SourceMissing, match="the feed bets has no object"):
        capture(source_deletions="remove")
    assert contents(capture(source_deletions="keep")) == {"a.csv": 1}


def test_an_absent_optional_feed_is_none(engine: Any, store: Any, make_run: Any) -> None:
    assert (
        capture_feed(
            Work(run=make_run(), store=store, connection=engine), load_source_contracts()["sessions"]
        )
        is None
    )


def test_a_dry_run_names_what_would_change_and_writes_nothing(
    put: Any, delete: Any, capture: Any, store: Any
) -> None:
    put("a.csv", bets(1))
    gone = put("gone.csv", bets(5))
    capture()
    changed, added = put("a.csv", bets(1, 2)), put("b.csv", bets(3))
    delete(gone)
    before = list(store.list("crmbet/"))

    planned = capture(dry_run=True)

    assert planned.changed == {changed: "changed", added: "new", gone: "gone"}
    assert planned.touched_days == ["2026-08-10"]
    assert contents(planned) == {"a.csv": 2, "b.csv": 1, "gone.csv": 1}
    assert planned.new == 2
    assert list(store.list("crmbet/")) == before
    assert capture(dry_run=True, full_refresh=True).new == 2
