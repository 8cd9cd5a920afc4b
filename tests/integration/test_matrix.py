"""The matrix of a feature table on S3, read back as a clustering job would."""

from __future__ import annotations

import io
import random
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import boto3
import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crmbet.contracts.files import load_table_contract
from crmbet.contracts.table import ENGINE_TYPES, TableContract
from crmbet.databases.duckdb import LakeAccess, open_engine
from crmbet.databases.parquet import scan
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import local_copies
from crmbet.features import matrix as module
from crmbet.features.matrix import Inputs, measure_silhouettes, write_matrix
from crmbet.features.records import MatrixFiles
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight
from crmbet.storage.layout import Layout
from crmbet.storage.object_store import ObjectStore
from crmbet.storage.verified import keep_files
from local.credentials import credentials
from local.object_store import REGION

pytestmark = pytest.mark.integration

PLAYERS = 300


@pytest.fixture(scope="module")
def table() -> TableContract:
    return load_table_contract()


@pytest.fixture
def store(bucket: str) -> ObjectStore:
    return ObjectStore(boto3.client("s3"), bucket)


@pytest.fixture
def run(bucket: str) -> Run:
    settings = Settings.of(lake_bucket=bucket, memory_limit="512MB")
    day = date(2026, 11, 20)
    return Run(
        run_id="r1",
        window=Window(as_of_date=day, as_of=midnight(day, settings.zone)),
        known_at=datetime(2026, 11, 20, 9, tzinfo=UTC),
        params=RunParams(),
        settings=settings,
    )


@pytest.fixture
def engine(services: Any, run: Run) -> Any:
    keys = credentials(services.workspace)
    lake = LakeAccess(
        region=REGION,
        access_key=keys.access_key_id,
        secret_key=keys.secret_access_key,
        endpoint_url=services.object_store.endpoint,
    )
    with open_engine(run.settings, lake) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _few_clusters(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clustering takes most of the time, and says the same each time."""
    if "silhouettes" not in request.node.name:
        monkeypatch.setattr(module, "CLUSTERS", range(2, 4))


def cell(chance: random.Random, column: Any) -> Any:
    if column.nullable and chance.random() < 0.3:
        return None
    if column.values:
        return chance.choice(column.values)
    return {
        "integer": chance.randrange(50),
        "smallint": chance.randrange(1, 5),
        "real": chance.gauss(0, 3),
        "r01": chance.random(),
        "money": round(chance.lognormvariate(4, 2) - 30, 2),
        "boolean": chance.random() < 0.5,
        "text[]": ["email"],
    }.get(column.type, "text")


def put_features(
    engine: Any, store: ObjectStore, run: Run, table: TableContract, players: int = PLAYERS
) -> list[str]:
    chance = random.Random(3)  # noqa: S311
    features = {"user_id": table.columns["user_id"], **table.features}
    rows = [
        {name: cell(chance, column) for name, column in features.items()} | {"user_id": f"p{number:05}"}
        for number in range(players)
    ]
    rows_table = pa.Table.from_pylist(rows)
    engine.register("given", rows_table)
    casts = ", ".join(
        f'"{name}"::{ENGINE_TYPES[column.type]} AS "{name}"' for name, column in features.items()
    )
    key = f"{run.prefix}features/a.parquet"
    engine.execute(f"COPY (SELECT {casts} FROM given) TO '{store.url(key)}' (FORMAT parquet)")
    return [key]


def read(store: ObjectStore, key: str) -> Any:
    return pq.read_table(io.BytesIO(store.read(key) or b""))


def write(work: Work, table: TableContract, features: list[str]) -> MatrixFiles:
    with local_copies(work) as copies, scratch_folder(work.run.settings) as folder:
        written = write_matrix(work, table, [Path(path) for path in copies.urls(features)], folder)
        assert written is not None
        return written.files(keep_files(work.store, written.keys))


def test_a_clustering_job_starts_with_one_read(
    engine: Any, store: ObjectStore, run: Run, table: TableContract
) -> None:
    written = write(
        Work(run=run, store=store, connection=engine), table, put_features(engine, store, run, table)
    )

    found = read(store, written.matrix)
    assert found.column_names == ["user_id", *written.columns]
    assert found.num_rows == written.players == PLAYERS
    assert found["user_id"].to_pylist() == sorted(found["user_id"].to_pylist())
    numbers = np.stack([found[name].to_numpy() for name in written.columns])
    assert numbers.dtype == np.float32
    assert np.isfinite(numbers).all()
    scaled = [n for n, name in enumerate(written.columns) if name.startswith("number__")]
    assert np.abs(numbers[scaled].mean(axis=1)).max() < 1e-3
    assert set(written.silhouettes) == set(module.CLUSTERS)
    assert Layout(brand="default").is_ours(written.matrix)
    assert Layout(brand="default").is_ours(written.pipeline)


def test_an_enum_has_a_column_a_value_and_a_null_none_of_them(
    engine: Any, store: ObjectStore, run: Run, table: TableContract
) -> None:
    files = put_features(engine, store, run, table)
    written = write(Work(run=run, store=store, connection=engine), table, files)
    given = read(store, files[0]).sort_by("user_id")
    found = read(store, written.matrix)

    values = table.columns["favorite_game_type"].values
    for number, value in enumerate(given["favorite_game_type"].to_pylist()):
        row = [found[f"is__favorite_game_type_{each}"][number].as_py() for each in values]
        assert row == [float(each == value) for each in values]
    undefined = found["undefined__missingindicator_p_alive"].to_pylist()
    assert undefined == [float(value is None) for value in given["p_alive"].to_pylist()]


def test_nothing_of_ids_bookkeeping_or_protection_is_in_it(
    engine: Any, store: ObjectStore, run: Run, table: TableContract
) -> None:
    inputs = Inputs.of(table)
    used = {*inputs.numbers, *inputs.enums}

    assert used.isdisjoint(inputs.left_out)
    assert used | set(inputs.left_out) == set(table.columns)
    assert {"user_id", "row_hash", "as_of", "marketing_allowed", "rfm_code"} <= set(inputs.left_out)
    assert not any(name.startswith("rg_") for name in used)
    assert {"favorite_game_type", "rfm_segment"} <= set(inputs.enums)
    assert {"ggr_30d", "recency_score", "p_alive"} <= set(inputs.numbers)


def test_the_pipeline_does_the_same_to_new_rows(
    engine: Any, store: ObjectStore, run: Run, table: TableContract
) -> None:
    files = put_features(engine, store, run, table)
    written = write(Work(run=run, store=store, connection=engine), table, files)

    pipeline = joblib.load(io.BytesIO(store.read(written.pipeline) or b""))
    inputs = Inputs.of(table)
    (batch,) = module._batches(
        Work(run=run, store=store, connection=engine), table, inputs, scan(store, files)
    )
    again = pipeline.transform(module._cells(batch, inputs)).astype("float32")

    found = read(store, written.matrix)
    assert np.array_equal(again, np.stack([found[name].to_numpy() for name in written.columns], axis=1))


def test_batches_and_repeats_change_nothing(
    engine: Any, store: ObjectStore, run: Run, table: TableContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = put_features(engine, store, run, table)
    first = write(Work(run=run, store=store, connection=engine), table, files)
    monkeypatch.setattr(module, "BATCH_ROWS", 70)

    second = write(Work(run=run, store=store, connection=engine), table, files)

    assert read(store, first.matrix).equals(read(store, second.matrix))
    assert first.silhouettes == second.silhouettes
    assert first.matrix != second.matrix


def test_no_players_no_matrix(
    engine: Any, store: ObjectStore, run: Run, table: TableContract, tmp_path: Path
) -> None:
    assert write_matrix(Work(run=run, store=store, connection=engine), table, [], tmp_path) is None


def test_silhouettes_tell_clusters_from_none() -> None:
    chance = np.random.default_rng(1)
    apart = np.concatenate([chance.normal(centre, 0.1, (200, 4)) for centre in (0, 5, 10)])

    found = measure_silhouettes(apart[chance.permutation(600)])

    assert max(found, key=found.__getitem__) == 3
    assert found[3] > 0.9
    assert measure_silhouettes(np.zeros((150, 3))) == {}, "all alike"
    assert measure_silhouettes(apart[150:240]) == {}, "too few"
