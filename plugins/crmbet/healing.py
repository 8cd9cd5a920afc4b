"""Makes damaged objects of the store again, from what lies below them: captures -> cleaned -> state -> table.

Whoever reads a damaged object moves it aside and stops. From then on it counts as missing, and the stage that makes
such objects makes it again, as it makes anything that is missing. Then the task that had met it is done again.

What nothing can give back stays a failure that names it: a run's own dates, frozen cut-offs, fitted models, baselines,
and a capture that the source does not hold any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from crmbet.clean.clean import clean_shard_of_source, clean_sources
from crmbet.clean.records import CleanManifest
from crmbet.contracts.erased_players import NOBODY, ErasedPlayers
from crmbet.contracts.source import SourceContract
from crmbet.contracts.table import TableContract
from crmbet.databases.work import Work
from crmbet.extract.lake import capture_feed
from crmbet.extract.ledger import Ledger
from crmbet.extract.postgres import capture_relation
from crmbet.extract.records import Capture, ExtractManifest
from crmbet.extract.streams import source_name
from crmbet.failures import DamagedObject, DataLost
from crmbet.features.engineer import engineer_features, engineer_shard, open_player_parts
from crmbet.features.knowledge import judge_knowledge
from crmbet.features.player_parts import PlayerParts
from crmbet.features.records import FeatureManifest
from crmbet.run.records import manifest_key, read_manifest, write_manifest
from crmbet.run.run import Run
from crmbet.run.shards import Shard
from crmbet.run.tasks import EXTRACTS
from crmbet.storage.layout import kind_of, source_of
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

MOST_ROUNDS = 50
"""So often a task is done again. Each round makes everything again that the one before has met."""

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Stages:
    """The stages of a run from its captures to its feature table."""

    run: Run
    store: ObjectStore
    open_work: Callable[[], AbstractContextManager[Work]]
    """Opens the engine; each try of a stage has its own."""
    attach_source: Callable[[duckdb.DuckDBPyConnection], None]
    """Makes the source's database visible to the engine."""
    sources: Mapping[str, SourceContract]
    table: TableContract
    erased: Callable[[], ErasedPlayers] = lambda: NOBODY
    """Finds the players who were erased, whose rows cleaning leaves out."""

    def extracts(self) -> ExtractManifest:
        """All captures of the run: those of the lake and those of PostgreSQL."""
        lake, database = self.store.in_parallel(
            lambda task: read_manifest(self.store, self.run.prefix, task, ExtractManifest), EXTRACTS
        )
        return ExtractManifest(sources={**lake.sources, **database.sources})

    def _cleaned(self) -> CleanManifest:
        return read_manifest(self.store, self.run.prefix, "clean", CleanManifest)

    def clean(self) -> CleanManifest:
        """Clean the run's captures."""
        extracts = self.extracts().sources
        with self.open_work() as work:
            # Asked only now, when no erasure can begin any more.
            return CleanManifest(sources=clean_sources(work, self.sources, extracts, self.erased()))

    def clean_shard(self, shard: Shard) -> list[date]:
        """Clean one part of each source's days, for `clean` to find. Returns the days that were missing."""
        with self.open_work() as work:
            erased = self.erased()
            made = [
                clean_shard_of_source(work, self.sources[name], captures, shard, erased=erased)
                for name, captures in self.extracts().sources.items()
            ]
        return sorted({day for days in made for day in days})

    def engineer_shard(self, shard: Shard) -> list[date]:
        """Make one part of the days of state and sessions, for `engineer` to find. Returns those that were missing."""
        cleaned = self._cleaned()
        with self.open_work() as work:
            state, sessions = engineer_shard(work, self.sources, cleaned, shard)
        return sorted({*state, *sessions})

    def engineer_shard_of_players(self, shard: Shard) -> int:
        """Compute what needs no other player for one part of them, for `engineer` to find. Returns their number."""
        with self._player_parts() as parts:
            return parts.ensure_own_themes(shard).users if parts else 0

    def learn_from_players(self) -> None:
        """Learn from all players what their scores need, for `engineer` to find."""
        with self._player_parts() as parts:
            if parts:
                parts.ensure_learned()

    def score_shard_of_players(self, shard: Shard) -> int:
        """Make the rows of one part of the players, for `engineer` to put together. Returns their number."""
        with self._player_parts() as parts:
            return parts.ensure_scored(shard).users if parts else 0

    @contextmanager
    def _player_parts(self) -> Iterator[PlayerParts | None]:
        cleaned = self._cleaned()
        with (
            self.open_work() as work,
            open_player_parts(
                work,
                self.sources,
                self.table,
                cleaned,
                lambda: judge_knowledge(work, self.sources, self.extracts(), cleaned),
            ) as parts,
        ):
            yield parts

    def engineer(self) -> FeatureManifest:
        """Make the run's feature table from its cleaned rows."""
        cleaned, extracts = self.store.at_once(self._cleaned, self.extracts)
        with self.open_work() as work:
            # A dry run has cleaned nothing that could be asked.
            dry_run = self.run.params.dry_run
            knowledge = None if dry_run else judge_knowledge(work, self.sources, extracts, cleaned)
            return engineer_features(work, self.sources, self.table, cleaned, knowledge)

    def healed(self, task: Callable[[], Result]) -> Result:
        """The result of a task. If it meets damaged objects, they are made again, and the task is done again.

        Raises `DamagedObject` for what cannot be made again, and `DataLost` for captures that the source cannot give
        again.
        """
        met: set[str] = set()
        while True:
            try:
                return task()
            except DamagedObject as damage:
                if damage.key in met or len(met) == MOST_ROUNDS:
                    raise
                met.add(damage.key)
                self._make_again(damage)

    def _make_again(self, damage: DamagedObject) -> None:
        """Make the stage again that made the object. What is whole is found there, and what is missing is made."""
        log.warning("what it was made from makes it again: %s", damage)
        kind = kind_of(damage.key)
        if kind == "captures":
            self._capture_again(source_of(damage.key))
        elif kind in ("cleaned", "quarantine") or damage.key == manifest_key(self.run.prefix, "clean"):
            write_manifest(self.store, self.run.prefix, "clean", self.healed(self.clean))
        elif kind == "runs" and self._is_of_the_table(damage.key):
            write_manifest(self.store, self.run.prefix, "engineer_features", self.healed(self.engineer))
        elif kind not in MADE_BY_THEIR_READER and not damage.key.startswith(
            self.run.layout.players(self.run.run_id)
        ):
            raise damage

    def _is_of_the_table(self, key: str) -> bool:
        made = (f"{self.run.prefix}{folder}/" for folder in ("features", "matrix"))
        return key.startswith(tuple(made)) or key == manifest_key(self.run.prefix, "engineer_features")

    def _capture_again(self, source: str) -> None:
        """Find a source's missing content, or capture it again, and name the new files in the run's manifest.

        The content may lie in another file by now, with other captures of its month. If it has to be captured, what is
        new since the run's extract is captured too, and not used by the run.
        """
        contract = self.sources[source_name(source)]
        task = "extract_pg" if contract.kind == "postgres" else "extract_s3"
        manifest = read_manifest(self.store, self.run.prefix, task, ExtractManifest)
        before = manifest.sources[contract.name]
        stored = self._stored(before.captures, source)
        missing = any(capture.digest not in stored for capture in before.captures)
        found = self._captured_now(contract) if missing else []
        captures = [
            stored.get(capture.digest) or self._replacement(capture, found) for capture in before.captures
        ]
        sources = {**manifest.sources, contract.name: before.model_copy(update={"captures": captures})}
        write_manifest(self.store, self.run.prefix, task, ExtractManifest(sources=sources))

    def _stored(self, captures: list[Capture], source: str) -> dict[str, Capture]:
        """Those of some captures, by digest, that are in the store: where they were, or where they have been joined."""
        there = {entry.key for entry in self.store.list(self.run.layout.captures(source))}
        ledger = Ledger.read(self.store, self.run, source)
        known = {
            digest: capture for digest, capture in ledger.by_digest.items() if not ledger.is_lost(capture)
        }
        where_they_were = {capture.digest: capture for capture in captures if there.issuperset(capture.files)}
        return known | where_they_were

    def _captured_now(self, contract: SourceContract) -> list[Capture]:
        """Capture what a source holds now and the store lacks; returns all captures of it."""
        with self.open_work() as opened:
            # What is whole is not captured once more, whatever the run was asked for.
            params = self.run.params.model_copy(update={"full_refresh": False})
            work = replace(opened, run=replace(self.run, params=params))
            if contract.kind == "postgres":
                self.attach_source(work.connection)
                return capture_relation(work, contract).captures
            # Nobody reads a topic again: what is gone is lost.
            found = capture_feed(work, contract) if contract.kind == "lake" else None
            return found.captures if found else []

    def _replacement(self, lost: Capture, found: list[Capture]) -> Capture:
        """The new capture of lost content. Raises `DataLost` if the source has other content by now."""
        for capture in found:
            if capture.chunk == lost.chunk and (capture.digest == lost.digest or capture.days == lost.days):
                return capture
        raise DataLost(
            f"what was captured of {lost.chunk} is damaged or gone, and the source holds other content by now",
            where=", ".join(self.store.url(key) for key in lost.files),
            why="the source replaced the content after this run had captured it",
            next_step="to go on with what the source holds now, clear the extract with downstream; to keep this run "
            "as it was, put the object back from a backup or an earlier version of it, and clear this task",
        )


MADE_BY_THEIR_READER = ("state", "sessions", "session_bets", "feature_tables")
"""Kinds of objects that the stage which reads them also makes."""
