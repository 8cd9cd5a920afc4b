"""The feature table of a run, kept with a digest of what it was made from, so that a later run finds an equal one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crmbet.contracts.files import load_reasons_contract
from crmbet.contracts.source import SourceContract
from crmbet.contracts.table import TableContract
from crmbet.databases.parquet import copy_to_file, scan
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import render, statements_digest
from crmbet.databases.work import Work
from crmbet.datasets.days import unmade_day, write_segment
from crmbet.datasets.prefetch import local_copies
from crmbet.datasets.records import DayFiles
from crmbet.datasets.segments import find_days, unread_days
from crmbet.failures import DamagedObject
from crmbet.features.records import Learned
from crmbet.features.themes import feature_queries, reason_query
from crmbet.features.variables import SIGNATURE, variables
from crmbet.learning.records import ModelFit
from crmbet.run.progress import timed
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.storage.digests import digest
from crmbet.storage.layout import attempt_name
from crmbet.storage.verified import keep_files, read_record, write_record

log = logging.getLogger(__name__)

DATASET = "feature_tables"
"""Its done-files name the tables, which lie in the folders of the runs that made them."""


@dataclass(frozen=True, kw_only=True)
class TableInputs:
    """All that a feature table is made from, except the cut-offs of the markers."""

    run: Run
    sources: Mapping[str, SourceContract]
    table: TableContract
    days: Sequence[Sequence[DayFiles]]
    """The days of state, sessions and players."""
    quarantined: Mapping[str, Sequence[DayFiles]]
    """Source to days with rows in quarantine that may protect players."""
    fits: Mapping[str, ModelFit]
    """Earlier parameters, for models that cannot be fitted to this run's players."""

    def digest(self, cut_offs: Mapping[str, float] | None) -> str:
        """Identity of the table, whichever run makes it. `cut_offs` are the frozen ones; None: the run takes its own.

        A change of what Python computes must change FEATURE_SET_VERSION, which is one of the variables.
        """
        named = {name: value for name, value in variables(self.run).items() if name not in SIGNATURE}
        inputs = (
            named,
            models_settings(self.run.settings),
            None if cut_offs is None else sorted(cut_offs.items()),
            sorted((name, fit.model_dump_json()) for name, fit in self.fits.items()),
            [[(day.day, day.digest) for day in part] for part in self.days],
            sorted(
                self.run.layout.day(f"quarantine/source={source}", day.day, day.digest).prefix.rstrip("/")
                for source, days in self.quarantined.items()
                for day in days
            ),
            statements_digest(
                ".",
                "contracts",
                "features/themes",
                "learning",
                "features/state",
                "features/sessions",
                "clean",
            ),
            self.table.digest,
            [self.sources[name].digest for name in sorted(self.sources)],
        )
        return digest(repr(inputs))


@dataclass(frozen=True)
class KeptTable:
    """A feature table in the folder of a run."""

    files: list[str]
    users: int
    learned: Learned


def find_table(work: Work, identity: str) -> KeptTable | None:
    """The table that another run has made from the same inputs; None if there is none."""
    run = work.run
    if run.params.full_refresh:
        return None
    of_this_day = f"{run.layout.dataset(DATASET)}day={run.as_of_date.isoformat()}/"
    tables, _ = find_days(
        work.store,
        run.layout,
        DATASET,
        {run.as_of_date: identity},
        lambda folder: folder.startswith(of_this_day),
    )
    if run.as_of_date not in tables:
        return None
    table = tables[run.as_of_date]
    try:
        learned = read_record(work.store, _learned_key(table.files), Learned)
    except DamagedObject as damage:
        log.warning("the table of an earlier run is not used: %s", damage)
        return None
    return KeptTable(table.files, table.rows, learned) if learned else None


def copy_table(work: Work, table: KeptTable) -> KeptTable | None:
    """Copy another run's table into this run's folder, as this run's own; None if it is damaged, or its matrix is."""
    learned = table.learned
    matrix = learned.matrix
    try:
        with local_copies(work) as files, scratch_folder(work.run.settings) as folder:
            files.urls(
                [*table.files, *learned.reasons, *([matrix.matrix, matrix.pipeline] if matrix else ())]
            )
            queries = [render("datasets/sign_rows", source=scan(files, [key])) for key in table.files]
            copied = write_table(work, folder, queries)
            told = [render("datasets/sort_rows", source=scan(files, [key])) for key in learned.reasons]
            reasons = write_table(work, folder, told, kind="reasons_")
            keys = keep_files(work.store, {**copied.keys, **reasons.keys})
    except DamagedObject as damage:
        log.warning("the table of an earlier run is not used: %s", damage)
        return None
    learned = learned.model_copy(update={"reasons": [keys[path] for path in reasons.paths]})
    return KeptTable([keys[path] for path in copied.paths], table.users, learned)


@dataclass(frozen=True)
class WrittenTable:
    """A table in local files."""

    keys: Mapping[Path, str]
    """The key that each file gets in the store, without its checksum."""
    rows: int

    @property
    def paths(self) -> list[Path]:
        """The files, in order."""
        return list(self.keys)


def write_table(work: Work, folder: Path, queries: Iterable[str], *, kind: str = "") -> WrittenTable:
    """Write a local file for each query, to be kept in the run's folder. `kind` begins the names of the files."""
    attempt = f"{kind}{attempt_name()}"
    keys: dict[Path, str] = {}
    rows = 0
    for number, query in enumerate(queries):
        name = f"{attempt}_{number}.parquet"
        rows += copy_to_file(work.connection, query, folder / name)
        keys[folder / name] = f"{work.run.prefix}features/{name}"
    return WrittenTable(keys, rows)


def write_files(work: Work, folder: Path, table: TableContract) -> tuple[WrittenTable, WrittenTable]:
    """Write the table, and the reasons of scores, for the players whose themes are in the engine."""
    with timed(log, "feature table"):
        rows = write_table(work, folder, feature_queries(work.connection, work.run, table))
    with timed(log, "reasons of scores"):
        reasons = write_table(work, folder, [reason_query(load_reasons_contract())], kind="reasons_")
    return rows, reasons


def keep_table(work: Work, identities: Iterable[str], table: KeptTable) -> None:
    """Write what was learned beside the table, and then its done-files, so that no run finds half of it."""
    run = work.run
    write_record(work.store, _learned_key(table.files), table.learned, indent=1)
    kept = [
        unmade_day(run, run.as_of_date, identity).model_copy(
            update={"files": table.files, "rows": table.users}
        )
        for identity in sorted(identities)
    ]
    write_segment(unread_days(work.store, run.layout, DATASET), run.layout, DATASET, kept)


def models_settings(settings: Settings) -> dict[str, Any]:
    """Settings that the models' parameters and scores depend on.

    The text of this dict is in the digests of stored tables: a change of its names, their order or their types would
    make every user's store compute its tables once more.
    """
    names = ("clv_margin", "clv_monthly_discount_rate", "min_model_cohort", "min_calibration_users")
    values = settings.models.model_dump(mode="json")
    return {name: values[name] for name in names}


def _learned_key(files: Sequence[str]) -> str:
    return files[0].removesuffix(".parquet") + ".json"
