"""The contract of the feature table: its columns, their types and their meanings."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

from pydantic import Field, model_validator

from crmbet.contracts.strict import Identifier, Strict, content_digest

LOAD_COLUMNS = ("gone", "updated_at")
"""Columns of the target that no run computes: the load sets them."""

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
"""A feature column's types as the data engine has them. Compared exactly, because the engine would cast in silence: a
DOUBLE into an integer column is rounded, a VARCHAR parsed."""


class FeatureColumn(Strict):
    """One column of the target table, with all that an analyst asks of it."""

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
        """The column's type in a staging table: what the engine copies in binary, and PostgreSQL assigns to the target.

        A column of fixed width, or an array of text, would make the engine copy the whole table as text: half as fast.
        """
        return {"char(3)": "varchar(3)", "text[]": "varchar[]"}.get(self.type, self.postgres_type)


class TableContract(Strict):
    """The target table: one row a user."""

    name: Identifier
    schema_name: Identifier
    meaning: str
    grain: str
    owner: str
    columns: dict[Identifier, FeatureColumn]

    @property
    def key(self) -> str:
        """The primary key's column."""
        return next(name for name, column in self.columns.items() if column.role == "key")

    @property
    def computed(self) -> dict[str, FeatureColumn]:
        """The columns that a run computes: all but those which the load sets, LOAD_COLUMNS."""
        return {name: column for name, column in self.columns.items() if name not in LOAD_COLUMNS}

    @property
    def features(self) -> dict[str, FeatureColumn]:
        """The columns that `row_hash` covers: all but the key and the bookkeeping."""
        return {name: column for name, column in self.columns.items() if column.role == "feature"}

    @cached_property
    def digest(self) -> str:
        """Changes with anything that changes the table's shape or meaning."""
        return content_digest(self.model_dump())
