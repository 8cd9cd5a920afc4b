"""The gate of the raw rows names each player whose protection cannot be read, on whatever day, or none, the row is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import duckdb
import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.databases.duckdb import open_engine
from crmbet.databases.work import Work
from crmbet.extract.records import ExtractManifest, SourceCaptures
from crmbet.quality.stages import judge_raw
from crmbet.run.settings import Settings
from tests.sql.lake_folder import FolderStore, capture
from tests.sql.world import Row, World

pytestmark = pytest.mark.integration

RUN = World(as_of_date=date(2026, 3, 1)).run()
LAST_DAY, EARLIER, UNREADABLE = "2026-02-28 12:00:00", "2026-02-10 12:00:00", "31/12/2026"
A, B = "raw/limits/a.csv", "raw/limits/b.csv"


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    with open_engine(Settings.of(lake_bucket="none", memory_limit="512MB", threads=1)) as connection:
        yield Work(run=RUN, store=FolderStore(tmp_path), connection=connection)


def named(work: Work, folder: Path, objects: dict[str, Sequence[str]], new: Sequence[str]) -> list[str]:
    """The players whom the gate names; `objects` has the times of self-exclusions of players a0, a1, ..., b0, ...."""
    contract = load_source_contracts()["limits"]
    found = {
        chunk: capture(
            work.connection,
            work.store,
            RUN,
            contract,
            [
                {
                    "user_id": f"{chunk[-5]}{number}",
                    "kind": "self_exclusion",
                    "changed_at": time,
                    "new_value": "30",
                }
                for number, time in enumerate(times)
            ],
            chunk,
        )
        for chunk, times in objects.items()
    }
    limits = SourceCaptures(
        captures=list(found.values()),
        new=len(new),
        changed=dict.fromkeys(new, "new"),
        touched_days=sorted({day for chunk in new for day in found[chunk].days}),
    )
    scratch = folder / "scratch"
    scratch.mkdir()
    judgement = judge_raw(work, ExtractManifest(sources={"limits": limits}), scratch)
    try:
        rows = work.connection.sql(
            "SELECT user_id FROM raw_protection WHERE unreadable IS NOT NULL"
        ).fetchall()
    except duckdb.CatalogException:
        rows = []
    critical = {outcome.view for outcome in judgement.report.breaches({"CRITICAL"})}
    assert ("raw_protection" in critical) == bool(rows)
    return sorted(user for (user,) in rows)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("objects", "new", "players"),
    [
        ({A: [UNREADABLE, UNREADABLE]}, [A], ["a0", "a1"]),
        ({A: [UNREADABLE, EARLIER]}, [A], ["a0"]),
        ({A: [UNREADABLE, LAST_DAY]}, [A], ["a0"]),
        ({A: [UNREADABLE], B: [LAST_DAY]}, [A, B], ["a0"]),
        ({A: [UNREADABLE], B: [UNREADABLE]}, [B], ["b0"]),
        ({A: [UNREADABLE], B: [LAST_DAY]}, [B], []),
        ({A: [UNREADABLE]}, [], []),
        ({A: [EARLIER], B: [LAST_DAY]}, [A, B], []),
    ],
    ids=[
        "all of an object",
        "beside an earlier day",
        "beside the last day, once",
        "the last day is in another object",
        "what an earlier run has judged is not judged again",
        "nor with a new last day",
        "nothing new",
        "all can be read",
    ],
)
def test_a_self_exclusion_without_a_readable_time(
    work: Work,
    tmp_path: Path,
    objects: dict[str, Sequence[str]],
    new: Sequence[str],
    players: list[str],
) -> None:
    assert named(work, tmp_path, objects, new) == players


CONSENTED = {"birth_date": "1990-01-01", "consents": "email"}


def test_the_gate_says_which_rows_name_no_player(work: Work, tmp_path: Path) -> None:
    contracts = load_source_contracts()
    row = {"kind": "self_exclusion", "changed_at": LAST_DAY, "new_value": "30"}
    limits: list[Row] = [
        {**row, "user_id": "p1\u200b"},
        {**row, "user_id": "p9\u200b"},
        {**row, "user_id": None},
        {**row, "user_id": "p2", "new_value": "?"},
        {**row, "user_id": "p3"},
    ]
    players: list[Row] = [
        *({**CONSENTED, "user_id": user} for user in ("p1", "p2", "p3")),
        {**CONSENTED, "user_id": "p3\u00ad", "prohibited": "true"},
        {**CONSENTED, "user_id": "p8\u00ad", "prohibited": "true"},
        {**CONSENTED, "user_id": "p2\u00ad"},
    ]
    delivered = {"limits": (A, limits), "players": ("raw/players/dt=2026-02-28/p.csv", players)}
    sources = {
        name: SourceCaptures(
            captures=[capture(work.connection, work.store, RUN, contracts[name], rows, chunk)],
            new=1,
            changed={chunk: "new"},
            touched_days=["2026-02-28"],
        )
        for name, (chunk, rows) in delivered.items()
    }
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    report = judge_raw(work, ExtractManifest(sources=sources), scratch).report

    breaches = {of.title: of for of in report.breaches({"CRITICAL"}) if of.view == "raw_protection"}
    assert {title: of.finding for title, of in breaches.items()} == {
        "What protects a player can be read": (
            "5 of 10 records could not be read where a protection of a player may stand;"
            " players whom they name count as protected"
        ),
        "What may protect a player names a player who is known": (
            "2 of 10 records could not be read, may protect somebody, and name no player that is known,"
            " so they protect nobody"
        ),
    }
    (_, unknown) = breaches.values()
    assert sorted(re.findall("user_id=(.*?) _source_key", " ".join(unknown.keys))) == [
        *("NULL", "p9<U+200B>")
    ]
