"""Themes that are computed for some players at a time, and kept in files, are those of all players at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crmbet.databases.statements import Fragment, identifier, literal, render, statement
from crmbet.features.themes import OWN, compute_themes, feature_queries, own_themes_query, players_of
from crmbet.run.shards import Shard
from tests.sql.test_cases import CASES, group_of, joined_world, read_case
from tests.sql.world import World, compute_features, create_world, sessions_of, table

pytestmark = pytest.mark.sql

GROUPS: dict[Hashable, list[Path]] = defaultdict(list)
for _folder in CASES:
    GROUPS[group_of(_folder, read_case(_folder)[0])].append(_folder)
LARGEST = sorted(GROUPS.values(), key=len)[-2:]
"""Worlds of many cases: one has recorded sessions, one has not."""


def begin(engine: duckdb.DuckDBPyConnection, world: World) -> tuple[Fragment, Fragment]:
    """The state and the sessions of a world."""
    create_world(engine, world)
    rows = Fragment(statement("features/state/summarise_days"))
    engine.execute(render("databases/create_table", name=identifier("days_of_state"), rows=rows))
    return identifier("days_of_state"), sessions_of(engine)


def types(engine: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    return {
        name: [column[:2] for column in engine.execute(f"DESCRIBE {identifier(name)}").fetchall()]
        for name in OWN
    }


@pytest.mark.parametrize("folders", LARGEST, ids=lambda folders: f"{len(folders)}_cases")
def test_players_in_parts_have_the_rows_of_all_at_once(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, folders: list[Path]
) -> None:
    world = joined_world(folders)
    whole = compute_features(engine, world)
    types_of_whole = types(engine)
    sizes = []
    for shard in Shard.all_of(3):
        state, sessions = begin(engine, world)
        engine.execute("CREATE OR REPLACE TEMPORARY TABLE all_players AS FROM players")
        engine.execute(
            f"CREATE OR REPLACE TEMPORARY TABLE players AS FROM {players_of(identifier('all_players'), shard)}"
        )
        query = own_themes_query(engine, state=players_of(state, shard), sessions=players_of(sessions, shard))
        path = tmp_path / f"{shard.number}.parquet"
        sizes += engine.execute(f"COPY ({query}) TO {literal(str(path))}").fetchall()

    state, sessions = begin(engine, world)
    kept = Fragment(f"read_parquet({literal(str(tmp_path / '*.parquet'))})")
    compute_themes(engine, world.run(), state=state, sessions=sessions, own_themes=kept)
    (query,) = feature_queries(engine, world.run(), table())
    cursor = engine.execute(query)
    names = [column[0] for column in cursor.description or ()]
    found = {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}

    assert found == whole
    assert types(engine) == types_of_whole
    assert 0 < min(size for (size,) in sizes) < len(whole) == sum(size for (size,) in sizes)
