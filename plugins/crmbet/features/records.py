"""What the feature stage writes down of a run: its files, counts, and what was learned with them."""

from __future__ import annotations

from pydantic import Field

from crmbet.learning.records import ModelRun
from crmbet.run.records import Record


class MatrixFiles(Record):
    """The ML-ready matrix of a run."""

    matrix: str
    """Parquet: the key and float32 columns."""
    pipeline: str
    """The fitted scikit-learn pipeline, by joblib."""
    players: int
    columns: list[str]
    left_out: list[str]
    """Columns of the feature table that are not in it."""
    silhouettes: dict[int, float]
    """By number of clusters."""


class Learned(Record):
    """What was learned from the players of a feature table; it lies beside the table."""

    thresholds: dict[str, float]
    """Responsible-gambling marker to the threshold that was used."""
    models: ModelRun
    matrix: MatrixFiles | None = None
    """The table as numbers; None if there are no players."""


class FeatureManifest(Record):
    """`engineer_features.json`."""

    files: list[str]
    state_files: list[str] = Field(default_factory=list)
    session_files: list[str] = Field(default_factory=list)
    users: int
    state_rows: int
    session_rows: int
    days: int
    days_built: int
    sessions_built: int
    learned: Learned | None = None
    """None after a dry run."""
