"""Themes that are computed for some players at a time, and kept in files, are those of all players at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crmbet.databases.statements import Fragment, identifier, literal, render, statement
from crmbet.features.themes import (
    COMPARED,
    KEPT,
    LEARNED,
    compute_markers,
    compute_own_themes,
    compute_scores,
    feature_queries,
    learn_from_players,
)
from crmbet.learning.scoring import value_deposits
from crmbet.run.shards import Shard
from tests.sql.test_cases import CASES, group_of, joined_world, read_case
from tests.sql.world import Features, World, compute_features, create_world, sessions_of, table

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
        for name in KEPT
    }


def rows_of(engine: duckdb.DuckDBPyConnection, query: str) -> Features:
    cursor = engine.execute(query)
    names = [column[0] for column in cursor.description or ()]
    return {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}


@pytest.mark.parametrize("folders", LARGEST, ids=lambda folders: f"{len(folders)}_cases")
def test_players_in_parts_have_the_rows_of_all_at_once(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, folders: list[Path]
) -> None:
    world = joined_world(folders)
    whole = compute_features(engine, world)
    types_of_whole = types(engine)
    # So many parts that some have nobody who ever changed a limit.
    shards = Shard.all_of(12)

    def keep(names: Sequence[str], part: object) -> None:
        for name in names:
            engine.execute(f"COPY {identifier(name)} TO {literal(str(tmp_path / f'{name} {part}.parquet'))}")

    def read(names: Sequence[str], part: object) -> None:
        for name in names:
            rows = Fragment(f"FROM read_parquet({literal(str(tmp_path / f'{name} {part}.parquet'))})")
            engine.execute(render("databases/create_table", name=identifier(name), rows=rows))

    for shard in shards:
        state, sessions = begin(engine, world)
        engine.execute("CREATE OR REPLACE TEMPORARY TABLE all_players AS FROM players; DROP TABLE players")
        compute_own_themes(engine, state=state, sessions=sessions, shard=shard)
        keep(KEPT, shard)
        engine.execute("DROP VIEW players")

    read(COMPARED, "*")
    compute_markers(engine)
    models = learn_from_players(engine, world.run())
    keep(LEARNED, "all")
    found: Features = {}
    sizes = []
    for shard in shards:
        read(KEPT, shard)
        read(LEARNED, "all")
        compute_markers(engine)
        value_deposits(engine, models)
        compute_scores(engine)
        (query,) = feature_queries(engine, world.run(), table())
        of_part = rows_of(engine, query)
        sizes.append(len(of_part))
        found |= of_part

    assert found == whole
    assert types(engine) == types_of_whole
    assert 0 < min(sizes) < len(whole) == sum(sizes)
