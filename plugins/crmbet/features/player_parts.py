"""The feature table in parts of the players, for several machines.

There are three rounds. Each part of the players gets its own themes, those that need no other player. What compares
players is learned from a few of these themes, of all players at once. Then each part gets its scores, and its files of
the table.

What is made lies in the folder of the run, under a digest of what it was made from. Whoever needs something looks for
it and makes what is missing, so it does not matter which task on which machine made it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from crmbet.databases.parquet import copy_to_file, scan
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import Fragment, identifier, render
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import LocalCopies
from crmbet.features.kept_table import TableInputs, write_files
from crmbet.features.records import LearnedFromPlayers, OwnThemes, ScoredPart
from crmbet.features.themes import (
    COMPARED,
    KEPT,
    LEARNED,
    compute_markers,
    compute_own_themes,
    compute_scores,
    learn_from_players,
    used_cut_offs,
)
from crmbet.features.variables import bind_variables
from crmbet.learning.scoring import value_deposits
from crmbet.run.progress import timed
from crmbet.run.shards import Shard
from crmbet.storage.digests import digest
from crmbet.storage.layout import attempt_name
from crmbet.storage.verified import keep_files, read_records, write_record

log = logging.getLogger(__name__)

Part = TypeVar("Part", OwnThemes, LearnedFromPlayers, ScoredPart)


@dataclass(frozen=True, kw_only=True)
class PlayerParts:
    """The parts of the players of a run."""

    work: Work
    inputs: TableInputs
    cut_offs: Mapping[str, float] | None
    """The frozen cut-offs of markers; None if this run takes its own."""
    files: LocalCopies
    events: Callable[[], tuple[Fragment, Fragment]]
    """Makes the views `all_players` and `unreadable_exclusions`; returns table expressions of state and sessions."""
    judge: Callable[[], datetime]
    """Finds out what the rows say of when their facts were known, which can take long."""
    known_at: datetime | None = None
    """What the rows must say of it; None: whatever the task has found out that made them."""

    @property
    def shards(self) -> list[Shard]:
        """All parts."""
        return Shard.all_of(self.work.run.settings.engine.shards)

    def ensure_own_themes(self, shard: Shard) -> OwnThemes:
        """The themes of a part that need no other player, made now if they are missing."""
        folder = self._folder(self._themes_digest, str(shard))
        if found := self._find(OwnThemes, folder, lambda own: own.tables.values()):
            return found
        state, sessions = self._events
        compute_own_themes(self.work.connection, state=state, sessions=sessions, shard=shard)
        count = render("databases/count_rows", rows=Fragment("FROM users"))
        ((users,),) = self.work.connection.execute(count).fetchall()
        own = OwnThemes(users=users, tables=self._keep_tables(folder, KEPT))
        return self._keep(own, folder)

    def ensure_learned(self) -> LearnedFromPlayers:
        """What compares players, learned from all of them now if it is missing."""
        folder = self._folder(self._table_digest, "all")
        if found := self._find(
            LearnedFromPlayers, folder, lambda learned: learned.tables.values(), self._says_when
        ):
            return found
        own = [self.ensure_own_themes(shard) for shard in self.shards]
        self._read_tables({name: [part.tables[name] for part in own] for name in COMPARED})
        compute_markers(self.work.connection)
        models = learn_from_players(
            self.work.connection, self.work.run, cut_offs=self.cut_offs, fits=self.inputs.fits
        )
        learned = LearnedFromPlayers(
            cut_offs=used_cut_offs(self.work.connection),
            models=models,
            known_at=self.judge(),
            tables=self._keep_tables(folder, LEARNED),
        )
        return self._keep(learned, folder)

    def ensure_scored(self, shard: Shard) -> ScoredPart:
        """The files of the table for a part of the players, made now if they are missing."""
        folder = self._folder(self._table_digest, str(shard))
        if found := self._find(
            ScoredPart, folder, lambda part: [*part.files, *part.reasons], self._says_when
        ):
            return found
        learned, own = self.ensure_learned(), self.ensure_own_themes(shard)
        connection = self.work.connection
        self._read_tables({name: [key] for name, key in (own.tables | learned.tables).items()})
        compute_markers(connection)
        value_deposits(connection, learned.models)
        compute_scores(connection)
        bind_variables(connection, self.work.run, learned.known_at)
        with scratch_folder(self.work.run.settings) as scratch:
            table, reasons = write_files(self.work, scratch, self.inputs.table)
            keys = keep_files(self.work.store, {**table.keys, **reasons.keys})
        part = ScoredPart(
            files=[keys[path] for path in table.paths],
            users=table.rows,
            reasons=[keys[path] for path in reasons.paths],
            reason_rows=reasons.rows,
            known_at=learned.known_at,
        )
        return self._keep(part, folder)

    @cached_property
    def _events(self) -> tuple[Fragment, Fragment]:
        return self.events()

    def _keep_tables(self, folder: str, names: Iterable[str]) -> dict[str, str]:
        """Write a file for each table; returns their keys by name."""
        attempt = attempt_name()
        with timed(log, "keeping tables"), scratch_folder(self.work.run.settings) as scratch:
            paths = {name: scratch / f"{name}.parquet" for name in names}
            for name, path in paths.items():
                copy_to_file(self.work.connection, f"FROM {identifier(name)}", path)
            keys = {path: f"{folder}{attempt}_{name}.parquet" for name, path in paths.items()}
            kept = keep_files(self.work.store, keys)
            return {name: kept[path] for name, path in paths.items()}

    def _read_tables(self, tables: Mapping[str, Sequence[str]]) -> None:
        """Create each table from its files."""
        # Of all tables at once.
        self.files.urls([key for keys in tables.values() for key in keys])
        with timed(log, "reading tables"):
            for name, keys in tables.items():
                rows = Fragment(f"FROM {scan(self.files, keys)}")
                self.work.connection.execute(
                    render("databases/create_table", name=identifier(name), rows=rows)
                )

    def _keep(self, part: Part, folder: str) -> Part:
        write_record(self.work.store, f"{folder}{attempt_name()}.json", part, indent=1)
        return part

    def _says_when(self, record: LearnedFromPlayers | ScoredPart) -> bool:
        """Whether its rows say of when their facts were known what they must."""
        return self.known_at in (None, record.known_at)

    def _find(
        self,
        model: type[Part],
        folder: str,
        files: Callable[[Part], Iterable[str]],
        is_valid: Callable[[Part], bool] = lambda _record: True,
    ) -> Part | None:
        """A valid record whose files are all there."""
        store = self.work.store
        keys = [entry.key for entry in store.list(folder) if entry.key.endswith(".json")]
        if not keys:
            return None
        there = {entry.key for entry in store.list(self.work.run.prefix)}
        for _, record in sorted(read_records(store, keys, model).items()):
            if there.issuperset(files(record)) and is_valid(record):
                return record
        return None

    def _folder(self, made_from: str, part: str) -> str:
        run = self.work.run
        return f"{run.layout.players(run.run_id)}{made_from}/{part.replace(' ', '_')}/"

    @cached_property
    def _themes_digest(self) -> str:
        # A player's own themes do not depend on earlier fits.
        return self._digest(replace(self.inputs, fits={}).digest(None))

    @cached_property
    def _table_digest(self) -> str:
        return self._digest("scores", self.inputs.digest(self.cut_offs))

    def _digest(self, *made_from: str) -> str:
        import duckdb

        # Another release of the engine may cut the players in another way.
        return digest(*made_from, duckdb.__version__, str(len(self.shards)))
