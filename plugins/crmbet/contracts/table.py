"""The contract of the feature table: its columns, their types and their meanings."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from crmbet.contracts.strict import Identifier, Strict, content_digest

LOAD_COLUMNS = ("gone", "marketing_reason", "updated_at")
"""Columns of the target that no run computes: the load sets them."""

MARKETING = "marketing_allowed"
"""The feature that says whether a campaign may write to a player. The load ends it for a player who is gone."""

WORDS = ("meaning", "meaning_pt", "example", "caution", "caution_pt")
"""What a column says to readers. A store computes nothing again when it changes."""

ENGINE_TYPES = {
    "text": "VARCHAR",
    "text[]": "VARCHAR[]",
    "varchar(50)": "VARCHAR",
    "char(3)": "VARCHAR",
    "integer": "INTEGER",
    "smallint": "SMALLINT",
    "real": "DOUBLE",
    "r01": "DOUBLE",
    "money": "DECIMAL(14,2)",
    "boolean": "BOOLEAN",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
}
"""The data engine's type for each type of a feature column. Types are compared exactly, because the engine casts
silently: for an integer column it would round a DOUBLE, and parse a VARCHAR."""


class FeatureColumn(Strict):
    """One column of the target table, with all that an analyst wants to know about it."""

    type: Literal[
        "text",
        "text[]",
        "varchar(50)",
        "char(3)",
        "integer",
        "smallint",
        "real",
        "r01",
        "money",
        "boolean",
        "timestamptz",
    ]
    """`r01` is a real in 0..1, `money` numeric(14,2), `real` a double rounded to six decimals."""
    meaning: str
    meaning_pt: str = ""
    """The meaning in Brazilian Portuguese, for the data dictionary."""
    example: str = ""
    """A value, as PostgreSQL prints it."""
    caution: str = ""
    """What a reader of the column is likely to get wrong."""
    caution_pt: str = ""
    formula: str = ""
    window: str = ""
    sources: str = ""
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    values: list[str] = Field(default_factory=list)
    """The closed list of an enum's values."""
    role: Literal["key", "bookkeeping", "feature"] = "feature"
    personal: bool = False

    @model_validator(mode="before")
    @classmethod
    def _share_has_its_range(cls, column: Any) -> Any:
        if isinstance(column, dict) and column.get("type") == "r01":
            return {"minimum": 0, "maximum": 1, **column}
        return column

    @property
    def postgres_type(self) -> str:
        """The column's type in PostgreSQL."""
        return {
            "r01": "double precision",
            "real": "double precision",
            "money": "numeric(14,2)",
            "char(3)": "character(3)",
        }.get(self.type, self.type)

    @property
    def staging_type(self) -> str:
        """The column's type in a staging table: one that the engine copies in binary, and that fits the target.

        With a column of fixed width, or an array of text, the engine would copy the whole table as text. That is half
        as fast.
        """
        return {"char(3)": "varchar(3)", "text[]": "varchar[]"}.get(self.type, self.postgres_type)


class TableContract(Strict):
    """The target table: one row per user."""

    name: Identifier
    schema_name: Identifier
    meaning: str
    meaning_pt: str = ""
    grain: str
    owner: str
    columns: dict[Identifier, FeatureColumn]

    @property
    def key(self) -> str:
        """The primary key's column."""
        return next(name for name, column in self.columns.items() if column.role == "key")

    @property
    def computed(self) -> dict[str, FeatureColumn]:
        """The columns that a run computes: all but LOAD_COLUMNS, which the load sets."""
        return {name: column for name, column in self.columns.items() if name not in LOAD_COLUMNS}

    @property
    def features(self) -> dict[str, FeatureColumn]:
        """The columns that `row_hash` covers: all but the key and the bookkeeping."""
        return {name: column for name, column in self.columns.items() if column.role == "feature"}

    def in_schema(self, schema: str) -> Self:
        """The same table in another schema."""
        return self.model_copy(update={"schema_name": schema})

    @cached_property
    def digest(self) -> str:
        """Identity of the table's shape, and of how its columns are computed. Words for readers are no part of it."""
        return content_digest(
            self.model_dump(exclude={"meaning": True, "meaning_pt": True, "columns": {"__all__": set(WORDS)}})
        )
