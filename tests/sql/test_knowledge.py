"""What a run says of when its facts were known: daily runs, and backfills of sources that overwrite or do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crmbet.clean.records import CleanManifest
from crmbet.contracts.source import SourceContract
from crmbet.databases.work import Work
from crmbet.extract.records import ExtractManifest, SourceCaptures
from crmbet.features.knowledge import Knowledge, judge_knowledge
from tests.sql.lake_folder import FolderStore, capture, clean
from tests.sql.world import World, contracts

pytestmark = pytest.mark.sql

AS_OF_DATE = date(2026, 2, 21)
AS_OF = World(as_of_date=AS_OF_DATE).run().window.as_of
NOW = AS_OF + timedelta(days=200)

BET = {
    "bet_id": "1",
    "user_id": "a",
    "game_type": "slots",
    "stake": "10",
    "placed_at": "2026-02-20T12:00:00Z",
}
PLAYER = {"user_id": "a"}
INGESTED = {"type": "timestamp", "meaning": "When the row reached the lake"}


def at(**past: int) -> datetime:
    """An instant after as_of."""
    return AS_OF + timedelta(**past)


def text(instant: datetime) -> str:
    return instant.isoformat()


def dated(name: str) -> SourceContract:
    """A contract whose rows say when they were known."""
    contract = contracts()[name]
    if contract.known_time:
        return contract
    content = contract.model_dump()
    content["columns"]["ingested_at"] = INGESTED
    return SourceContract.model_validate({**content, "known_time": "ingested_at"})


@pytest.fixture
def judge(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> Any:
    """Judges a run of bets and players, by the instants at which bets and players were first captured."""

    def run(
        bets: list[Mapping[str, Any]],
        players: list[Mapping[str, Any]],
        *,
        known_at: datetime = NOW,
        captured: datetime | None = NOW,
        captured_then: bool = False,
        dates: tuple[str, ...] = (),
    ) -> Knowledge:
        own = replace(World(as_of_date=AS_OF_DATE).run(), known_at=known_at)
        store = FolderStore(tmp_path)
        used = {name: dated(name) if name in dates else contracts()[name] for name in ("bets", "players")}
        extracts, cleaned = {}, {}
        for name, rows in (("bets", bets), ("players", players)):
            chunk = f"raw/{name}/dt=2026-02-20/a.csv"
            taken = capture(engine, store, own, used[name], rows, chunk)
            extracts[name] = SourceCaptures(
                captures=[taken],
                bitemporal_from=captured,
                captured_then=captured_then and name == "bets",
            )
            cleaned[name] = clean(engine, store, own, used[name], taken)
        work = Work(run=own, store=store, connection=engine)
        return judge_knowledge(work, used, ExtractManifest(sources=extracts), CleanManifest(sources=cleaned))

    return run


@pytest.mark.few(4)
@pytest.mark.parametrize("hours", [0, 3, 23])
@pytest.mark.parametrize("captured", [None, AS_OF, NOW])
def test_a_daily_run_knows_its_facts_when_it_starts(
    judge: Any, hours: int, captured: datetime | None
) -> None:
    found = judge([BET], [PLAYER], known_at=at(hours=hours), captured=captured)

    assert found == Knowledge(known_at=at(hours=hours))


@pytest.mark.few(3)
@pytest.mark.parametrize("captured", [at(days=1), at(days=1, seconds=1), NOW, None])
@pytest.mark.parametrize("known_at", [at(days=1), NOW])
def test_a_backfill_of_sources_that_were_not_captured_then_is_a_reconstruction(
    judge: Any, captured: datetime | None, known_at: datetime
) -> None:
    found = judge([BET], [PLAYER], known_at=known_at, captured=captured)

    assert found.known_at == known_at
    assert "bets, players do not say when their rows were known" in (found.reconstructed or "")


@pytest.mark.parametrize("captured", [at(days=-300), AS_OF, at(hours=23, minutes=59)])
def test_a_backfill_of_sources_that_were_captured_then_is_none(judge: Any, captured: datetime) -> None:
    """A run of the day has found that bets had changed, and players not."""
    assert judge([BET], [PLAYER], captured=captured, captured_then=True) == Knowledge(known_at=NOW)


def test_a_backfill_of_a_day_without_a_run_is_a_reconstruction(judge: Any) -> None:
    """The sources were captured long before. What they said on the day is lost all the same."""
    assert judge([BET], [PLAYER], captured=at(days=-300)).reconstructed == (
        "bets, players do not say when their rows were known, and were not captured on the day after "
        "2026-02-21 03:00 UTC"
    )


@pytest.mark.parametrize(
    ("bets", "players", "known"),
    [
        (at(hours=-15), at(days=-300), AS_OF),
        (at(seconds=0), at(hours=-1), AS_OF),
        (at(hours=2), at(hours=-1), at(hours=2)),
        (at(hours=-1), at(days=3, microseconds=1), at(days=3, microseconds=1)),
    ],
)
def test_a_backfill_of_facts_that_all_say_when_they_were_known_is_exact(
    judge: Any, bets: datetime, players: datetime, known: datetime
) -> None:
    found = judge(
        [{**BET, "ingested_at": text(bets)}], [{**PLAYER, "ingested_at": text(players)}], dates=("players",)
    )

    assert found == Knowledge(known_at=known)


@pytest.mark.parametrize("silent", [None, "", "?"])
def test_one_fact_that_does_not_say_it_makes_a_reconstruction(judge: Any, silent: str | None) -> None:
    told = {"ingested_at": text(at(hours=-1))}
    bets = [{**BET, **told}, {**BET, "bet_id": "2", "ingested_at": silent}]

    found = judge(bets, [{**PLAYER, **told}], dates=("players",))

    assert found.known_at == NOW
    assert (found.reconstructed or "").startswith("bets do not say")


def test_facts_at_or_after_as_of_do_not_count(judge: Any) -> None:
    told = {"ingested_at": text(at(hours=-1))}
    later = {**BET, "bet_id": "2", "placed_at": text(at(days=5)), "ingested_at": text(at(days=6))}

    found = judge([{**BET, **told}, later], [{**PLAYER, **told}], dates=("players",))

    assert found == Knowledge(known_at=AS_OF)


def test_an_instant_after_the_run_is_not_claimed(judge: Any) -> None:
    """Such rows are unknown to the run, and none of its facts."""
    told = {"ingested_at": text(at(hours=-1))}
    late = {**BET, "bet_id": "2", "ingested_at": text(NOW + timedelta(days=1))}

    assert judge([{**BET, **told}, late], [{**PLAYER, **told}], dates=("players",)).known_at == AS_OF


def test_an_instant_has_its_zone(judge: Any) -> None:
    told = {"ingested_at": "2026-02-21T03:00:00-03:00"}

    found = judge([{**BET, **told}], [{**PLAYER, **told}], dates=("players",))

    assert found.known_at == datetime(2026, 2, 21, 6, tzinfo=UTC)
