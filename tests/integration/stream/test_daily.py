"""Captured chunks as a source of the daily run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from crmbet.clean.clean import clean_source
from crmbet.contracts.source import SourceContract
from crmbet.datasets.prefetch import local_copies
from crmbet.datasets.segments import FEW_FILES, rows_of_days
from crmbet.extract.streams import stream_name, streamed_captures
from crmbet.failures import SourceMissing
from crmbet.storage.layout import DONE, Layout
from crmbet.stream.streaming import Stream, run_at
from crmbet.sweep import plan_sweep, sweep
from tests.integration.stream.conftest import CONTRACTS, Casino, run_until
from tests.integration.stream.test_streaming import bet

pytestmark = pytest.mark.integration

NEXT_DAY = datetime(2026, 8, 13, 15, tzinfo=UTC)


def daily(stream: Stream, contract: SourceContract, now: datetime = NEXT_DAY) -> tuple[Any, list[Any]]:
    """What a daily run cleans of the chunks, and its accepted rows."""
    work = replace(stream.work, run=run_at(stream.work.run, now))
    captures = streamed_captures(work, contract)
    assert captures is not None
    cleaned = clean_source(work, contract, captures)
    with local_copies(work) as copies:
        rows = (
            f"SELECT bet_id, stake::INTEGER, session_id FROM {rows_of_days(copies, cleaned.days)} ORDER BY 1"
        )
        return cleaned, work.connection.execute(rows).fetchall()


def streamed(contract: SourceContract, **changes: Any) -> SourceContract:
    return contract.model_copy(update={"kind": "stream", **changes})


def test_the_daily_run_reads_chunks_and_every_message_has_a_fate(open_casino: Callable[..., Casino]) -> None:
    casino = open_casino(("bets",), partitions=2)
    casino.produce("bets", bet(1), bet(2), bet(1), b"no json")
    casino.stream()
    # A correction of a bet, another partition, and a bet of a day that has no live rows any more.
    casino.produce("bets", bet(2, stake="70"))
    casino.produce("bets", bet(3), bet(4, at="2026-08-01T12:00:00Z"), partition=1)
    assert casino.stream().late == 1
    for _ in range(FEW_FILES - 3):
        casino.produce("bets", bet(1))
        casino.stream()

    with casino.open_stream() as stream:
        contract = streamed(stream.sources["bets"])
        before, rows = daily(stream, contract)
    casino.produce("bets", bet(1))
    # The last run joins all chunks, its own among them.
    casino.stream()
    with casino.open_stream() as stream:
        after, same = daily(stream, contract)

    assert rows == same == [("b1", 10, None), ("b2", 70, None), ("b3", 10, None), ("b4", 10, None)]
    assert (before.extracted, before.accepted, before.duplicates) == (8, 4, 3)
    assert before.quarantined == {"record: not a JSON object": 1}
    # A bet of the wrong day aside, the live row has the same bets.
    assert casino.live("bets", "stake_sum") == {("ana", "2026-08-12"): (3, 90)}
    # The day of the new message is cleaned again. Joined chunks are the same content, so no other day is.
    assert (after.made, after.extracted) == ([date(2026, 8, 12)], 9)
    assert casino.parity(date(2026, 8, 12)).is_equal


def test_a_run_knows_the_chunks_of_its_time(open_casino: Callable[..., Casino]) -> None:
    casino = open_casino(("bets",))
    casino.produce("bets", bet(1))
    casino.stream()
    casino.now = NEXT_DAY
    casino.produce("bets", bet(2))
    casino.stream()

    with casino.open_stream() as stream:
        contract = streamed(stream.sources["bets"])
        then = datetime(2026, 8, 13, 4, tzinfo=UTC)
        assert daily(stream, contract, then)[1] == [("b1", 10, None)]
        assert len(daily(stream, contract)[1]) == 2
        with pytest.raises(SourceMissing, match="the stream has captured nothing of bets"):
            daily(stream, contract, datetime(2026, 8, 12, 4, tzinfo=UTC))


def test_a_column_that_the_contract_got_later_is_empty_in_earlier_chunks(
    open_casino: Callable[..., Casino],
) -> None:
    casino = open_casino(("bets",))
    columns = {name: of for name, of in CONTRACTS["bets"].columns.items() if name != "session_id"}
    earlier = {**CONTRACTS, "bets": CONTRACTS["bets"].model_copy(update={"columns": columns})}
    casino.produce("bets", bet(1, session_id="s"))
    with casino.open_stream(earlier) as stream:
        run_until(stream, lambda: stream.figures.messages == 1)
    casino.produce("bets", bet(2, session_id="s"))
    casino.stream(1)

    with casino.open_stream() as stream:
        _, rows = daily(stream, streamed(stream.sources["bets"]))
    assert rows == [("b1", 10, None), ("b2", 10, "s")]
    assert casino.live("bets") == {("ana", "2026-08-12"): (2,)}


def test_a_stream_has_no_snapshots_and_no_path(casino: Casino) -> None:
    with casino.open_stream() as stream:
        described = stream.sources["bets"].model_dump() | {"kind": "stream"}
    with pytest.raises(ValidationError, match="a stream has no snapshots"):
        SourceContract.model_validate(described | {"event_time": None, "known_time": None})
    described["columns"]["game_id"]["source_name"] = {"path": "game"}
    with pytest.raises(ValidationError, match="a message has no path"):
        SourceContract.model_validate(described)


def test_a_source_that_no_live_row_shows_is_captured_for_the_daily_run(
    open_casino: Callable[..., Casino],
) -> None:
    casino = open_casino(("bets", "communications"))
    sent = {
        "message_id": "m1", "user_id": "ana", "channel": "email", "sent_at": "2026-08-12T14:00:00Z",
    }  # fmt: skip
    casino.produce("communications", sent, b"no json")
    casino.produce("bets", bet(1))

    figures = casino.stream()

    assert (figures.messages, figures.poison) == (3, 0)
    assert casino.live("bets") == {("ana", "2026-08-12"): (1,)}
    assert casino.offsets()["communications", 0] == (2, 2)
    with casino.open_stream() as stream:
        captured = streamed(stream.sources["communications"])
        found = streamed_captures(stream.work, captured)
    assert found is not None
    assert sum(capture.extracted for capture in found.captures) == 2
    assert casino.parity(date(2026, 8, 12)).is_equal


@pytest.mark.parametrize(("hours", "kind", "files"), [(7, "lake", 1), (5, "lake", 5), (7, "stream", 5)])
def test_small_files_go_some_hours_after_they_were_joined(
    open_casino: Callable[..., Casino], hours: int, kind: str, files: int
) -> None:
    casino = open_casino(("bets",))
    bets = SourceContract.model_validate(CONTRACTS["bets"].model_dump() | {"kind": kind})
    for number in range(FEW_FILES):
        casino.produce("bets", bet(number))
        casino.stream()
    casino.now += timedelta(hours=hours)

    casino.produce("bets", bet(100))
    with casino.open_stream({**CONTRACTS, "bets": bets}) as stream:
        run_until(stream, lambda: stream.figures.messages == 1)

    folder = Layout(brand="default").captures(stream_name("bets"))
    there = [entry.key for entry in casino.store.list(folder)]
    # The new one is not joined yet.
    assert len([key for key in there if key.endswith(".parquet")]) == files + 1
    assert len([key for key in there if key.endswith(DONE)]) == files + 1
    assert casino.parity(date(2026, 8, 12)).is_equal


@pytest.mark.parametrize(("rows", "files"), [(250_000, 1), (FEW_FILES - 1, 2)])
def test_joined_chunks_are_what_a_sweep_leaves(
    open_casino: Callable[..., Casino], monkeypatch: pytest.MonkeyPatch, rows: int, files: int
) -> None:
    monkeypatch.setattr("crmbet.extract.streams.JOINED_ROWS", rows)
    casino = open_casino(("bets",))
    for number in range(FEW_FILES):
        casino.produce("bets", bet(number))
        casino.stream()
    layout = Layout(brand="default")
    folder = layout.captures(stream_name("bets"))

    before = len([*casino.store.list(folder)])
    later = datetime.now(UTC) + timedelta(days=30)
    plan = plan_sweep(casino.store, layout, casino.settings, later)
    sweep(casino.store, layout, casino.settings, plan)

    # A file and a done-file for each batch, and for each file that the last run has joined.
    assert before == 2 * (FEW_FILES + files)
    assert len([entry for entry in casino.store.list(folder) if entry.key.endswith(".parquet")]) == files
    assert casino.parity(date(2026, 8, 12)).is_equal
    casino.produce("bets", bet(100))
    casino.stream(1)
    assert casino.live("bets") == {("ana", "2026-08-12"): (FEW_FILES + 1,)}
