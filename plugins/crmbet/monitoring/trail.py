"""From the figures of a run back to the rows: those in quarantine, and those that a failed check names.

A row is shown where it came from, why it is there, and as the source delivered it. What names or describes a person is
left out unless the caller may see it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict

from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import load_table_contract
from crmbet.databases.parquet import Located
from crmbet.databases.statements import Fragment, identifier, joined, render
from crmbet.datasets.segments import quarantined_rows
from crmbet.extract.captured import captured_rows
from crmbet.extract.records import UNDATED, Capture, ExtractManifest, SourceCaptures
from crmbet.failures import SourceMissing
from crmbet.monitoring.masking import HIDDEN, mask_key, mask_record
from crmbet.monitoring.metrics import OTHER_REASONS
from crmbet.quality.records import QualityManifest
from crmbet.run.records import manifest_key
from crmbet.run.tasks import EXTRACTS, GATES
from crmbet.storage.layout import Layout
from crmbet.storage.object_store import ObjectStore
from crmbet.storage.verified import read_record

if TYPE_CHECKING:
    import duckdb

    from crmbet.contracts.source import SourceContract

Model = TypeVar("Model", bound=BaseModel)

RAW_VIEW = "raw_"
"""What the name of a view begins with that holds the rows of a source."""
PLACE = re.compile(r"(?P<key>.*) _source_key=(?P<source_key>.*) _row=(?P<row>\d+|NULL)", re.DOTALL)
"""How a report names a row of a source."""
MARGIN = timedelta(days=2)
"""A run judges its last day. In UTC, that day lies in no more than the two days before as_of and that of as_of."""


class SourceRow(BaseModel):
    """A row as the source delivered it, and why it is shown."""

    model_config = ConfigDict(frozen=True)

    source: str
    reason: str
    source_key: str | None
    """The object of the lake, or the table."""
    source_row: int | None
    """The place in the object, from 1. None for a table."""
    day: date | None
    """Its operator day. None if its time cannot be read, or if that was not asked."""
    key: str | None
    record: Mapping[str, str | None] | None
    """The captured cells, by column. None if the capture does not hold the row any more."""


@dataclass(frozen=True, kw_only=True)
class StoreReader:
    """What rows are read with: the store, local copies of its files, and a connection of the data engine."""

    store: ObjectStore
    layout: Layout
    files: Located
    connection: duckdb.DuckDBPyConnection
    contracts: Mapping[str, SourceContract]
    """Those of the brand. They say which cells are personal."""


def set_aside_rows(
    reader: StoreReader, execution_id: str, source: str, reason: str | None, *, most: int, unmasked: bool
) -> list[SourceRow]:
    """Rows of a source that a run found in quarantine: of one reason, or of all.

    Raises `SourceMissing` if the run did not clean the source, or if its records or their files are gone.
    """
    manifest = read_manifest(reader, execution_id, "clean", CleanManifest)
    cleaned = manifest.sources.get(source)
    contract = reader.contracts.get(source)
    if cleaned is None or contract is None:
        raise _gone(f"the run {execution_id} has not cleaned {source}")
    rows = quarantined_rows(reader.files, cleaned.quarantined_days)
    if rows is None:
        return []
    select = render("monitoring/select_set_aside", rows=rows)
    wanted = {"reason": None if reason == OTHER_REASONS else reason, "most": most}
    return [
        SourceRow(
            source=source,
            reason=fault,
            source_key=source_key,
            source_row=source_row,
            day=day,
            key=key if unmasked else mask_key(contract, key),
            record=_shown(contract, json.loads(record), unmasked=unmasked) if record else None,
        )
        for fault, source_key, source_row, day, key, record in reader.connection.execute(
            select, wanted
        ).fetchall()
    ]


def rows_in_breach(
    reader: StoreReader, execution_id: str, stage: str, view: str, title: str, *, unmasked: bool
) -> list[SourceRow]:
    """The rows that the report of a stage names for an expectation: twenty at most.

    Rows of a source come as they were captured. Of other views only the names of rows are known. Raises
    `SourceMissing` if the report has no such expectation, or is gone.
    """
    report = _report(reader, execution_id, stage)
    outcome = next(
        (
            outcome
            for check in report["checks"]
            for outcome in check["expectations"]
            if (outcome["view"], outcome["title"]) == (view, title)
        ),
        None,
    )
    if outcome is None:
        raise _gone(f"the report of {stage} of the run {execution_id} has no such expectation")
    contract = reader.contracts.get(view.removeprefix(RAW_VIEW))
    places = [found for key in outcome["keys"] if (found := PLACE.fullmatch(key))]
    if contract is None or len(places) < len(outcome["keys"]):
        player = f"{load_table_contract().key}="
        return [
            SourceRow(
                source=view,
                reason=title,
                source_key=None,
                source_row=None,
                day=None,
                key=key if unmasked or player not in key else HIDDEN,
                record=None,
            )
            for key in outcome["keys"]
        ]
    as_of = datetime.fromisoformat(report["as_of"])
    records = _captured(reader, execution_id, contract, places, as_of)
    return [
        SourceRow(
            source=contract.name,
            reason=title,
            source_key=place["source_key"],
            source_row=None if place["row"] == "NULL" else int(place["row"]),
            day=None,
            key=_value(place) if unmasked else mask_key(contract, _value(place)),
            record=record and _shown(contract, record, unmasked=unmasked),
        )
        for place, record in zip(places, records, strict=True)
    ]


def _shown(contract: SourceContract, record: Mapping[str, Any], *, unmasked: bool) -> dict[str, str | None]:
    if not unmasked:
        return mask_record(contract, record)
    return {name: None if cell is None else str(cell) for name, cell in record.items()}


def _value(place: re.Match[str]) -> str:
    """The key of a row without the name of its column, if it has one column."""
    value: str = place["key"].partition("=")[2]
    return place["key"] if "=" in value else value


def _captured(
    reader: StoreReader,
    execution_id: str,
    contract: SourceContract,
    places: Sequence[re.Match[str]],
    as_of: datetime,
) -> list[dict[str, Any] | None]:
    """The captured cells at each place, in the order of the places. None for what is not there any more."""
    names = {*(place["source_key"] for place in places)}
    captures = [
        capture
        for captured in _sources(reader, execution_id, contract.name)
        for capture in captured.captures
        if capture.files and _may_hold(capture, names, as_of)
    ]
    if not captures:
        return [None for _ in places]
    rows = captured_rows(reader.files, captures)
    cells = joined([Fragment(f"{identifier(name)}::VARCHAR") for name in contract.columns])
    if contract.kind == "postgres":
        [key] = contract.business_key
        select = render("monitoring/select_captured_keys", rows=rows, cells=cells, key=identifier(key))
        keys = [_value(place) for place in places]
        found = {
            key: dict(zip(contract.columns, values, strict=True))
            for key, *values in reader.connection.execute(select, {"keys": keys}).fetchall()
        }
        return [found.get(key) for key in keys]
    select = render("monitoring/select_captured_places", rows=rows, cells=cells)
    at = [(place["source_key"], int(place["row"])) for place in places]
    wanted = {"source_keys": [key for key, _ in at], "source_rows": [row for _, row in at]}
    found_at = {
        (key, row): dict(zip(contract.columns, values, strict=True))
        for key, row, *values in reader.connection.execute(select, wanted).fetchall()
    }
    return [found_at.get(place) for place in at]


def _may_hold(capture: Capture, objects: set[str], as_of: datetime) -> bool:
    if capture.part is None:
        return capture.chunk in objects or capture.streamed
    if capture.part == UNDATED:
        return False
    return as_of.date() - MARGIN <= date.fromisoformat(capture.part) <= as_of.date()


def _sources(reader: StoreReader, execution_id: str, source: str) -> Iterable[SourceCaptures]:
    for task in EXTRACTS:
        manifest = read_manifest(reader, execution_id, task, ExtractManifest)
        if source in manifest.sources:
            yield manifest.sources[source]


def _report(reader: StoreReader, execution_id: str, stage: str) -> Any:
    if stage not in GATES:
        raise _gone(f"there is no stage {stage}")
    manifest = read_manifest(reader, execution_id, GATES[stage], QualityManifest)
    content = reader.store.read(manifest.report_json.removeprefix(reader.store.url("")))
    if content is None:
        raise _gone(f"the report of {stage} of the run {execution_id} is gone")
    return json.loads(content)


def read_manifest(reader: StoreReader, execution_id: str, task: str, model: type[Model]) -> Model:
    """What a task of a run left. Raises `SourceMissing` if it left nothing, or was swept, and `DamagedObject`."""
    manifest = read_record(reader.store, manifest_key(reader.layout.run(execution_id), task), model)
    if manifest is None:
        raise _gone(f"the run {execution_id} has left no record of {task}")
    return manifest


def _gone(what: str) -> SourceMissing:
    return SourceMissing(
        what,
        where="the store",
        why="the run did not get that far, or is older than CRMBET_RUN_RETENTION_DAYS",
        next_step="run the day again to get its rows again",
    )
