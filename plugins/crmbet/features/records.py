"""The records of the feature stage: the files of a run, its counts, and what was learned with them."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from crmbet.learning.records import ModelRun
from crmbet.run.records import Record


class MatrixFiles(Record):
    """The feature table of a run as numbers, for machine learning."""

    matrix: str
    """Parquet: the key and float32 columns."""
    pipeline: str
    """The fitted scikit-learn pipeline, by joblib."""
    players: int
    columns: list[str]
    left_out: list[str]
    """Columns of the feature table that are not in it."""
    silhouettes: dict[int, float]
    """Mean silhouette by number of clusters."""


class Learned(Record):
    """What was learned from the players of a feature table; it lies beside the table."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    cut_offs: dict[str, float] = Field(alias="thresholds")
    """The cut-off that was used, by responsible-gambling marker. Stores have the alias."""
    models: ModelRun
    matrix: MatrixFiles | None = None
    """The table as numbers; None if there are no players."""
    reasons: list[str] = Field(default_factory=list)
    """Files with what moves each player's scores. Stores of earlier releases have none."""
    reason_rows: int = 0


class OwnThemes(Record):
    """The themes of some players that need no other player. They are gone once the table is there."""

    users: int
    tables: dict[str, str]
    """Files by the name of the table that they hold."""


class LearnedFromPlayers(Record):
    """What was learned from all players, for tasks that score parts of them. It is gone once the table is there."""

    cut_offs: dict[str, float]
    """The cut-off that is used, by responsible-gambling marker."""
    models: ModelRun
    known_at: datetime
    """What the rows of the table say of when their facts were known."""
    tables: dict[str, str]
    """Files by the name of the table that they hold."""


class ScoredPart(Record):
    """Files of the feature table, and of the reasons of scores, for a part of the players."""

    files: list[str]
    users: int
    reasons: list[str]
    reason_rows: int
    known_at: datetime
    """What the rows say of when their facts were known."""


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
    player_parts: int = 0
    """Parts of the players that the table was made from; 0 if it was made at once, or copied."""
    known_at: datetime | None = None
    """What the rows say of when their facts were known; None in manifests of releases that did not write it."""
    reconstructed: str | None = None
    """Why the rows are a reconstruction of what was known then; None if they are none."""
    learned: Learned | None = None
    """None after a dry run."""
