"""The matrix: the feature table as numbers (encoded, imputed, scaled), and the pipeline that made it.

A clustering job starts by reading the matrix. A model that was trained on it applies the pipeline to new rows. The
pipeline is a joblib file; joblib comes with scikit-learn. Loading such a file can run code, so load it only from our
own prefix, with the version of scikit-learn that requirements.txt pins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmbet.contracts.table import FeatureColumn, TableContract
from crmbet.databases.parquet import local_scan
from crmbet.databases.statements import Fragment, identifier, joined, render
from crmbet.databases.work import Work
from crmbet.features.records import MatrixFiles
from crmbet.storage.layout import attempt_name

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

PROTECTED = "rg_"
"""The prefix of responsible-gambling columns. They protect players and are no input of a model."""
GATE = "marketing_allowed"
"""It depends on responsible-gambling columns, so it is no input either."""

FIT_PLAYERS = 100_000
"""Players that the pipeline is fitted on, chosen by a hash of their id."""
LEAST_CLUSTER_PLAYERS = 100
"""Fewer players form no meaningful clusters, and looking for clusters would take half of a tiny run's time."""
CLUSTER_PLAYERS = 10_000
SILHOUETTE_PLAYERS = 2_000
CLUSTERS = range(2, 9)
BATCH_ROWS = 50_000
RANDOM_STATE = 20_240_101
KINDS = {"matrix": "parquet", "pipeline": "joblib"}
"""The files, and the endings of their names."""


@dataclass(frozen=True)
class Inputs:
    """The columns that the pipeline takes: numbers (or NaN), and enums as text (or None)."""

    numbers: list[str]
    enums: dict[str, list[str]]
    nullable: list[str]
    """Columns of both kinds that may be NULL. A column of the matrix says where each was NULL."""
    left_out: list[str]

    @classmethod
    def of(cls, table: TableContract) -> Inputs:
        """Choose by the contract: no id, bookkeeping, personal or protected column, no text without a closed list."""
        numbers, enums, left_out = [], {}, []
        for name, column in table.columns.items():
            if not _is_wanted(name, column):
                left_out.append(name)
            elif column.type == "text":
                enums[name] = column.values
            else:
                numbers.append(name)
        nullable = [name for name in (*numbers, *enums) if table.columns[name].nullable]
        return cls(numbers, enums, nullable, left_out)


@dataclass(frozen=True, kw_only=True)
class WrittenMatrix:
    """Matrix and pipeline in local files."""

    keys: Mapping[Path, str]
    """The key that each file gets in the store, without its checksum."""
    players: int
    columns: list[str]
    left_out: list[str]
    silhouettes: dict[int, float]

    def files(self, kept: Mapping[Path, str]) -> MatrixFiles:
        """What the manifest says of them; `kept` has their keys in the store."""
        matrix, pipeline = (kept[path] for path in self.keys)
        return MatrixFiles(
            matrix=matrix,
            pipeline=pipeline,
            players=self.players,
            columns=self.columns,
            left_out=self.left_out,
            silhouettes=self.silhouettes,
        )


def write_matrix(
    work: Work, table: TableContract, features: Sequence[Path], folder: Path
) -> WrittenMatrix | None:
    """Write matrix and pipeline of a run's local feature files into a local folder; None if there are no players.

    The matrix has the key and, in float32, the columns that `MatrixFiles.columns` lists. Memory is bounded by samples
    and batches, whatever the number of players, and every random choice is fixed.
    """
    import joblib
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not features:
        return None
    source, inputs = local_scan(features), Inputs.of(table)
    sample = next(_batches(work, table, inputs, source, limit=FIT_PLAYERS), None)
    if sample is None:
        return None
    pipeline = _build_pipeline(inputs)
    fitted = pipeline.fit_transform(_cells(sample, inputs))
    columns = [str(name) for name in pipeline.get_feature_names_out()]
    schema = pa.schema([(table.key, pa.string()), *((name, pa.float32()) for name in columns)])
    rows = 0
    with pq.ParquetWriter(folder / "matrix", schema) as writer:
        for batch in _batches(work, table, inputs, source):
            numbers = pipeline.transform(_cells(batch, inputs)).astype("float32")
            arrays = [batch[table.key].cast(pa.string()), *(pa.array(column) for column in numbers.T)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            rows += batch.num_rows
    joblib.dump(pipeline, folder / "pipeline")
    attempt = f"{work.run.prefix}matrix/{attempt_name()}"
    return WrittenMatrix(
        keys={folder / name: f"{attempt}.{kind}" for name, kind in KINDS.items()},
        players=rows,
        columns=columns,
        left_out=inputs.left_out,
        silhouettes=measure_silhouettes(fitted),
    )


def measure_silhouettes(matrix: Any) -> dict[int, float]:
    """Mean silhouette by number of clusters, of k-means on a sample of the rows: it shows whether clusters exist.

    Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", Journal of
    Computational and Applied Mathematics 20, 1987: 1 is far apart, 0 touching. Numbers of clusters for which too few
    rows differ are left out; with too few rows the result is empty.
    """
    if len(matrix) < LEAST_CLUSTER_PLAYERS:
        return {}
    import numpy as np
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.metrics import pairwise_distances, silhouette_score
    from threadpoolctl import threadpool_limits

    rows = matrix[:CLUSTER_PLAYERS].astype("float32")
    # np.unique sorts whole rows, which takes as long as two searches for clusters. Adding 0 makes -0 the same as 0.
    distinct = len({row.tobytes() for row in rows + 0.0})
    silhouettes = {}
    distances = pairwise_distances(rows[:SILHOUETTE_PLAYERS])
    # A batch of a thousand rows is too short for threads: two of them took fifteen times as long as one.
    with threadpool_limits(1):
        for k in CLUSTERS:
            if distinct <= k:
                break
            clusters = MiniBatchKMeans(k, random_state=RANDOM_STATE, n_init=3).fit_predict(rows)
            shown = clusters[:SILHOUETTE_PLAYERS]
            if 1 < len(np.unique(shown)) < len(shown):
                silhouettes[k] = round(float(silhouette_score(distances, shown, metric="precomputed")), 6)
    return silhouettes


def _is_wanted(name: str, column: FeatureColumn) -> bool:
    if column.role != "feature" or column.personal or name.startswith(PROTECTED) or name == GATE:
        return False
    return bool(column.values) if column.type == "text" else column.type in NUMBERS


NUMBERS = frozenset({"integer", "smallint", "real", "r01", "money", "boolean"})


def _build_pipeline(inputs: Inputs) -> Pipeline:
    """Numbers are compressed by the inverse hyperbolic sine: like a logarithm, but defined for zero and losses."""
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    numbers = Pipeline(
        [
            ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("compress", FunctionTransformer(np.arcsinh, feature_names_out="one-to-one")),
            ("scale", StandardScaler()),
        ]
    )
    # A NULL becomes all zeros.
    enums = OneHotEncoder(
        categories=list(inputs.enums.values()), handle_unknown="ignore", sparse_output=False, dtype=np.float64
    )
    undefined = MissingIndicator(features="all")
    return Pipeline(
        [
            (
                "columns",
                ColumnTransformer(
                    [
                        ("number", numbers, inputs.numbers),
                        ("is", enums, list(inputs.enums)),
                        ("undefined", undefined, [n for n in inputs.numbers if n in inputs.nullable]),
                    ],
                    sparse_threshold=0,
                    verbose_feature_names_out=True,
                ),
            )
        ]
    )


def _batches(
    work: Work,
    table: TableContract,
    inputs: Inputs,
    source: Fragment,
    limit: int | None = None,
) -> Iterator[Any]:
    """The inputs as Arrow tables: `limit` players in the order of a hash of their id, or all players batch by batch."""
    import pyarrow as pa

    columns = [
        identifier(table.key),
        *(Fragment(f"{identifier(name)}::DOUBLE AS {identifier(name)}") for name in inputs.numbers),
        *(identifier(name) for name in inputs.enums),
    ]
    query = render(
        "features/matrix/select_inputs" if limit is None else "features/matrix/sample_inputs",
        columns=joined(columns),
        source=source,
        key=identifier(table.key),
        limit=Fragment(str(limit or 0)),
    )
    reader = work.connection.execute(query).to_arrow_reader(limit or BATCH_ROWS)
    for batch in reader:
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def _cells(batch: Any, inputs: Inputs) -> Any:
    """The inputs as a DataFrame for scikit-learn, with NaN for NULL among numbers and None among enums.

    pandas' own text would become objects with a NaN of its own for each NULL, and the encoder looks at each of them.
    """
    import pandas as pd

    numbers = batch.select(inputs.numbers).to_pandas()
    enums = {
        name: pd.Series(batch[name].to_numpy(zero_copy_only=False), dtype=object) for name in inputs.enums
    }
    return numbers.assign(**enums)
