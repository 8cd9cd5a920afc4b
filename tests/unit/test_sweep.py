"""What a sweep keeps, on stores that are made up: histories that a real run takes months to make."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet import sweep as module
from crmbet.clean.records import CleanedSource, CleanManifest
from crmbet.datasets.records import DayFiles
from crmbet.extract.ledger import Ledger
from crmbet.extract.records import Capture, ExtractManifest, SourceCaptures
from crmbet.run.params import RunParams
from crmbet.run.records import manifest_key
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight
from crmbet.storage.layout import Layout
from crmbet.storage.object_store import StoredObject
from crmbet.sweep import SweepPlan, plan_sweep, sweep

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TODAY = date(2026, 11, 24)
SETTINGS = Settings(lake_bucket="lake", brand="acme")
LAYOUT = Layout(brand="acme")
CHUNK = "raw/bets/a.csv"


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


LONG_AGO = ago(600)


class MemoryStore:
    """An S3 bucket in memory, whose objects are as old as a test says."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.most_read_at_once = 0

    def put(self, key: str, content: bytes = b"rows", *, at: datetime = LONG_AGO) -> str:
        self.objects[key] = (content, at)
        return key

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for key, (content, at) in sorted(self.objects.items()):
            if key.startswith(prefix):
                yield StoredObject(key=key, etag="", size=len(content), last_modified=at)

    def read(self, key: str) -> bytes | None:
        return self.objects[key][0] if key in self.objects else None

    def read_all(self, keys: Iterable[str]) -> dict[str, bytes | None]:
        found = {key: self.read(key) for key in keys}
        self.most_read_at_once = max(self.most_read_at_once, len(found))
        return found

    def delete_all(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def capture(
        self,
        digest: str,
        captured_at: datetime,
        *,
        attempt: str = "a1",
        files: builtins.list[str] | None = None,
    ) -> Capture:
        """A finished capture of CHUNK."""
        folder = LAYOUT.capture("bets", digest)
        if files is None:
            files = [self.put(f"{folder.prefix}{attempt}.parquet", at=captured_at)]
        made = Capture(
            source="bets", chunk=CHUNK, digest=digest, files=files, extracted=len(files), days={},
            captured_at=captured_at, made_at=captured_at,
        )  # fmt: skip
        self.put(folder.done_file(attempt), made.model_dump_json().encode(), at=captured_at)
        return made

    def day(self, dataset: str, digest: str, made_at: datetime, **of_day: Any) -> DayFiles:
        """A finished set of today."""
        made = DayFiles(
            **{"day": TODAY, "digest": digest, "files": [], "rows": 0, "made_at": made_at} | of_day
        )
        self.put(
            LAYOUT.day(dataset, TODAY, digest).done_file("a1"), made.model_dump_json().encode(), at=made_at
        )
        return made

    def manifest(self, run_id: str, task: str, manifest: Any, *, at: datetime) -> None:
        self.put(manifest_key(LAYOUT.run(run_id), task), manifest.model_dump_json().encode(), at=at)


@pytest.fixture
def store() -> Any:
    return MemoryStore()


def ledger(store: Any, **params: Any) -> Ledger:
    """The captures of bets as a run of now finds them."""
    window = Window(as_of_date=TODAY, as_of=midnight(TODAY, SETTINGS.zone))
    run = Run(run_id="r", window=window, known_at=NOW, params=RunParams(**params), settings=SETTINGS)
    return Ledger.read(store, run, "bets")


def plan(store: Any) -> SweepPlan:
    return plan_sweep(store, LAYOUT, SETTINGS, NOW)


def swept(store: Any) -> SweepPlan:
    done = plan(store)
    sweep(store, LAYOUT, SETTINGS, done)
    return done


def extract(*captures: Capture) -> ExtractManifest:
    return ExtractManifest(sources={"bets": SourceCaptures(captures=list(captures))})


# Captures ----------------------------------------------------------------------------------------------------------


def test_content_that_came_back_is_not_captured_again(store: Any) -> None:
    # The source went from a1 to b2 and back to a1: the newest capture says so, and lies in the files of the first.
    first = store.capture("a1", ago(900))
    store.capture("b2", ago(800))
    store.capture("c3", ago(700), files=first.files)

    swept(store)

    assert ledger(store).find("a1")
    assert not ledger(store).find("b2")
    assert ledger(store).newest[CHUNK].files == first.files


def test_a_content_is_as_old_as_its_first_capture(store: Any) -> None:
    # Two runs captured a1 side by side; by the earlier one, b2 is the newer content.
    store.capture("a1", ago(900), attempt="early")
    store.capture("b2", ago(800))
    store.capture("a1", ago(700), attempt="late")
    newest = ledger(store).newest

    swept(store)

    assert ledger(store).newest == newest


STEPS = st.lists(
    st.tuples(st.sampled_from(["a1", "b2", "c3", "d4"]), st.integers(8, 900), st.booleans()), max_size=8
)


@settings(deadline=None)
@given(steps=STEPS, asked=st.integers(0, 400))
def test_whatever_was_captured_a_known_at_within_the_retention_finds_the_same(
    steps: list[tuple[str, int, bool]], asked: int
) -> None:
    store: Any = MemoryStore()
    for number, (digest, days, elsewhere) in enumerate(steps):
        # Some say that older content is the newest again, and lie in files of another folder.
        files = [store.put(f"{LAYOUT.capture('bets', 'a1').prefix}shared.parquet")] if elsewhere else None
        store.capture(digest, ago(days), attempt=f"t{number}", files=files)
    found = ledger(store).known_at(ago(asked)).captures
    newest = ledger(store).newest

    swept(store)

    assert ledger(store).known_at(ago(asked)).captures == found
    assert ledger(store).newest == newest
    for capture in ledger(store).by_digest.values():
        assert store.objects.keys() >= set(capture.files)
    assert plan(store).objects == plan(store).done_files == []


def test_of_a_content_that_was_joined_the_new_file_stays(store: Any) -> None:
    alone = store.capture("a1", ago(900))
    file = store.put(f"{LAYOUT.capture('bets', 'a1').prefix}joined.parquet", at=ago(30))
    moved = alone.model_copy(update={"files": [file], "joined_at": ago(30)})
    store.put(LAYOUT.capture("bets", "a1").done_file("joined"), moved.model_dump_json().encode(), at=ago(30))
    store.manifest("r1", "extract_s3", extract(alone), at=ago(60))

    swept(store)

    assert not store.objects.keys() & {*alone.files, LAYOUT.capture("bets", "a1").done_file("a1")}
    assert ledger(store).find("a1") == moved


def test_a_content_that_a_kept_run_has_used_stays(store: Any) -> None:
    # The run was asked to keep what the source has replaced, so it used content that was not the newest.
    used = store.capture("a1", ago(900))
    store.capture("b2", ago(800))
    store.capture("c3", ago(700))
    store.manifest("r1", "extract_s3", extract(used), at=ago(60))

    swept(store)

    assert ledger(store).by_digest.keys() == {"a1", "c3"}


def test_a_tombstone_stays(store: Any) -> None:
    store.capture("a1", ago(900))
    gone = store.capture("b2", ago(800), files=[]).model_copy(update={"gone": True})
    store.put(LAYOUT.capture("bets", "b2").done_file("a1"), gone.model_dump_json().encode())

    swept(store)

    assert ledger(store).newest == {CHUNK: gone}


# Days --------------------------------------------------------------------------------------------------------------


def test_a_young_marker_keeps_its_files(store: Any) -> None:
    file = store.put(f"{LAYOUT.day('state', TODAY, 'a1').prefix}f.parquet", at=ago(30))
    store.day("state", "a1", ago(5), files=[file])
    store.day("state", "b2", ago(1))

    swept(store)

    assert file in store.objects


@pytest.mark.parametrize(("days", "is_kept"), [(6, True), (8, False)])
def test_a_day_that_is_all_quarantine_is_kept_for_the_young_run_that_used_it(
    store: Any, days: int, is_kept: bool
) -> None:
    bad = store.put(f"{LAYOUT.day('quarantine/source=bets', TODAY, 'a1').prefix}f.parquet", at=ago(300))
    used = store.day("cleaned/source=bets", "a1", ago(300), quarantine_files=[bad])
    store.day("cleaned/source=bets", "b2", ago(200))
    cleaned = CleanedSource(
        days=[used], quarantine_files=[bad], extracted=1, accepted=0, duplicates=0,
        quarantined={"user_id: missing": 1}, outside={}, made=[],
    )  # fmt: skip
    store.manifest("r1", "clean", CleanManifest(sources={"bets": cleaned}), at=ago(days))

    swept(store)

    marker = LAYOUT.day("cleaned/source=bets", TODAY, "a1").done_file("a1")
    assert (store.objects.keys() >= {bad, marker}) == is_kept
    assert (store.objects.keys().isdisjoint({bad, marker})) != is_kept


# What is not ours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "notes.txt",
        "captures/notes.txt",
        "captures/source=bets/chunk=a1/by-hand.csv",
        "captures/source=bets/copy of chunk=a1/f.parquet",
        "cleaned/source=bets/day=2026-01-01/f.parquet",
        "quarantine/reviewed.xlsx",
        "state/README.md",
        "state/day=2026-01-01/set=a1/notes.md",
        "runs/notes.txt",
        "runs/run_id=r1/notebook.ipynb",
        "reports/index.html",
        "models/churn/weights.bin",
        "models/as_of=2026-01-01/notes.txt",
    ],
)
def test_what_nobody_of_us_writes_is_left_alone_and_named(store: Any, key: str) -> None:
    foreign = store.put(LAYOUT.root + key)

    done = swept(store)

    assert foreign in store.objects
    assert len(done.unknown) == 1
    assert foreign.startswith(done.unknown[0])


def test_other_brands_and_the_source_are_not_even_listed(store: Any) -> None:
    others = [
        store.put("crmbet/brand=acme2/state/day=2026-01-01/set=a1/f.parquet"),
        store.put("raw/bets/a.csv"),
    ]

    done = swept(store)

    assert (done.done_files, done.objects, done.unknown) == ([], [], [])
    assert store.objects.keys() == set(others)


def test_the_newest_two_indexes_stay(store: Any) -> None:
    indexes = [store.put(f"{LAYOUT.captures('bets')}_index/{name}.json", at=ago(30 - place)) for place, name in
               enumerate(["d", "c", "b", "a"])]  # fmt: skip

    swept(store)

    assert store.objects.keys() == set(indexes[2:])


# Runs --------------------------------------------------------------------------------------------------------------


def test_baselines_stay_and_data_docs_go_with_their_run(store: Any) -> None:
    kept = store.put(LAYOUT.baseline("raw", TODAY, TODAY, "old"), at=ago(900))
    store.put(f"{LAYOUT.report(TODAY, 'old')}data_docs/raw/validations/a/b.html", at=ago(900))

    swept(store)

    assert store.objects.keys() == {kept}


def test_a_run_goes_as_a_whole_with_its_reports(store: Any) -> None:
    for run_id, days in (("old", 401), ("young", 399)):
        store.put(f"{LAYOUT.run(run_id)}run.json", at=ago(days + 1))
        store.put(f"{LAYOUT.run(run_id)}features/a1.parquet", at=ago(days))
        store.put(f"{LAYOUT.report(TODAY, run_id)}raw.html", at=ago(days))

    swept(store)

    assert {key.rpartition("run_id=")[2].partition("/")[0] for key in store.objects} == {"young"}
    assert len(store.objects) == 3


def test_a_feature_table_may_be_used_again_within_the_grace_and_stays_in_its_run(store: Any) -> None:
    tables, done_files = [], {}
    for run_id, days in {"young": 6, "older": 8}.items():
        key = store.put(f"{LAYOUT.run(run_id)}features/a.parquet", at=ago(days))
        store.day("feature_tables", run_id.encode().hex(), ago(days), files=[key])
        tables.append(key)
        done_files[run_id] = LAYOUT.day("feature_tables", TODAY, run_id.encode().hex()).done_file("a1")

    done = swept(store)

    assert store.objects.keys() == {*tables, done_files["young"]}
    assert (done.done_files, done.objects) == ([done_files["older"]], [])


def test_manifests_are_read_a_few_at_a_time(store: Any) -> None:
    # Each names every day of the history: those of a year together would fill a worker's memory.
    for number in range(100):
        store.manifest(f"r{number}", "extract_s3", extract(), at=ago(1))

    plan(store)

    assert store.most_read_at_once == module.READ_AT_ONCE < 50


# Between plan and sweep --------------------------------------------------------------------------------------------


def test_what_a_run_has_taken_up_since_the_plan_is_not_removed(store: Any) -> None:
    # A failed sweep may be cleared weeks after its plan, when the source holds old content again.
    old = store.capture("a1", ago(900))
    newest = store.capture("b2", ago(800))
    older_file = store.put(f"{LAYOUT.day('state', TODAY, 'a1').prefix}f.parquet")
    doomed = plan(store)
    assert set(old.files) <= set(doomed.objects)
    store.manifest("back", "extract_s3", extract(old), at=NOW)

    removed = sweep(store, LAYOUT, SETTINGS, doomed)

    assert removed == 1
    assert older_file not in store.objects
    assert store.objects.keys() >= {*old.files, *newest.files, LAYOUT.capture("bets", "a1").done_file("a1")}


def test_a_sweep_that_dies_half_way_leaves_no_marker_without_its_files(store: Any) -> None:
    store.capture("a1", ago(900))
    store.capture("b2", ago(800))
    doomed = plan(store)
    delete_all = store.delete_all

    def die_next_time(keys: list[str]) -> None:
        delete_all(keys)
        store.delete_all = die

    def die(_keys: list[str]) -> None:
        raise KeyboardInterrupt

    store.delete_all = die_next_time
    with pytest.raises(KeyboardInterrupt):
        sweep(store, LAYOUT, SETTINGS, doomed)
    assert store.objects.keys() & {*doomed.done_files, *doomed.objects}, "it died half-way"
    for capture in ledger(store).by_digest.values():
        assert store.objects.keys() >= set(capture.files)

    store.delete_all = delete_all
    sweep(store, LAYOUT, SETTINGS, doomed)
    assert not store.objects.keys() & {*doomed.done_files, *doomed.objects}


def test_a_sweep_removes_nothing_that_its_plan_does_not_name(store: Any) -> None:
    doomed = plan(store)
    left = store.put(f"{LAYOUT.day('state', TODAY, 'a1').prefix}f.parquet")
    store.day("sessions", "a1", LONG_AGO)
    store.day("sessions", "b2", ago(500))
    before = set(store.objects)
    assert plan(store).done_files, "a plan of now would name it"

    assert sweep(store, LAYOUT, SETTINGS, doomed) == 0
    assert store.objects.keys() == before >= {left}


def test_models_go_with_the_retention_but_for_the_newest_as_of(store: Any) -> None:
    def put(as_of: date, days: float) -> str:
        key: str = store.put(f"{LAYOUT.fitted_models(as_of)}a.json", b"{}", at=ago(days))
        return key

    old, newest = put(date(2024, 1, 1), 700), put(date(2024, 2, 1), 650)
    swept(store)
    assert set(store.objects) == {newest}

    young = put(date(2026, 11, 1), 23)
    swept(store)
    assert set(store.objects) == {young}
    assert old not in store.objects
