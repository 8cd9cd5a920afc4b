"""From cleaned rows to the feature table: daily state, sessions, then one statement per theme.

State and sessions are small tables kept by day; every feature is a function of them alone, so a day's run costs a day
(docs/store.md). The formulas are in include/sql/features/themes/, the meanings in include/contracts/user_features.yaml.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from crmbet import FEATURE_SET_VERSION
from crmbet.clean.records import CleanManifest
from crmbet.contracts.source import SourceContract
from crmbet.contracts.table import TableContract
from crmbet.databases.parquet import scan
from crmbet.databases.statements import render, statement
from crmbet.datasets.thirty_days import block_files
from crmbet.features.days import _create_view
from crmbet.features.kept_table import (
    _find_table,
    _learned_key,
    _mark_table,
    _Table,
    _table_digest,
    _write_table,
)
from crmbet.features.matrix import write_matrix
from crmbet.features.records import FeatureManifest, Learned
from crmbet.features.sessions import _ensure_sessions
from crmbet.features.state import _ensure_state, _state_rows
from crmbet.features.themes import assemblies, bind_variables, compute_themes
from crmbet.learning.fits import read_earlier_fits
from crmbet.learning.thresholds import read_thresholds
from crmbet.run.progress import timed
from crmbet.run.run import Run
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)


def engineer_features(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contracts: Mapping[str, SourceContract],
    table: TableContract,
    cleaned: CleanManifest,
) -> FeatureManifest:
    """Bring state and sessions up to date for all days before as_of, and write the feature table of the run.

    A dry run only finds out which days that would be.
    """
    bind_variables(connection, run)
    with timed(log, "state"):
        state, built = _ensure_state(connection, store, run, contracts, cleaned)
    with timed(log, "sessions"):
        sessions, session_rows, sessions_built = _ensure_sessions(connection, store, run, contracts, cleaned)
    log.info("state: %d days, of which %d were made now", len(state), len(built))
    manifest = FeatureManifest(
        files=[],
        state_files=[key for day in state for key in day.files],
        session_files=[key for day in sessions for key in day.files],
        users=0,
        state_rows=sum(day.rows for day in state),
        session_rows=sum(day.rows for day in sessions),
        days=len(state),
        days_built=len(built),
        sessions_built=len(sessions_built),
    )
    if run.params.dry_run:
        return manifest

    players = cleaned.sources.get("players")
    player_days = players.days if players else []
    player_files = [key for day in player_days for key in day.files]
    _create_view(connection, store, "players", player_files, contracts["players"])
    frozen = None if run.params.refreeze_thresholds else _frozen_thresholds(store, run)
    fits = read_earlier_fits(store, run.layout, as_of=run.as_of_date, known_at=run.known_at)

    def digest(thresholds: Mapping[str, float] | None) -> str:
        return _table_digest(
            run,
            contracts,
            table,
            days=(state, sessions, player_days),
            thresholds=thresholds,
            fits=fits,
        )

    found = _find_table(store, run, digest(frozen))
    if found:
        log.info("nothing that the features are made from has changed: an earlier run's table is signed anew")
        signed = [render("datasets/sign_rows", source=scan(store, [key])) for key in found.files]
        files, _ = _write_table(connection, store, run, signed)
        return manifest.model_copy(update={"files": files, "users": found.users, "learned": found.learned})
    with timed(log, "blocks of state"):
        blocks = block_files(connection, store, run, "state_blocks", state)
    models = compute_themes(
        connection,
        run,
        state=_state_rows(connection, store, contracts, blocks),
        sessions=session_rows,
        thresholds=frozen,
        fits=fits,
    )
    with timed(log, "feature table"):
        files, users = _write_table(connection, store, run, assemblies(connection, run, table))
    with timed(log, "matrix"):
        matrix = write_matrix(connection, store, run, table, files)
    learned = Learned(
        thresholds=dict(connection.execute(statement("features/themes/used_thresholds")).fetchall()),
        models=models,
        matrix=matrix,
    )
    store.write(_learned_key(files), learned.model_dump_json(indent=1).encode())
    # Its own thresholds may be frozen by the time of the next run, which then asks for them by their values.
    _mark_table(store, run, {digest(frozen), digest(learned.thresholds)}, _Table(files, users, learned))
    return manifest.model_copy(update={"files": files, "users": users, "learned": learned})


def _frozen_thresholds(store: ObjectStore, run: Run) -> dict[str, float] | None:
    act = read_thresholds(
        store, run.layout, FEATURE_SET_VERSION, as_of_date=run.as_of_date, known_at=run.known_at
    )
    return act.thresholds if act else None
