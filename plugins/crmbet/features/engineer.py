"""From cleaned rows to the feature table of a run: the order of the stage.

State and sessions are small tables that are kept by day. Every feature is a function of them alone, so a run over one
more day costs about a day (docs/store.md). The formulas are in include/sql/features/themes/, the meanings of the
columns in include/contracts/user_features.yaml.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial

from crmbet import FEATURE_SET_VERSION
from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import load_reasons_contract
from crmbet.contracts.source import SourceContract
from crmbet.contracts.table import TableContract
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import Fragment, identifier, render, statement
from crmbet.databases.work import Work
from crmbet.datasets.days import EnsuredDays, ensure_all_days, make_shard_of_days
from crmbet.datasets.prefetch import local_copies
from crmbet.datasets.records import DayFiles
from crmbet.features.cleaned_days import CleanedDays
from crmbet.features.kept_table import (
    DATASET,
    KeptTable,
    TableInputs,
    copy_table,
    find_table,
    keep_table,
    write_table,
)
from crmbet.features.knowledge import Knowledge
from crmbet.features.matrix import write_matrix
from crmbet.features.own_themes import find_own_themes, keep_own_themes
from crmbet.features.records import FeatureManifest, Learned
from crmbet.features.sessions import Sessions, sessions_dataset, sessions_of
from crmbet.features.state import State
from crmbet.features.themes import (
    compute_themes,
    feature_queries,
    own_themes_query,
    players_of,
    reason_query,
)
from crmbet.features.variables import bind_variables
from crmbet.learning.cut_offs import read_cut_offs
from crmbet.learning.fits import read_earlier_fits
from crmbet.learning.records import ModelFit
from crmbet.run.progress import timed
from crmbet.run.shards import Shard
from crmbet.storage.done_files import read_ahead
from crmbet.storage.verified import keep_files

log = logging.getLogger(__name__)


def engineer_features(
    work: Work,
    sources: Mapping[str, SourceContract],
    table: TableContract,
    cleaned: CleanManifest,
    knowledge: Knowledge | None = None,
) -> FeatureManifest:
    """Bring state and sessions up to date for all days before as_of, and write the feature table of the run.

    The rows say the known_at of `knowledge`; without it, the run's own. A dry run only finds out which days it would
    make.
    """
    layout = work.run.layout
    sessions = sessions_dataset(CleanedDays(work, sources, cleaned))
    with read_ahead(
        work.store,
        [layout.dataset(State.name), layout.dataset(sessions.name)],
        layout.dataset(DATASET),
        layout.all_fitted_models,
        layout.cut_offs(FEATURE_SET_VERSION),
    ):
        return _engineer(work, sources, table, cleaned, knowledge)


def _engineer(
    work: Work,
    sources: Mapping[str, SourceContract],
    table: TableContract,
    cleaned: CleanManifest,
    knowledge: Knowledge | None,
) -> FeatureManifest:
    run = work.run
    knowledge = knowledge or Knowledge(known_at=run.known_at)
    days = CleanedDays(work, sources, cleaned)
    bind_variables(work.connection, run, knowledge.known_at)
    with timed(log, "state and sessions"):
        state, sessions = _ensure(days)
    log.info("state: %d days, %d of them made now", len(state.days), len(state.made))
    manifest = FeatureManifest(
        files=[],
        state_files=sorted({key for day in state.days for key in day.files}),
        session_files=sorted({key for day in sessions.days for key in day.files}),
        users=0,
        state_rows=sum(day.rows for day in state.days),
        session_rows=sum(day.rows for day in sessions.days),
        days=len(state.days),
        days_built=len(state.made),
        sessions_built=len(sessions.made),
        known_at=knowledge.known_at,
        reconstructed=knowledge.reconstructed,
    )
    if knowledge.reconstructed:
        log.info("the rows are reconstructed: %s (docs/models.md)", knowledge.reconstructed)
    if run.params.dry_run:
        return manifest

    players = list(days.of("players").values())
    fits, cut_offs = work.store.at_once(partial(_earlier_fits, work), partial(_frozen_cut_offs, work))
    inputs = _inputs(days, table, state.days, sessions.days, fits)
    player_parts = 0
    kept = find_table(work, inputs.digest(cut_offs))
    made = copy_table(work, kept) if kept else None
    if made:
        log.info("nothing that the features are made from has changed: the table of an earlier run is copied")
    else:
        with local_copies(work) as files:
            # Of all that is read below, at once.
            files.urls(
                {
                    *(
                        key
                        for part in (state.days, sessions.days, players)
                        for day in part
                        for key in day.files
                    ),
                    *days.files_of_quarantined_protection,
                }
            )
            days.create_view("players", "players", players, files)
            days.create_unreadable_exclusions(files)
            own_themes = find_own_themes(work, inputs, files)
            player_parts = run.settings.engine.shards if own_themes else 0
            made = _make_table(
                work,
                inputs,
                state=State(days).rows_of(files, state.days),
                sessions=sessions.rows(files),
                cut_offs=cut_offs,
                own_themes=own_themes,
            )
        # The run's own cut-offs may be frozen by the time of the next run, which then looks for a table made with them.
        keep_table(work, {inputs.digest(cut_offs), inputs.digest(made.learned.cut_offs)}, made)
        if run.settings.engine.shards > 1:
            parts = work.store.list(run.layout.players(run.run_id))
            work.store.delete_all([entry.key for entry in parts])
    return manifest.model_copy(
        update={
            "files": made.files,
            "users": made.users,
            "learned": made.learned,
            "player_parts": player_parts,
        }
    )


def engineer_shard(
    work: Work, sources: Mapping[str, SourceContract], cleaned: CleanManifest, shard: Shard
) -> tuple[list[date], list[date]]:
    """Make the missing days of one part of state and of sessions, for `engineer_features` to find. Returns both."""
    days = CleanedDays(work, sources, cleaned)
    bind_variables(work.connection, work.run)
    sessions = sessions_dataset(days)
    return make_shard_of_days(work, State(days), shard), make_shard_of_days(work, sessions, shard)


def engineer_shard_of_players(
    work: Work,
    sources: Mapping[str, SourceContract],
    table: TableContract,
    cleaned: CleanManifest,
    shard: Shard,
) -> int:
    """Compute the themes of one part of the players that need no others, for `engineer_features` to find.

    Returns the number of players. Nothing is made if a table of the same inputs is there already.
    """
    days = CleanedDays(work, sources, cleaned)
    bind_variables(work.connection, work.run)
    # Other parts need the same days at the same time, so the step alone joins them.
    state, sessions = _ensure(days, join=False)
    players = list(days.of("players").values())
    inputs = _inputs(days, table, state.days, sessions.days, _earlier_fits(work))
    if find_table(work, inputs.digest(_frozen_cut_offs(work))):
        return 0
    with local_copies(work) as files:
        days.create_view("all_players", "players", players, files)
        work.connection.execute(
            render(
                "databases/create_view",
                name=identifier("players"),
                rows=players_of(identifier("all_players"), shard),
            )
        )
        days.create_unreadable_exclusions(files)
        query = own_themes_query(
            work.connection,
            state=players_of(State(days).rows_of(files, state.days), shard),
            sessions=players_of(sessions.rows(files), shard),
        )
        return keep_own_themes(work, inputs, shard, query)


def _ensure(days: CleanedDays, *, join: bool = True) -> tuple[EnsuredDays, Sessions]:
    """Bring state and sessions up to date."""
    dataset = sessions_dataset(days)
    state, sessions = ensure_all_days(days.work, [State(days), dataset], join=join)
    return state, sessions_of(dataset, sessions)


def _inputs(
    days: CleanedDays,
    table: TableContract,
    state: Sequence[DayFiles],
    sessions: Sequence[DayFiles],
    fits: Mapping[str, ModelFit],
) -> TableInputs:
    return TableInputs(
        run=days.work.run,
        sources=days.contracts,
        table=table,
        days=(state, sessions, list(days.of("players").values())),
        quarantined=days.quarantined_protection,
        fits=fits,
    )


def _make_table(
    work: Work,
    inputs: TableInputs,
    *,
    state: Fragment,
    sessions: Fragment,
    cut_offs: Mapping[str, float] | None,
    own_themes: Fragment | None,
) -> KeptTable:
    models = compute_themes(
        work.connection,
        work.run,
        state=state,
        sessions=sessions,
        cut_offs=cut_offs,
        fits=inputs.fits,
        own_themes=own_themes,
    )
    with scratch_folder(work.run.settings) as folder:
        with timed(log, "feature table"):
            table = write_table(work, folder, feature_queries(work.connection, work.run, inputs.table))
        with timed(log, "reasons of scores"):
            reasons = write_table(work, folder, [reason_query(load_reasons_contract())], kind="reasons_")
        with timed(log, "matrix"):
            matrix = write_matrix(work, inputs.table, table.paths, folder)
        # They count only once the manifest names them, so the order in which they arrive does not matter.
        keys = keep_files(work.store, {**table.keys, **reasons.keys, **(matrix.keys if matrix else {})})
    used = dict(work.connection.execute(statement("features/themes/used_cut_offs")).fetchall())
    learned = Learned(
        cut_offs=used,
        models=models,
        matrix=matrix.files(keys) if matrix else None,
        reasons=[keys[path] for path in reasons.paths],
        reason_rows=reasons.rows,
    )
    return KeptTable([keys[path] for path in table.paths], table.rows, learned)


def _earlier_fits(work: Work) -> dict[str, ModelFit]:
    run = work.run
    return read_earlier_fits(work.store, run.layout, as_of=run.as_of_date, known_at=run.known_at)


def _frozen_cut_offs(work: Work) -> Mapping[str, float] | None:
    """The cut-offs that an earlier run froze; None if there are none, or if this run should freeze new ones."""
    run = work.run
    if run.params.refreeze_cut_offs:
        return None
    frozen = read_cut_offs(
        work.store, run.layout, FEATURE_SET_VERSION, as_of_date=run.as_of_date, known_at=run.known_at
    )
    return frozen.cut_offs if frozen else None
