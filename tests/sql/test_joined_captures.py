"""Captures that are joined: each content is read as it was captured, by whoever asks for it and as of any instant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.contracts.files import load_source_contracts
from crmbet.databases.work import Work
from crmbet.datasets import segments
from crmbet.extract import joining
from crmbet.extract.captured import captured_rows
from crmbet.extract.joining import join_months
from crmbet.extract.ledger import Ledger
from crmbet.extract.records import Capture, SourceCaptures
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight
from tests.sql.lake_folder import FolderStore, capture
from tests.tiers import examples

pytestmark = pytest.mark.sql

CONTRACT = load_source_contracts()["bets"]
SETTINGS = Settings.of(lake_bucket="none", brand="acme")
AS_OF = date(2026, 3, 1)
"""January and February are over then."""
FIRST_RUN = datetime(2026, 3, 1, tzinfo=UTC)
LAST_HOUR = 20


@dataclass
class Operator:
    """A feed whose objects come and are replaced, and the runs that capture them."""

    connection: duckdb.DuckDBPyConnection
    store: Any
    contents: dict[str, list[str]] = field(default_factory=dict)
    """Ids of bets by digest."""

    def work(self, hour: int) -> Work:
        window = Window(as_of_date=AS_OF, as_of=midnight(AS_OF, SETTINGS.zone))
        known_at = FIRST_RUN + timedelta(hours=hour)
        run = Run(
            run_id="r",
            window=window,
            known_at=known_at,
            params=RunParams(source_deletions="remove"),
            settings=SETTINGS,
        )
        return Work(run=run, store=self.store, connection=self.connection)

    def ledger(self, hour: int = LAST_HOUR) -> Ledger:
        return Ledger.read(self.store, self.work(hour).run, "bets")

    def deliver(self, hour: int, chunk: str, version: int, day: date) -> None:
        """A run captures one object, or finds that it is as it was."""
        ledger, digest = self.ledger(hour), f"{chunk}{version}"
        if not (known := ledger.find(digest)):
            ids = [f"{digest} {number}" for number in range(version)]
            rows = [{"bet_id": name, "user_id": "ana", "placed_at": f"{day} 12:00:00"} for name in ids]
            work = self.work(hour)
            made = capture(self.connection, self.store, work.run, CONTRACT, rows, chunk)
            instants = {"captured_at": work.run.known_at, "made_at": work.run.known_at}
            [known] = ledger.record([made.model_copy(update={"digest": digest, **instants})])
            self.contents[digest] = ids
        # If the source has gone back to old content, a capture says that it is the newest again.
        others = [each for name, each in ledger.newest.items() if name != chunk and not each.gone]
        ledger.settle([known, *others], made=1)

    def join(self, hour: int = LAST_HOUR) -> SourceCaptures:
        ledger = self.ledger(hour)
        used = SourceCaptures(captures=list(ledger.newest.values()))
        return join_months(self.work(hour), ledger, used)

    def ids(self, captures: Iterable[Capture]) -> list[str]:
        rows = captured_rows(self.store, [each for each in captures if each.files])
        return [
            name for (name,) in self.connection.execute(f"SELECT bet_id FROM {rows} ORDER BY ALL").fetchall()
        ]


DELIVERIES = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.integers(1, 3),
        st.sampled_from([date(2026, 1, 5), date(2026, 1, 30), date(2026, 2, 2), date(2026, 3, 2)]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=examples(5, full=30))
@given(deliveries=DELIVERIES, joined_after=st.sets(st.integers(0, 7)), few=st.integers(1, 3))
def test_every_content_stays_as_it_was_captured(
    engine: duckdb.DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
    deliveries: list[tuple[str, int, date]],
    joined_after: set[int],
    few: int,
) -> None:
    operator = Operator(engine, FolderStore(tmp_path_factory.mktemp("store")))
    known: list[list[str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "FEW_FILES", few)
        for hour, delivery in enumerate(deliveries):
            operator.deliver(hour, *delivery)
            known.append(operator.ids(operator.ledger(hour).newest.values()))
            if hour in joined_after:
                operator.join(hour)
        used = operator.join()
    ledger = operator.ledger()

    assert not ledger.lost
    assert {capture.digest: capture for capture in used.captures} == {
        capture.digest: capture for capture in ledger.newest.values()
    }, "every reader chooses the same files"
    for digest, ids in operator.contents.items():
        assert operator.ids([ledger.by_digest[digest]]) == ids
    for hour, then in enumerate(known):
        found = ledger.known_at(FIRST_RUN + timedelta(hours=hour)).captures
        assert operator.ids(found) == then
    over = [each for each in ledger.by_digest.values() if each.days.keys() != {"2026-03-02"}]
    for month in ("2026-01", "2026-02"):
        of_month = [each for each in over if max(each.days).startswith(month)]
        versions = [len({tuple(each.files) for each in of_month if each.chunk == chunk}) for chunk in "abcd"]
        assert len({key for each in of_month for key in each.files}) < few + max(versions, default=0) + 1


@pytest.fixture
def operator(engine: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """A feed with five objects of January."""
    monkeypatch.setattr(segments, "FEW_FILES", 2)
    made = Operator(engine, FolderStore(tmp_path))
    for hour, chunk in enumerate("abcde"):
        made.deliver(hour, chunk, 2, date(2026, 1, 1 + hour))
    return made


def test_a_month_is_joined_in_one_file_with_one_done_file(operator: Operator) -> None:
    before = {entry.key for entry in operator.store.list("")}

    joined = operator.join()

    [data, done] = sorted({entry.key for entry in operator.store.list("")} - before, key=len, reverse=True)
    assert {key for each in joined.captures for key in each.files} == {data}
    assert done.endswith("_done.json")
    assert operator.join() == joined, "once is enough"


@pytest.mark.parametrize("limit", ["LARGE_FILE_ROWS", "JOINED_ROWS"])
def test_large_files_and_too_many_rows_stay_where_they_are(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(joining, limit, 2)

    assert all(not each.joined_at for each in operator.join().captures)


def test_a_month_with_a_damaged_file_is_left_to_whoever_needs_it(
    operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = operator.ledger().by_digest["a2"].files[0]
    operator.store.path(damaged).write_bytes(b"PAR1 and something else PAR1")

    joined = operator.join()

    assert all(not each.joined_at for each in joined.captures)
    assert "stay where they are" in caplog.text
    assert operator.ledger().lost == {"a2"}, "it was set aside"


def test_a_month_that_needs_more_memory_than_there_is_fails_no_run(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run_out(*_: Any) -> Any:
        raise duckdb.OutOfMemoryException("Out of Memory Error: failed to pin a block")

    monkeypatch.setattr(joining, "_join", run_out)

    assert all(not each.joined_at for each in operator.join().captures)
    assert "stay where they are: Out of Memory" in caplog.text
