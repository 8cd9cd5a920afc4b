"""The contract of a source: where it lies, its grain, its key, the time of its facts, and its columns."""

from __future__ import annotations

import re
from datetime import date
from functools import cached_property
from typing import Literal

from pydantic import Field, model_validator

from crmbet.contracts.strict import BusinessKey, Identifier, Strict, content_digest

NAMED_FORMATS = ("iso", "epoch_s", "epoch_ms")


STRPTIME_FORMAT = re.compile(r"([^%\0]|%-?[dHIjmMSy]|%[aAbBfgnpTYzZ%])+")


YEAR_CODE = re.compile(r"%(Y|-?y)")


class SourceColumn(Strict):
    """One canonical column of a source, how it is spelled there, and which values break the contract."""

    type: Literal[
        "text", "integer", "decimal", "real", "boolean", "timestamp", "date", "enum", "timezone", "channels"
    ]
    meaning: str
    source_name: str = ""
    """The column's name in the source, if it differs from the canonical one."""
    required: bool = False
    """A row without a value here goes to quarantine; a file without the column is set aside."""
    on_invalid: Literal["quarantine", "null"] = "quarantine"
    """What happens to a value that is present and breaks the contract."""
    max_length: int | None = None
    precision: int = 18
    scale: int = 4
    minimum: float | None = None
    """The least value allowed. `minimum` and `maximum` are inclusive; `above` is exclusive."""
    maximum: float | None = None
    above: float | None = None
    values: dict[str, list[str]] = Field(default_factory=dict)
    """For an enum: canonical value to its synonyms; compared trimmed and in lower case."""
    decimal_mark: Literal[".", ","] = "."
    """A number's decimal mark. The other mark and spaces separate thousands. Currency signs and codes are dropped."""
    formats: list[str] = Field(default_factory=list)
    """How a time is spelled: strptime codes, or a name of NAMED_FORMATS, tried in order. Empty means ISO 8601."""
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
                    f"{spelled!r} is not a format: use codes such as %d/%m/%Y %H:%M:%S that give a year, "
                    "or iso, epoch_s or epoch_ms"
                )
        return self

    @model_validator(mode="after")
    def _enum_has_values(self) -> SourceColumn:
        if (self.type in ("enum", "channels")) != bool(self.values):
            raise ValueError("enum and channels columns list their values, and other columns list none")
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
    """A lake feed's folder below the raw prefix, or the table in PostgreSQL."""
    meaning: str
    grain: str
    required: bool
    """A run stops if a required source is absent; an optional one leaves its columns NULL."""
    business_key: BusinessKey
    event_time: Identifier | None
    """The column that decides the day of a row. None for a current-state feed, which is read as snapshots."""
    known_time: Identifier | None = None
    """The column that says when the fact reached the lake (ingested_at), if there is one."""
    earliest: date = date(2000, 1, 1)
    """A fact before this day cannot be real: its time was misread, or is a placeholder."""
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
        if self.kind == "postgres" and not self.event_time:
            raise ValueError("a table of PostgreSQL is captured by its days, so it needs an event_time")
        if self.kind == "postgres" and self.event_time and self.columns[self.event_time].formats:
            raise ValueError(f"{self.event_time}: PostgreSQL has parsed it already, so it takes no formats")
        return self

    @cached_property
    def digest(self) -> str:
        """Identity of all parts of the contract that decide what a cleaned row means."""
        return content_digest(
            self.model_dump(exclude={"meaning": True, "grain": True, "columns": {"__all__": {"meaning"}}})
        )

    @cached_property
    def column_digest(self) -> str:
        """Identity of the columns that are read from the source."""
        return content_digest({name: column.source_name or name for name, column in self.columns.items()})

    @cached_property
    def placement_digest(self) -> str:
        """Identity of all that decides the day of a captured row, and when the row was known."""
        times = (name and (name, self.columns[name].formats) for name in (self.event_time, self.known_time))
        return content_digest([self.earliest, *times])
