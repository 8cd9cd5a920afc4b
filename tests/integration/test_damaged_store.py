"""A damaged store: nothing that is not what was written is ever believed, and what can be made anew is made anew.

The world is small and lies in a folder. The engine cannot read its addresses, so whatever is read without being
compared with its checksum fails every test here.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.databases.duckdb import attach_postgres, open_engine
from crmbet.databases.work import Work
from crmbet.datasets import segments
from crmbet.datasets.prefetch import LocalCopies, local_copies
from crmbet.datasets.records import Segment
from crmbet.extract import joining
from crmbet.extract.lake import capture_feed
from crmbet.extract.ledger import Ledger
from crmbet.extract.postgres import SOURCE, capture_relation
from crmbet.extract.records import CaptureSegment, ExtractManifest
from crmbet.failures import DamagedObject, DataLost
from crmbet.features.records import FeatureManifest, Learned
from crmbet.healing import MOST_ROUNDS, Stages
from crmbet.learning.cut_offs import FrozenCutOffs, freeze, read_cut_offs
from crmbet.learning.fits import read_earlier_fits
from crmbet.learning.records import FittedModels, ModelFit
from crmbet.quality.measures import baselines
from crmbet.quality.measures.baselines import Frozen, find_baselines
from crmbet.run.params import RunParams
from crmbet.run.records import RunRecord, read_manifest, write_manifest
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.shards import Shard
from crmbet.run.window import Window, midnight
from crmbet.storage import done_files
from crmbet.storage.layout import DONE, INDEX, Layout, aside
from crmbet.storage.object_store import StoredObject
from crmbet.storage.verified import checksum_in, fetch_file, parse_record, seal, unseal, write_record
from crmbet.sweep import plan_sweep
from tests.sql.lake_folder import FolderStore

pytestmark = pytest.mark.integration

AS_OF = date(2026, 3, 1)
STARTED = datetime(2026, 3, 1, 6, tzinfo=UTC)
LAYOUT = Layout(brand="default")
FLIPS = 40
FLIPPED = "flipped bits in objects of the store"
"""What the end of the test run calls them."""

BETS = {
    "2026-02-20": ["b1,ana,2026-02-20T12:00:00Z,slots,10.50", "b2,bia,2026-02-20T13:00:00Z,crash,7"],
    "2026-02-23": ["b3,ana,2026-02-23T12:00:00Z,slots,3", "b4,ana,2026-02-23T12:10:00Z,poker,wrong"],
}
TABLE = """
CREATE TABLE tbl_transactions (
    transaction_id uuid PRIMARY KEY, user_id varchar(50) NOT NULL, amount decimal(10,2) NOT NULL,
    transaction_type varchar(20) NOT NULL, status varchar(20) NOT NULL, created_at timestamp NOT NULL
);
INSERT INTO tbl_transactions VALUES
    ('00000000-0000-0000-0000-000000000001', 'ana', 100, 'deposit', 'completed', '2026-02-20 12:00'),
    ('00000000-0000-0000-0000-000000000002', 'bia', 50, 'deposit', 'completed', '2026-02-24 12:00');
"""

Table = dict[str, dict[str, Any]]


class Disk(FolderStore):
    """A bucket on a disk. The engine can read none of its addresses."""

    def url(self, key: str) -> str:
        return f"s3://bucket/{key}"

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for entry in super().list(prefix):
            yield replace(entry, etag=str((self.folder / entry.key).stat().st_mtime_ns))

    def download(self, entry: StoredObject, path: Path) -> None:
        self.fetch(entry.key, path)

    def delete_all(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self.folder / key).unlink()


@dataclass(frozen=True)
class Site:
    """A store and a source, and runs over them."""

    store: Disk
    source_url: str

    def stages(self, number: int = 1, shards: int = 1, **params: Any) -> Stages:
        """The stages of a run; each run starts an hour after the one before."""
        settings = Settings.of(lake_bucket="bucket", memory_limit="512MB", shards=shards)
        run = Run(
            run_id=f"run-{number}",
            window=Window(as_of_date=AS_OF, as_of=midnight(AS_OF, settings.zone)),
            known_at=STARTED + timedelta(hours=number),
            params=RunParams(**params),
            settings=settings,
        )

        @contextmanager
        def open_work() -> Iterator[Work]:
            with open_engine(settings) as connection:
                yield Work(run=run, store=self.store, connection=connection)

        return Stages(
            run=run,
            store=self.store,
            open_work=open_work,
            attach_source=lambda connection: attach_postgres(
                connection, self.source_url, SOURCE, read_only=True
            ),
            sources=load_source_contracts(),
            table=load_table_contract(),
        )

    def keys(self, kind: str = "", ending: str = "") -> list[str]:
        """Keys of ours, below a folder of our root."""
        keys = (entry.key for entry in self.store.list(f"{LAYOUT.root}{kind}"))
        return [key for key in keys if key.endswith(ending) and not key.startswith(aside(LAYOUT.root))]

    def forget(self, *kinds: str) -> None:
        """Remove what was made, so that what lies below it is read again."""
        for kind in kinds:
            shutil.rmtree(self.store.folder / LAYOUT.root / kind, ignore_errors=True)


def extract(stages: Stages) -> None:
    with stages.open_work() as work:
        lake = {
            name: captures
            for name, contract in stages.sources.items()
            if contract.kind == "lake" and (captures := capture_feed(work, contract))
        }
        stages.attach_source(work.connection)
        database = {"transactions": capture_relation(work, stages.sources["transactions"])}
    write_manifest(stages.store, stages.run.prefix, "extract_s3", ExtractManifest(sources=lake))
    write_manifest(stages.store, stages.run.prefix, "extract_pg", ExtractManifest(sources=database))


def clean(stages: Stages) -> None:
    write_manifest(stages.store, stages.run.prefix, "clean", stages.healed(stages.clean))


def engineer(stages: Stages) -> Table:
    made = stages.healed(stages.engineer)
    write_manifest(stages.store, stages.run.prefix, "engineer_features", made)
    return read_table(stages.store, made)


def read_table(store: Any, made: FeatureManifest) -> Table:
    rows = [row for key in made.files for row in pq.read_table(store.folder / key).to_pylist()]
    names = load_table_contract().features
    return {row["user_id"]: {name: row[name] for name in names} for row in rows}


@dataclass(frozen=True)
class World:
    """What a first run has left, and its table. Tests work on copies."""

    site: Site
    table: Table


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Two files of a month are joined, and a folder of one done-file gets an index."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "FEW_FILES", 1)
        patch.setattr(done_files, "INDEX_FROM", 1)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> World:
    site = Site(Disk(tmp_path_factory.mktemp("store")), new_database())
    with closing(psycopg2.connect(site.source_url)) as connection, connection:
        connection.cursor().execute(TABLE)
    for day, rows in BETS.items():
        text = "\n".join(["bet_id,user_id,placed_at,game_type,stake", *rows]) + "\n"
        site.store.write(f"raw/bets/dt={day}/a.csv", text.encode())
    site.store.write(
        "raw/players/dt=2026-02-25/a.csv",
        b"user_id,registered_at\nana,2026-01-01T12:00:00Z\nbia,2026-01-02T12:00:00Z\n,2026-01-02T12:00:00Z\n",
    )
    site.store.write(
        "raw/limits/dt=2026-02-25/a.csv",
        b"limit_id,user_id,changed_at,kind,new_value\n"
        b"l1,bia,2026-02-25T12:00:00Z,deposit,100\nl2,bia,never,self_exclusion,1\n",
    )
    stages = site.stages()
    write_manifest(
        site.store,
        stages.run.prefix,
        "run",
        RunRecord(run_id="run-1", as_of_date=AS_OF, known_at=stages.run.known_at),
    )
    extract(stages)
    clean(stages)
    table = engineer(stages)
    assert set(table) == {"ana", "bia"}
    frozen = FrozenCutOffs(
        feature_set_version="1",
        as_of=AS_OF - timedelta(days=1),
        frozen_at=STARTED,
        deliberate=False,
        cut_offs={"marker": 1.5},
    )
    freeze(site.store, LAYOUT, frozen, "0123")
    fit = ModelFit(parameters={"r": 1.5}, as_of=AS_OF, cohort=1, patterns=1, log_likelihood=1, iterations=1)
    # Of the run's own as_of: they serve later ones.
    fitted = FittedModels(as_of=AS_OF, known_at=STARTED, run_id="run-0", fits={"deposit_days": fit})
    write_record(site.store, f"{LAYOUT.fitted_models(fitted.as_of)}0123.json", fitted)
    baselines.freeze(site.store, stages.run, "raw", baselines.Baselines(None, {}, grows=True), {"any": {}})
    return World(site, table)


@pytest.fixture
def site(world: World, tmp_path: Path) -> Site:
    """A copy of the world's store, and its source."""
    return Site(Disk(shutil.copytree(world.site.store.folder, tmp_path / "store")), world.site.source_url)


# What is read -----------------------------------------------------------------------------------------------------

FILES = {
    "captures": "captures/source=bets/",
    "captures of PostgreSQL": "captures/source=transactions/",
    "cleaned": "cleaned/",
    "quarantine": "quarantine/",
    "state": "state/",
    "sessions": "sessions/",
    "tables": "runs/run_id=run-1/features/",
    "matrix": "runs/run_id=run-1/matrix/",
}
RECORDS: dict[str, tuple[str, str, type[BaseModel]]] = {
    "done-files of captures": ("captures/", DONE, CaptureSegment),
    "done-files of days": ("cleaned/", DONE, Segment),
    "done-files of tables": ("feature_tables/", DONE, Segment),
    "learned": ("runs/run_id=run-1/features/", ".json", Learned),
    "fits": ("models/", ".json", FittedModels),
    "cut-offs": ("thresholds/", ".json", FrozenCutOffs),
    "baselines": ("baselines/", ".json", Frozen),
    "run": ("runs/run_id=run-1/", "/run.json", RunRecord),
    "extract": ("runs/run_id=run-1/", "/extract_s3.json", ExtractManifest),
    "clean": ("runs/run_id=run-1/", "/clean.json", CleanManifest),
    "engineer_features": ("runs/run_id=run-1/", "/engineer_features.json", FeatureManifest),
}


def flipped(content: bytes, bit: int) -> bytes:
    place, mask = bit // 8, 1 << bit % 8
    return content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]


def spoilt(content: bytes, other: bytes) -> list[bytes]:
    """Truncated, empty, longer, foreign."""
    return [content[:-1], content[: len(content) // 2], b"", content + b"\n", other, b"{}", b"PAR1PAR1PAR1"]


@pytest.mark.few(3)
@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_read_as_it_was_written_or_not_at_all(
    site: Site, kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property(FLIPPED, FLIPS)
    keys = [key for key in site.keys(FILES[kind]) if key.endswith((".parquet", ".joblib"))]
    assert keys
    (other, *_) = (site.store.read(key) for key in site.keys("", ".parquet") if key not in keys)
    draw = random.Random(kind)  # noqa: S311 - the same flips each time
    for number in range(FLIPS):
        key = draw.choice(keys)
        content = site.store.read(key) or b""
        bad = [flipped(content, draw.randrange(8 * len(content)))]
        if number < len(keys):
            bad += spoilt(content, other or b"")
        for damaged in bad:
            site.store.write(key, damaged)
            with pytest.raises(DamagedObject) as failure:
                fetch_file(site.store, key, tmp_path / "copy")
            assert key in str(failure.value)
            assert site.store.read(key) is None, "nobody reads it any more"
            assert site.store.read(aside(key)) == damaged
        site.store.write(key, content)
        fetch_file(site.store, key, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == content


@pytest.mark.few(4)
@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_is_read_as_it_was_written_or_not_at_all(
    site: Site, kind: str, record_property: Callable[[str, object], None]
) -> None:
    record_property(FLIPPED, FLIPS)
    folder, ending, model = RECORDS[kind]
    keys = site.keys(folder, ending)
    assert keys
    key, other = keys[0], site.keys("state/", DONE)[0]
    content = site.store.read(key) or b""
    draw = random.Random(kind)  # noqa: S311 - the same flips each time
    length = 8 * len(content)
    # Each bit of the checksum, and forty others.
    flips = [flipped(content, bit) for bit in [draw.randrange(length) for _ in range(FLIPS)]]
    flips += [flipped(content, bit) for bit in range(length - 400, length)]
    for damaged in [*flips, *spoilt(content, site.store.read(other) or b"")]:
        with pytest.raises(DamagedObject) as failure:
            parse_record(site.store, key, damaged, model)
        assert key in str(failure.value)
    parse_record(site.store, key, content, model)
    # The same record at another place, as a copy of one object over another would leave it.
    with pytest.raises(DamagedObject):
        parse_record(site.store, key + "x", content, model)


def test_an_index_is_believed_only_if_it_is_whole(site: Site) -> None:
    index = next(key for key in site.keys("captures/source=bets/") if INDEX in key)
    content = site.store.read(index) or b""
    expected = Ledger.read(site.store, site.stages().run, "bets").by_digest
    assert len(expected) == len(BETS)
    draw = random.Random(7)  # noqa: S311 - the same flips each time
    for damaged in [
        *(flipped(content, draw.randrange(8 * len(content))) for _ in range(FLIPS)),
        *spoilt(content, b'{"x": 1}'),
    ]:
        site.store.write(index, damaged)
        assert Ledger.read(site.store, site.stages().run, "bets").by_digest == expected


def test_what_an_earlier_version_wrote_is_read_as_it_is(site: Site, tmp_path: Path) -> None:
    key = site.keys("state/", ".parquet")[0]
    old = key.replace(f".{checksum_in(key)}", "")
    site.store.write(old, site.store.read(key) or b"")
    done = site.keys("state/", DONE)[0]
    content = unseal(done, site.store.read(done) or b"")

    fetch_file(site.store, old, tmp_path / "copy")
    assert checksum_in(old) is None
    assert b"checksum" not in content
    assert parse_record(site.store, done, content, Segment) == parse_record(
        site.store, done, seal(done, content), Segment
    )
    for damaged in (b"", b"PAR1", content, (site.store.read(key) or b"")[:-1]):
        site.store.write(old, damaged)
        with pytest.raises(DamagedObject, match="no Parquet file"):
            fetch_file(site.store, old, tmp_path / "copy")


# What is made anew ------------------------------------------------------------------------------------------------


def above_captures(source: str) -> tuple[str, ...]:
    """What is made from captures of a source. That of other sources stays: cleaning takes longest here."""
    return (f"cleaned/source={source}", f"quarantine/source={source}", *ABOVE_CLEANED)


ABOVE_CLEANED = ("state", "sessions", "feature_tables")
DAMAGED: dict[str, tuple[str, tuple[str, ...]]] = {
    "captures": (FILES["captures"], above_captures("bets")),
    "captures of PostgreSQL": (FILES["captures of PostgreSQL"], above_captures("transactions")),
    "cleaned": ("cleaned/source=bets/", ABOVE_CLEANED),
    "quarantine": ("quarantine/source=limits/", ("feature_tables",)),
    "state": (FILES["state"], ("feature_tables",)),
    "sessions": (FILES["sessions"], ("feature_tables",)),
    "tables": (FILES["tables"], ()),
    "matrix": (FILES["matrix"], ()),
}
"""Of each kind, files that are damaged, and what has to be forgotten so that a run reads them."""


def damage(store: Disk, key: str, how: str, other: str = "") -> None:
    """Damage an object; `other` is the foreign one that may take its place."""
    content = store.read(key) or b""
    match how:
        case "gone":
            (store.folder / key).unlink()
        case "flipped":
            store.write(key, flipped(content, 4 * len(content)))
        case "cut":
            store.write(key, content[: len(content) // 2])
        case "empty":
            store.write(key, b"")
        case _:
            store.write(key, store.read(other) or b"")


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", DAMAGED)
def test_a_flipped_file_is_made_anew_within_the_run(world: World, site: Site, kind: str) -> None:
    stages = site.stages()
    folder, above = DAMAGED[kind]
    site.forget(*above)
    damaged = [key for key in site.keys(folder) if key.endswith((".parquet", ".joblib"))]
    for key in damaged:
        damage(site.store, key, "flipped")

    if kind.startswith("captures"):
        clean(stages)
    assert engineer(stages) == world.table

    # A matrix that is damaged is not looked at twice.
    read = [key for key in damaged if kind != "matrix" or key.endswith(".parquet")]
    assert read
    assert all(site.store.read(key) is None for key in read)
    assert all(site.store.read(aside(key)) is not None for key in read)


DATASETS = (
    "captures/source=bets/",
    "captures/source=transactions/",
    "cleaned/source=bets/",
    "quarantine/source=limits/",
    "state/",
    "sessions/",
    "feature_tables/",
    "runs/run_id=run-1/features/",
)


@pytest.mark.full
@pytest.mark.parametrize("how", [["flipped"], ["gone"], ["cut", "empty", "foreign"]], ids="-".join)
def test_whatever_was_done_to_any_object_a_run_gives_the_same_table(
    world: World, site: Site, how: list[str]
) -> None:
    """A file and a done-file of every dataset at once, and the next run."""
    other = site.keys("sessions/", ".parquet")[0]
    ways = cycle(how)
    for dataset in DATASETS:
        for ending in (".parquet", DONE):
            for key in site.keys(dataset, ending)[:1]:
                damage(site.store, key, next(ways), other)
    stages = site.stages(2)

    extract(stages)
    clean(stages)
    assert engineer(stages) == world.table

    again = site.stages(3)
    extract(again)
    clean(again)
    assert engineer(again) == world.table
    manifest = read_manifest(site.store, again.run.prefix, "clean", CleanManifest)
    assert not any(source.made for source in manifest.sources.values()), "it was made anew once"


def test_a_table_that_is_damaged_before_it_is_judged_or_loaded_is_made_anew(world: World, site: Site) -> None:
    stages = site.stages()
    for key in site.keys(FILES["tables"], ".parquet"):
        damage(site.store, key, "cut")
    for key in site.keys(FILES["state"], ".parquet"):
        damage(site.store, key, "flipped")
    site.forget("feature_tables")

    def load(copies: LocalCopies) -> FeatureManifest:
        made = read_manifest(site.store, stages.run.prefix, "engineer_features", FeatureManifest)
        copies.urls(made.files)
        return made

    with stages.open_work() as work, local_copies(work) as copies:
        made = stages.healed(lambda: load(copies))

    assert read_table(site.store, made) == world.table


@pytest.mark.full
def test_a_damaged_file_of_a_part_of_the_players_is_made_anew(world: World, site: Site) -> None:
    def damage(ending: str) -> str:
        key = next(key for key in site.keys("runs/run_id=run-1/") if ending in key and key not in before)
        site.store.write(key, flipped(site.store.read(key) or b"", 100))
        return key

    before = set(site.keys("runs/run_id=run-1/"))
    site.forget("feature_tables")
    stages = site.stages(shards=2)
    shards = Shard.all_of(2)
    assert sum(stages.engineer_shard_of_players(shard) for shard in shards) == len(world.table)
    damaged = [damage("_rhythm.")]
    stages.healed(stages.learn_from_players)
    damaged += [damage("_cut_offs."), damage("_games.")]
    scored = [stages.healed(partial(stages.score_shard_of_players, shard)) for shard in shards]
    assert sum(scored) == len(world.table)
    damaged += [damage("/features/")]

    assert engineer(stages) == world.table
    assert all(site.store.read(aside(key)) for key in damaged)
    assert not site.keys("runs/run_id=run-1/players/")


@pytest.mark.few(1)
@pytest.mark.parametrize("task", ["clean", "engineer_features"])
def test_a_damaged_manifest_is_made_anew(world: World, site: Site, task: str) -> None:
    stages = site.stages()
    key = f"{stages.run.prefix}{task}.json"
    damage(site.store, key, "flipped")

    def read() -> FeatureManifest:
        read_manifest(site.store, stages.run.prefix, "clean", CleanManifest)
        return read_manifest(site.store, stages.run.prefix, "engineer_features", FeatureManifest)

    assert read_table(site.store, stages.healed(read)) == world.table


@pytest.mark.full
def test_content_is_known_since_it_was_first_captured_however_often_it_is_captured(site: Site) -> None:
    first = site.stages().run.known_at
    before = Ledger.read(site.store, site.stages().run, "bets").known_at(first)
    for key in site.keys("captures/source=bets/", ".parquet"):
        damage(site.store, key, "gone")

    extract(site.stages(2))

    after = Ledger.read(site.store, site.stages(3).run, "bets").known_at(first)
    assert [(of.chunk, of.captured_at, of.days) for of in after.captures] == [
        (of.chunk, of.captured_at, of.days) for of in before.captures
    ]
    assert {key for of in after.captures for key in of.files}.isdisjoint(
        key for of in before.captures for key in of.files
    )


# What nothing gives back ------------------------------------------------------------------------------------------

CHUNK = "raw/bets/dt=2026-02-20/a.csv"


def lose_capture(site: Site, how: str) -> str:
    """Damage what was captured of a chunk; returns the file's key."""
    ledger = Ledger.read(site.store, site.stages().run, "bets")
    (key,) = ledger.newest[CHUNK].files
    damage(site.store, key, how)
    return key


@pytest.mark.full
def test_a_capture_whose_source_is_gone_is_named_with_what_is_lost(site: Site) -> None:
    key = lose_capture(site, "gone")
    (site.store.folder / CHUNK).unlink()
    for number in (2, 3):
        with pytest.raises(DataLost, match="the source does not hold it any more") as failure:
            extract(site.stages(number, source_deletions="keep"))
        assert f"{CHUNK} (2 rows, 2026-02-20)" in str(failure.value)
        assert key in str(failure.value)

    extract(site.stages(4, source_deletions="remove"))
    extract(site.stages(5))


@pytest.mark.full
def test_a_capture_is_not_replaced_by_other_content_within_its_run(site: Site) -> None:
    key = lose_capture(site, "flipped")
    damaged = site.store.read(key)
    site.store.write(CHUNK, (site.store.read(CHUNK) or b"") + b"b9,bia,2026-02-20T20:00:00Z,slots,1\n")
    site.forget(*above_captures("bets"))

    with pytest.raises(DataLost, match="the source holds other content by now"):
        clean(site.stages())

    assert site.store.read(aside(key)) == damaged, "a person may still mend it"
    later = site.stages(2)
    extract(later)
    clean(later)
    assert "bia" in engineer(later)


@pytest.mark.full
def test_an_older_run_finds_content_that_was_joined_although_the_source_has_replaced_it(
    world: World, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep removes the files that the run's manifest names."""
    monkeypatch.setattr(joining, "files_allowed", lambda *_: 0)
    stages = site.stages()
    used = read_manifest(site.store, stages.run.prefix, "extract_s3", ExtractManifest).sources["bets"]
    with site.stages(2).open_work() as work:
        joined = joining.join_months(work, Ledger.read(site.store, work.run, "bets"), used)
    old = {key for capture in used.captures for key in capture.files}
    assert old.isdisjoint(key for capture in joined.captures for key in capture.files)
    for key in old:
        (site.store.folder / key).unlink()
    site.store.write(CHUNK, (site.store.read(CHUNK) or b"") + b"b9,bia,2026-02-20T20:00:00Z,slots,1\n")
    site.forget(*above_captures("bets"))

    clean(stages)

    assert engineer(stages) == world.table


def test_a_run_that_goes_back_says_that_what_was_known_is_lost(site: Site) -> None:
    lose_capture(site, "gone")
    then = site.stages().run.known_at

    with pytest.raises(DataLost):
        extract(site.stages(1, known_at=then.isoformat()))


@pytest.mark.full
def test_what_a_damaged_done_file_said_is_found_in_an_earlier_runs_manifest(world: World, site: Site) -> None:
    ledger = Ledger.read(site.store, site.stages().run, "bets")
    expected = ledger.by_digest
    remove_indexes(site)
    for key in site.keys("captures/source=bets/", DONE):
        damage(site.store, key, "flipped")
    (site.store.folder / CHUNK).unlink()

    stages = site.stages(2, source_deletions="keep")
    extract(stages)
    clean(stages)

    assert engineer(stages) == world.table
    assert Ledger.read(site.store, site.stages(3).run, "bets").by_digest == expected


def test_a_done_file_of_which_nothing_is_known_stops_the_run_until_a_person_decides(site: Site) -> None:
    remove_indexes(site)
    ledger = Ledger.read(site.store, site.stages().run, "bets")
    folder = LAYOUT.capture("bets", ledger.newest[CHUNK].digest).prefix
    (done,) = site.keys(folder.removeprefix(LAYOUT.root), DONE)
    damage(site.store, done, "empty")
    site.forget("runs")
    (site.store.folder / CHUNK).unlink()

    for number in (2, 3):
        with pytest.raises(DataLost, match="done-files of 1 captures of bets are damaged") as failure:
            extract(site.stages(number))
        assert folder in str(failure.value)

    extract(site.stages(4, source_deletions="remove"))
    extract(site.stages(5))


def remove_indexes(site: Site) -> None:
    for key in site.keys("captures/"):
        if INDEX in key:
            (site.store.folder / key).unlink()


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "foreign"])
def test_what_was_frozen_or_fitted_is_not_silently_replaced_by_something_else(site: Site, how: str) -> None:
    run = site.stages(2).run
    reading: dict[str, Callable[[], object]] = {
        "thresholds": lambda: read_cut_offs(site.store, LAYOUT, "1", as_of_date=AS_OF, known_at=run.known_at),
        "models": lambda: read_earlier_fits(
            site.store, LAYOUT, as_of=AS_OF + timedelta(days=1), known_at=run.known_at
        ),
        "baselines": lambda: find_baselines(site.store, run, "raw"),
    }
    for kind, read in reading.items():
        assert read()
        (key,) = site.keys(f"{kind}/")
        damage(site.store, key, how, site.keys("state/", DONE)[0])
        with pytest.raises(DamagedObject, match=key):
            site.stages(2).healed(read)
        assert site.store.read(key) is not None, "the next run must not go on without it"


def test_a_run_whose_dates_are_damaged_is_refused(site: Site) -> None:
    stages = site.stages()
    damage(site.store, f"{stages.run.prefix}run.json", "flipped")

    with pytest.raises(DamagedObject, match=r"run\.json"):
        stages.healed(lambda: read_manifest(site.store, stages.run.prefix, "run", RunRecord))


def test_a_sweep_leaves_alone_what_a_damaged_done_file_may_be_about(site: Site) -> None:
    remove_indexes(site)
    done = site.keys("captures/source=bets/", DONE)[0]
    damage(site.store, done, "cut")
    site.forget("runs")
    now = datetime(2030, 1, 1, tzinfo=UTC)

    plan = plan_sweep(site.store, LAYOUT, site.stages().run.settings, now)

    folder = done.rpartition("/")[0]
    assert not [key for key in (*plan.done_files, *plan.objects) if key.startswith(folder)]
    assert plan.unknown == []


def test_an_object_that_is_damaged_each_time_is_not_made_for_ever(site: Site) -> None:
    met: list[str] = []
    state = site.keys("state/", ".parquet")[0]

    def read(key: str) -> None:
        met.append(key)
        raise DamagedObject("damaged", key=key)

    with pytest.raises(DamagedObject):
        site.stages().healed(lambda: read(state))
    assert len(met) == 2
    with pytest.raises(DamagedObject):
        site.stages().healed(lambda: read(f"{state}{len(met)}"))
    assert len(met) == 2 + MOST_ROUNDS + 1
