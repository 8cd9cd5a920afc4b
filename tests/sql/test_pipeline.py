"""From captured text to the feature table: the future changes nothing, and neither does the order of increments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from crmbet.clean.records import CleanManifest
from crmbet.databases.parquet import scan
from crmbet.databases.statements import statement
from crmbet.databases.work import Work
from crmbet.features.engineer import engineer_features
from crmbet.features.records import FeatureManifest
from crmbet.features.themes import THEMES
from crmbet.features.variables import SIGNATURE
from crmbet.run.params import RunParams
from tests.sql.lake_folder import FolderStore, capture, clean
from tests.sql.reference import compute_reference
from tests.sql.small_worlds import full_worlds
from tests.sql.world import TYPICAL, Features, Row, World, contracts, table

pytestmark = pytest.mark.sql

REPEATABLE = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
"""The same examples everywhere, not shrunk: a run of the pipeline takes too long for that."""

Pipeline = Callable[[World, FolderStore], Features]

TIMES = {
    "bets": ("placed_at",),
    "transactions": ("created_at",),
    "communications": ("sent_at", "opened_at", "clicked_at"),
    "players": ("registered_at",),
    "sessions": ("started_at", "ended_at"),
    "limits": ("changed_at",),
}


@pytest.fixture(scope="module", autouse=True)
def _no_matrix() -> Iterator[None]:
    """A matrix takes a fifth of a run, and says nothing of the cells."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crmbet.features.engineer.write_matrix", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], FolderStore]:
    return lambda: FolderStore(tmp_path_factory.mktemp("lake"))


def run_pipeline(
    connection: duckdb.DuckDBPyConnection,
    world: World,
    store: FolderStore,
    changed: Mapping[str, Any] | None = None,
    files: int = 2,
    **params: bool,
) -> tuple[Features, FeatureManifest]:
    """Clean and engineer a world whose rows came in some files a source; the features of its run.

    `changed` are fields of the run that are not the world's.
    """
    run = replace(world.run(), params=RunParams(**params), **(changed or {}))
    sources = {}
    for source, contract in contracts().items():
        given = world.rows(source)
        if not given and not contract.required:
            continue
        typical = {**TYPICAL[source]}
        rows = [
            {**typical, contract.business_key[0]: f"{source} {number}", **row}
            for number, row in enumerate(given)
        ]
        parts = {f"raw/{source}/dt=2000-01-01/{number}.csv": rows[number::files] for number in range(files)}
        captures = [
            capture(connection, store, run, contract, part, chunk) for chunk, part in parts.items() if part
        ]
        sources[source] = clean(connection, store, run, contract, *captures)
    manifest = engineer_features(
        Work(run=run, store=store, connection=connection),
        contracts(),
        table(),
        CleanManifest(sources=sources),
    )
    written = connection.sql(f"FROM {scan(store, manifest.files)}")
    names = written.columns
    found = (dict(zip(names, row, strict=True)) for row in written.fetchall())
    return {row["user_id"]: row for row in found}, manifest


def cells(features: Features) -> Features:
    return {user: {name: row[name] for name in table().features} for user, row in features.items()}


def hashes(features: Features) -> Mapping[str, str]:
    return {user: row["row_hash"] for user, row in features.items()}


def without_future(world: World) -> World:
    """What was known at as_of: later events are not there, later instants within an event are empty."""
    as_of = world.run().window.as_of

    def is_future(text: str | None) -> bool:
        return text is not None and datetime.fromisoformat(text) >= as_of

    def past(source: str) -> Sequence[Row]:
        event, *facts = TIMES[source]
        return [
            {**row, **{name: None for name in facts if is_future(row.get(name))}}
            for row in world.rows(source)
            if not is_future(row.get(event))
        ]

    rows: dict[str, Any] = {source: past(source) for source in TIMES}
    return replace(world, **rows)


def numbered(world: World) -> World:
    """Each row with the id that it would get by its place."""
    keys = {source: contract.business_key[0] for source, contract in contracts().items()}
    named: dict[str, Any] = {
        source: [{key: f"{source} {number}", **row} for number, row in enumerate(world.rows(source))]
        for source, key in keys.items()
    }
    # What cannot be read is in no typed row: tests of cleaning, and of protection, have it.
    for row in named["players"]:
        row.pop("protection_unreadable", None)
    return replace(world, **named, unreadable_exclusions=[])


@settings(REPEATABLE, max_examples=1)
@given(world=full_worlds())
def test_the_future_and_the_order_of_rows_change_no_cell(
    engine: duckdb.DuckDBPyConnection, new_store: Callable[[], FolderStore], world: World
) -> None:
    world = numbered(world)
    found, _ = run_pipeline(engine, world, new_store())
    known, _ = run_pipeline(engine, without_future(world), new_store())
    engine.execute("SET threads = 2")
    try:
        again, _ = run_pipeline(engine, shuffled(with_late_bets(world)), new_store(), files=3)
    finally:
        engine.execute("SET threads = 1")

    assert hashes(found) == hashes(known), "nothing is known of events at or after as_of"
    assert cells(found) == compute_reference(world, found)
    assert found == again, "neither bets that come after known_at, nor order, files or threads change a cell"


def with_late_bets(world: World) -> World:
    """The world with bets that come, and others that change, after known_at."""
    late = {"ingested_at": (world.run().known_at + timedelta(hours=1)).isoformat()}
    changed = [{**row, "stake": "77", "payout": "5", **late} for row in world.bets]
    come = [{**row, "bet_id": f"late {number}", **late} for number, row in enumerate(world.bets)]
    strangers = [{**row, "user_id": "fabio", **late} for row in come[:3]]
    return replace(world, bets=[*strangers, *changed, *world.bets, *come])


def shuffled(world: World) -> World:
    """The world in another order, with some rows twice."""
    rows: dict[str, Any] = {
        source: [*world.rows(source)[1::3], *world.rows(source)[::-1]] for source in TIMES
    }
    return replace(world, **rows)


@pytest.mark.full
@settings(REPEATABLE, max_examples=1)
@given(world=full_worlds())
def test_any_order_of_increments_gives_what_a_rebuild_gives(
    engine: duckdb.DuckDBPyConnection, new_store: Callable[[], FolderStore], world: World
) -> None:
    store = new_store()
    # What the first of them freezes is the store's history, by intent.
    world = replace(world, settings={**world.settings, "rg_min_cohort": 20})
    run_pipeline(engine, replace(world, as_of_date=world.as_of_date - timedelta(days=3)), store)
    for days_back in (0, 30):
        at = replace(world, as_of_date=world.as_of_date - timedelta(days=days_back))

        found, _ = run_pipeline(engine, at, store)

        assert found == run_pipeline(engine, at, new_store())[0]


ONE_OF_EACH = World(
    as_of_date=date(2026, 3, 1),
    bets=[
        {"user_id": "ana", "placed_at": "2026-02-20 23:50:00-03:00"},
        {"user_id": "ana", "placed_at": "2026-02-21 00:10:00-03:00"},
        {"user_id": "bia", "placed_at": "2026-02-21 12:00:00-03:00"},
        {"user_id": "eva", "placed_at": "2026-02-21 12:00:00-03:00"},
    ],
    transactions=[{"user_id": "ana", "created_at": "2026-02-20 12:00:00-03:00"}],
    players=[{"user_id": "ana", "registered_at": "2026-01-01 12:00:00-03:00"}],
    limits=[{"user_id": "ana", "changed_at": "2026-02-20 12:00:00-03:00"}],
)


@dataclass(frozen=True)
class Ran:
    """The first run over ONE_OF_EACH."""

    store: FolderStore
    features: Features
    manifest: FeatureManifest


@pytest.fixture(scope="module")
def ran(engine: duckdb.DuckDBPyConnection, new_store: Callable[[], FolderStore]) -> Ran:
    """Nothing may be written to its store: most tests look at its features, and others go on from a copy."""
    store = new_store()
    return Ran(store, *run_pipeline(engine, ONE_OF_EACH, store))


@pytest.fixture
def store(ran: Ran, tmp_path: Path) -> FolderStore:
    """A copy of the store that the first run has left."""
    return FolderStore(copytree(ran.store.folder, tmp_path / "lake"))


def test_a_second_run_makes_no_day_and_the_same_table(
    engine: duckdb.DuckDBPyConnection, ran: Ran, store: FolderStore
) -> None:
    again, reused = run_pipeline(engine, ONE_OF_EACH, store)
    assert tables_computed(store) == 1
    refresh = {"known_at": ONE_OF_EACH.run().known_at + timedelta(hours=1)}
    refreshed, remade = run_pipeline(engine, ONE_OF_EACH, store, refresh, full_refresh=True)
    # A later try of a refresh makes nothing that an earlier one has made.
    _, tried_again = run_pipeline(engine, ONE_OF_EACH, store, refresh, full_refresh=True)

    assert ran.features == again
    assert {user: row["row_hash"] for user, row in refreshed.items()} == {
        user: row["row_hash"] for user, row in again.items()
    }
    assert tried_again.days_built == 0
    assert (ran.manifest.days, ran.manifest.days_built) == (2, 2)
    assert reused.days_built == 0
    assert (remade.days_built, tables_computed(store)) == (2, 3)
    assert (ran.manifest.users, ran.manifest.state_rows, ran.manifest.session_rows) == (3, 4, 3)


def tables_computed(store: FolderStore) -> int:
    """What was learned is written beside each table that was computed, and beside no other."""
    return len(list(store.folder.rglob("features/*.json")))


def test_another_run_on_the_same_days_signs_the_table_that_is_there(
    engine: duckdb.DuckDBPyConnection, ran: Ran, store: FolderStore, new_store: Callable[[], FolderStore]
) -> None:
    later = {"run_id": "later", "known_at": ONE_OF_EACH.run().known_at + timedelta(days=400)}
    second, reused = run_pipeline(engine, ONE_OF_EACH, store, later)
    alone, _ = run_pipeline(engine, ONE_OF_EACH, new_store(), later)

    assert tables_computed(store) == 1
    assert second == alone
    assert hashes(second) == hashes(ran.features)
    assert {(row["execution_id"], row["known_at"]) for row in second.values()} == {
        ("later", later["known_at"])
    }
    assert reused.users == ran.manifest.users
    assert not set(reused.files) & set(ran.manifest.files), "a run's table lies in its own folder"


@pytest.mark.full
def test_players_for_whom_memory_is_too_small_come_in_several_files(
    engine: duckdb.DuckDBPyConnection,
    new_store: Callable[[], FolderStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Of any letters and case, since a slice begins with one of them.
    users = ["'", "ana", "Ana", "bia", "é", "zé", "👍"]
    world = replace(
        ONE_OF_EACH, bets=[{"user_id": user, "placed_at": "2026-02-20 12:00:00-03:00"} for user in users]
    )
    whole, one = run_pipeline(engine, world, new_store())
    monkeypatch.setattr(
        "crmbet.features.themes.BYTES_A_PLAYER", world.run().settings.engine.memory_bytes // 3
    )
    store = new_store()
    sliced, several = run_pipeline(engine, world, store)
    signed, reused = run_pipeline(engine, world, store, {"run_id": "later"})

    assert set(users) <= set(whole)
    assert (len(one.files), len(several.files), len(reused.files)) == (1, 3, 3)
    assert sliced == whole
    assert one.users == several.users == reused.users == len(whole)
    assert hashes(signed) == hashes(whole)
    assert tables_computed(store) == 1
    counts = [engine.sql(f"SELECT count(*) FROM {scan(store, [key])}").fetchall() for key in several.files]
    assert counts == [[(3,)], [(3,)], [(len(whole) - 6,)]]
    rows = engine.execute(f"SELECT user_id FROM {scan(store, several.files)}").fetchall()
    assert [user for (user,) in rows] == sorted(whole, key=lambda user: user.encode()), (
        "in order of their ids"
    )


@pytest.mark.full
def test_what_a_table_is_made_from_makes_another_one(
    engine: duckdb.DuckDBPyConnection, ran: Ran, store: FolderStore
) -> None:
    others: list[tuple[World, dict[str, Any]]] = [
        (replace(ONE_OF_EACH, as_of_date=date(2026, 3, 2)), {}),
        (replace(ONE_OF_EACH, players=[]), {}),
        (replace(ONE_OF_EACH, bets=[]), {}),
        (ONE_OF_EACH, {"settings": replace(ONE_OF_EACH, settings={"ticket_low": 7}).run().settings}),
    ]
    made = []
    for number, (world, changed) in enumerate(others, start=2):
        made.append(run_pipeline(engine, world, store, changed)[0])
        assert tables_computed(store) == number
    a_day_later = made[0]
    assert a_day_later["ana"]["row_hash"] != ran.features["ana"]["row_hash"]


def test_no_theme_asks_which_run_it_is_of() -> None:
    """Else a table of an earlier run must not be used again."""
    texts = "".join(statement(f"features/themes/{name}") for name in ("users", *THEMES, "create_measures"))
    assert "ticket_low" in texts
    assert not [name for name in SIGNATURE if name in texts]


def test_a_late_bet_changes_the_session_of_the_day_before(
    engine: duckdb.DuckDBPyConnection, ran: Ran, store: FolderStore
) -> None:
    late = {"user_id": "ana", "placed_at": "2026-02-21 00:30:00-03:00"}
    after, made = run_pipeline(engine, replace(ONE_OF_EACH, bets=[*ONE_OF_EACH.bets, late]), store)

    assert ran.features["ana"]["session_minutes_max_30d"] == 20.0
    assert after["ana"]["session_minutes_max_30d"] == 40.0
    assert made.days_built == 1


@pytest.mark.full
def test_a_session_feed_that_starts_later_changes_no_earlier_table(
    engine: duckdb.DuckDBPyConnection, ran: Ran, new_store: Callable[[], FolderStore]
) -> None:
    later = [{"user_id": "ana", "started_at": "2026-03-01 00:00:00-03:00"}]

    found, _ = run_pipeline(engine, replace(ONE_OF_EACH, sessions=later), new_store())

    assert found["ana"]["session_minutes_max_30d"] == 20.0
    assert found == ran.features


def test_as_of_before_any_event_has_the_players_alone(
    engine: duckdb.DuckDBPyConnection, new_store: Callable[[], FolderStore]
) -> None:
    world = replace(
        ONE_OF_EACH,
        as_of_date=date(2026, 2, 1),
        players=[{"user_id": "ana", "registered_at": "2026-01-01 12:00:00-03:00"}],
    )

    found, manifest = run_pipeline(engine, world, new_store())

    assert set(found) == {"ana"}
    assert found["ana"]["total_transactions"] == 0
    assert (manifest.days, manifest.state_rows, manifest.session_rows) == (0, 0, 0)


def test_every_row_says_what_it_is_about(ran: Ran) -> None:
    for row in ran.features.values():
        assert row["as_of"] == datetime(2026, 3, 1, 3, tzinfo=UTC)
        assert row["known_at"] == ONE_OF_EACH.run().known_at
        assert row["execution_id"] == "test"


def test_two_players_alike_have_one_hash_since_it_covers_the_features_alone(ran: Ran) -> None:
    found = hashes(ran.features)

    assert found["ana"] != found["bia"]
    assert found["bia"] == found["eva"]
