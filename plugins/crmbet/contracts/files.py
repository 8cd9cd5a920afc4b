"""Contracts: what a source must look like, and what the feature table is. Data in include/contracts/, one file a table.

Two kinds share the file format. A **source contract** maps what an operator delivers (names, synonyms) onto canonical
columns and says which rows are acceptable. The **table contract** of the target drives its DDL, the merge, the
expectations' column list and the catalogue. Nothing here knows how rows are read or written.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from crmbet.failures import BadContract

CONTRACTS = Path(__file__).parents[3] / "include" / "contracts"

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""Names that may be put into SQL (always quoted): the allow-list is this pattern."""

BusinessKey = Annotated[
    tuple[Identifier, ...],
    BeforeValidator(lambda key: (key,) if isinstance(key, str) else key),
    Field(min_length=1),
]
"""One column or several, of which no two rows of a day may agree."""

LOAD_COLUMNS = ("gone", "updated_at")
"""Columns of the target that no run computes: the load sets them."""

NAMED_FORMATS = ("iso", "epoch_s", "epoch_ms")
STRPTIME_FORMAT = re.compile(r"([^%\0]|%-?[dHIjmMSy]|%[aAbBfgnpTYzZ%])+")
YEAR_CODE = re.compile(r"%(Y|-?y)")


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know, so that a typo in a contract is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=Strict)


class SourceColumn(Strict):
    """One canonical column of a source, how it is spelled there, and which values break the contract."""

    type: Literal[
        "text", "integer", "decimal", "real", "boolean", "timestamp", "date", "enum", "timezone", "channels"
    ]
    meaning: str
    source_name: str = ""
    """The column's name in the source, where it is not the canonical one."""
    required: bool = False
    """A row without a value here goes to quarantine; a file without the column is set aside."""
    on_invalid: Literal["quarantine", "null"] = "quarantine"
    """What becomes of a value that is there and breaks the contract."""
    max_length: int | None = None
    precision: int = 18
    scale: int = 4
    minimum: float | None = None
    """Least value allowed (inclusive), as `maximum` is the largest; `above` excludes its own value."""
    maximum: float | None = None
    above: float | None = None
    values: dict[str, list[str]] = Field(default_factory=dict)
    """For an enum: canonical value to its synonyms; compared trimmed and in lower case."""
    decimal_mark: Literal[".", ","] = "."
    """Of a number. The other mark, like a space, separates thousands; a currency's sign or code is dropped."""
    formats: list[str] = Field(default_factory=list)
    """How a time is spelled, tried in order: strptime codes, or a name of NAMED_FORMATS. None: as ISO 8601 has it."""
    personal: bool = False
    """Personal data: never shown in a log, a report or an alert."""

    @model_validator(mode="after")
    def _spelling_is_of_its_type(self) -> SourceColumn:
        if self.formats and self.type not in ("timestamp", "date"):
            raise ValueError(f"formats are for timestamps and dates, not for {self.type}")
        if self.decimal_mark != "." and self.type not in ("decimal", "real", "integer"):
            raise ValueError(f"a decimal_mark is for decimals, reals and integers, not for {self.type}")
        for spelled in self.formats:
            known = STRPTIME_FORMAT.fullmatch(spelled) and YEAR_CODE.search(spelled)
            if not known and spelled not in NAMED_FORMATS:
                raise ValueError(
                    f"{spelled!r} is no format: use codes such as %d/%m/%Y %H:%M:%S that give a year, "
                    "or iso, epoch_s or epoch_ms"
                )
        return self

    @model_validator(mode="after")
    def _enum_has_values(self) -> SourceColumn:
        if (self.type in ("enum", "channels")) != bool(self.values):
            raise ValueError("enum and channels columns list their values, others do not")
        seen: dict[str, str] = {}
        for canonical, synonyms in self.values.items():
            for spelling in (canonical, *synonyms):
                if seen.setdefault(spelling.strip().lower(), canonical) != canonical:
                    raise ValueError(f"{spelling!r} stands for two values")
        return self


class SourceContract(Strict):
    """One source: where it lies, its grain, its key, the time of its facts, and its columns."""

    name: Identifier
    kind: Literal["lake", "postgres"]
    relation: str
    """For a lake feed its folder below the raw prefix, for PostgreSQL its table."""
    meaning: str
    grain: str
    required: bool
    """A run stops if a required source is absent; an optional one leaves its columns NULL."""
    business_key: BusinessKey
    event_time: Identifier | None
    """The column that places a row in a day; None for a current-state feed, read as snapshots."""
    known_time: Identifier | None = None
    """The column that says when the fact reached the lake (ingested_at), if there is one."""
    earliest: date = date(2000, 1, 1)
    """Facts before this day cannot be real: their time was misread, or is a placeholder."""
    not_before: dict[str, str] = Field(default_factory=dict)
    """Pairs of columns: the first may not lie before the second (a session's end before its start)."""
    columns: dict[Identifier, SourceColumn]

    @model_validator(mode="after")
    def _names_exist(self) -> SourceContract:
        named = [
            *self.business_key,
            self.event_time,
            self.known_time,
            *self.not_before,
            *self.not_before.values(),
        ]
        for name in named:
            if name is not None and name not in self.columns:
                raise ValueError(f"{name} is not among the columns")
        return self

    @model_validator(mode="after")
    def _times_are_readable(self) -> SourceContract:
        for name in (self.event_time, self.known_time):
            if name is not None and self.columns[name].type != "timestamp":
                raise ValueError(f"{name} says when, so it must be a timestamp")
        if self.kind == "postgres" and self.event_time and self.columns[self.event_time].formats:
            raise ValueError(
                f"{self.event_time}: PostgreSQL has typed it and tells its days apart, so it takes no formats"
            )
        return self

    @cached_property
    def digest(self) -> str:
        """Changes with anything that changes the meaning of a cleaned row."""
        return _digest(
            self.model_dump(exclude={"meaning": True, "grain": True, "columns": {"__all__": {"meaning"}}})
        )

    @cached_property
    def column_digest(self) -> str:
        """Changes with the columns that are read from the source, and with nothing else."""
        return _digest({name: column.source_name or name for name, column in self.columns.items()})

    @cached_property
    def placement_digest(self) -> str:
        """Changes with what decides the day of a captured row and when it was known, and with nothing else."""
        times = (name and (name, self.columns[name].formats) for name in (self.event_time, self.known_time))
        return _digest([self.earliest, *times])


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
        return _digest(self.model_dump())


def load_source_contracts(folder: Path = CONTRACTS / "sources") -> dict[str, SourceContract]:
    """Read every source contract, by source name. Raises `BadContract` naming the file and the key."""
    contracts = (_load(path, SourceContract) for path in sorted(folder.glob("*.yaml")))
    return {contract.name: contract for contract in contracts}


def load_table_contract(path: Path = CONTRACTS / "user_features.yaml") -> TableContract:
    """Read the contract of the target table. Raises `BadContract` naming the file and the key."""
    return _load(path, TableContract)


def _load(path: Path, model: type[Model]) -> Model:
    try:
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError, OSError) as error:
        raise BadContract(
            f"{path.name} is no valid contract",
            where=str(path),
            why=_explain(error),
            next_step="correct the file",
        ) from error


def _explain(error: Exception) -> str:
    """What is wrong with a contract's file, in one line."""
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'the contract'}: {fault['msg']}"
            for fault in error.errors()
        )
    return " ".join(str(error).split())


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]
