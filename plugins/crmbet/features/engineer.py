"""From cleaned rows to the feature table of a run: the order of the stage.

State and sessions are small tables that are kept by day. Every feature is a function of them alone, so a run over one
more day costs about a day (docs/store.md). The formulas are in include/sql/features/themes/, the meanings of the
columns in include/contracts/user_features.yaml.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path

from crmbet import FEATURE_SET_VERSION
from crmbet.clean.records import CleanManifest
from crmbet.contracts.source import SourceContract
from crmbet.contracts.table import TableContract
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import Fragment
from crmbet.databases.work import Work
from crmbet.datasets.days import EnsuredDays, ensure_all_days, make_shard_of_days
from crmbet.datasets.prefetch import LocalCopies, local_copies
from crmbet.datasets.records import DayFiles
from crmbet.features.cleaned_days import CleanedDays
from crmbet.features.kept_table import (
    DATASET,
    KeptTable,
    TableInputs,
    copy_table,
    find_table,
    keep_table,
    write_files,
)
from crmbet.features.knowledge import Knowledge
from crmbet.features.matrix import write_matrix
from crmbet.features.player_parts import PlayerParts
from crmbet.features.records import FeatureManifest, Learned
from crmbet.features.sessions import Sessions, sessions_dataset, sessions_of
from crmbet.features.state import State
from crmbet.features.themes import compute_themes, used_cut_offs
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

    fits, cut_offs = work.store.at_once(partial(_earlier_fits, work), partial(_frozen_cut_offs, work))
    inputs = _inputs(days, table, state.days, sessions, fits)
    player_parts = 0
    kept = find_table(work, inputs.digest(cut_offs))
    made = copy_table(work, kept) if kept else None
    if made:
        log.info("nothing that the features are made from has changed: the table of an earlier run is copied")
    else:
        with local_copies(work) as files:
            read = _Events(days, inputs, sessions, files)
            if run.settings.engine.shards > 1:
                parts = _player_parts(read, cut_offs, lambda: knowledge.known_at, known_at=knowledge.known_at)
                made = _join_parts(work, inputs, parts)
                player_parts = len(parts.shards)
            else:
                made = _make_table(work, inputs, read, cut_offs)
        # The run's own cut-offs may be frozen by the time of the next run, which then looks for a table made with them.
        keep_table(work, {inputs.digest(cut_offs), inputs.digest(made.learned.cut_offs)}, made)
        if run.settings.engine.shards > 1:
            made_of_parts = work.store.list(run.layout.players(run.run_id))
            work.store.delete_all([entry.key for entry in made_of_parts])
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


@contextmanager
def open_player_parts(
    work: Work,
    sources: Mapping[str, SourceContract],
    table: TableContract,
    cleaned: CleanManifest,
    judge: Callable[[], Knowledge],
) -> Iterator[PlayerParts | None]:
    """The parts of the players, for tasks that make some of what `engineer_features` looks for.

    It is None if there is a table of the same inputs already.
    """
    days = CleanedDays(work, sources, cleaned)
    bind_variables(work.connection, work.run)
    # Other parts need the same days at the same time, so the step alone joins them.
    state, sessions = _ensure(days, join=False)
    inputs = _inputs(days, table, state.days, sessions, _earlier_fits(work))
    cut_offs = _frozen_cut_offs(work)
    if find_table(work, inputs.digest(cut_offs)):
        yield None
        return
    with local_copies(work) as files:
        yield _player_parts(_Events(days, inputs, sessions, files), cut_offs, lambda: judge().known_at)


def _ensure(days: CleanedDays, *, join: bool = True) -> tuple[EnsuredDays, Sessions]:
    """Bring state and sessions up to date."""
    dataset = sessions_dataset(days)
    state, sessions = ensure_all_days(days.work, [State(days), dataset], join=join)
    return state, sessions_of(dataset, sessions)


def _inputs(
    days: CleanedDays,
    table: TableContract,
    state: Sequence[DayFiles],
    sessions: Sessions,
    fits: Mapping[str, ModelFit],
) -> TableInputs:
    return TableInputs(
        run=days.work.run,
        sources=days.contracts,
        table=table,
        days=(state, sessions.days, list(days.of("players").values())),
        quarantined=days.quarantined_protection,
        fits=fits,
    )


@dataclass(frozen=True)
class _Events:
    """What the themes of players are made from."""

    days: CleanedDays
    inputs: TableInputs
    sessions: Sessions
    files: LocalCopies

    def read(self, players: str) -> tuple[Fragment, Fragment]:
        """Make the views that themes read, that of the players under a name. Returns state and sessions."""
        state, _, of_players = self.inputs.days
        # Of all that is read below, at once.
        self.files.urls(
            {
                *(key for part in self.inputs.days for day in part for key in day.files),
                *self.days.files_of_quarantined_protection,
            }
        )
        self.days.create_view(players, "players", of_players, self.files)
        self.days.create_unreadable_exclusions(self.files)
        return State(self.days).rows_of(self.files, state), self.sessions.rows(self.files)


def _player_parts(
    events: _Events,
    cut_offs: Mapping[str, float] | None,
    judge: Callable[[], datetime],
    known_at: datetime | None = None,
) -> PlayerParts:
    return PlayerParts(
        work=events.days.work,
        inputs=events.inputs,
        cut_offs=cut_offs,
        files=events.files,
        events=lambda: events.read("all_players"),
        judge=judge,
        known_at=known_at,
    )


def _make_table(
    work: Work, inputs: TableInputs, events: _Events, cut_offs: Mapping[str, float] | None
) -> KeptTable:
    """Make the table of all players at once."""
    state, sessions = events.read("players")
    models = compute_themes(
        work.connection,
        work.run,
        state=state,
        sessions=sessions,
        cut_offs=cut_offs,
        fits=inputs.fits,
    )
    with scratch_folder(work.run.settings) as folder:
        table, reasons = write_files(work, folder, inputs.table)
        with timed(log, "matrix"):
            matrix = write_matrix(work, inputs.table, table.paths, folder)
        # They count only once the manifest names them, so the order in which they arrive does not matter.
        keys = keep_files(work.store, {**table.keys, **reasons.keys, **(matrix.keys if matrix else {})})
    learned = Learned(
        cut_offs=used_cut_offs(work.connection),
        models=models,
        matrix=matrix.files(keys) if matrix else None,
        reasons=[keys[path] for path in reasons.paths],
        reason_rows=reasons.rows,
    )
    return KeptTable([keys[path] for path in table.paths], table.rows, learned)


def _join_parts(work: Work, inputs: TableInputs, parts: PlayerParts) -> KeptTable:
    """Make the table of parts of the players, and the parts that are missing."""
    scored = [parts.ensure_scored(shard) for shard in parts.shards]
    learned = parts.ensure_learned()
    files = [key for part in scored for key in part.files]
    with scratch_folder(work.run.settings) as folder:
        with timed(log, "matrix"):
            paths = [Path(path) for path in parts.files.urls(files)]
            matrix = write_matrix(work, inputs.table, paths, folder)
        keys = keep_files(work.store, matrix.keys if matrix else {})
    return KeptTable(
        files,
        sum(part.users for part in scored),
        Learned(
            cut_offs=learned.cut_offs,
            models=learned.models,
            matrix=matrix.files(keys) if matrix else None,
            reasons=[key for part in scored for key in part.reasons],
            reason_rows=sum(part.reason_rows for part in scored),
        ),
    )


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
