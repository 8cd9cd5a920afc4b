"""The contract of a source: where it lies, its grain, its key, the time of its facts, and its columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from itertools import islice, product
from typing import Literal

from pydantic import Field, field_validator, model_validator

from crmbet.contracts.strict import BusinessKey, Identifier, Strict, content_digest

NAMED_FORMATS = ("iso", "epoch_s", "epoch_ms")

NULL_VALUES = ("NULL", "\\N")
"""What databases write where there is no value."""


STRPTIME_FORMAT = re.compile(r"([^%\0]|%-?[dHIjmMSy]|%[aAbBfgnpTYzZ%])+")


YEAR_CODE = re.compile(r"%(Y|-?y)")

MOST_ONE_NAME_DIGESTS = 4096
"""Enough for twelve columns of two names each."""


class PathName(Strict):
    """A name that stands in an object's path: in a folder `name=value`, as Spark and Hive write partitions."""

    path: str

    def __str__(self) -> str:
        return f"{self.path}= in the path"


SourceName = str | PathName


class SourceColumn(Strict):
    """One canonical column of a source, how it is spelled there, and which values break the contract."""

    type: Literal[
        "text", "integer", "decimal", "real", "boolean", "timestamp", "date", "enum", "timezone", "channels"
    ]
    meaning: str
    source_name: str | PathName | list[str | PathName] = ""
    """The column's name in the source, if it differs from the canonical one. Of several, the first there counts."""
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
    max_age_years: int | None = Field(default=None, ge=1)
    """For a date: one that lies more years before the row's day cannot be real. It was misread, or is a placeholder."""
    values: dict[str, list[str]] = Field(default_factory=dict)
    """For an enum: canonical value to its synonyms; compared trimmed and in lower case."""
    decimal_mark: Literal[".", ","] = "."
    """A number's decimal mark. The other mark and spaces separate thousands. Currency signs and codes are dropped."""
    formats: list[str] = Field(default_factory=list)
    """How a time is spelled: strptime codes, or a name of NAMED_FORMATS, tried in order. Empty means ISO 8601."""
    protects: bool = False
    """Whether a value can forbid to write to a player. A value that is there and cannot be read counts as if it did. So
    does a NaN in a column of doubles, which is no value elsewhere."""
    personal: bool = False
    """Personal data: never shown in a log, a report or an alert."""

    @field_validator("source_name", mode="before")
    @classmethod
    def _names_are_names(cls, given: object) -> object:
        names = given if isinstance(given, list) else [given]
        if not names:
            raise ValueError("the list is empty: give a name, or leave source_name out")
        for place, name in enumerate(names):
            path = name.get("path") if isinstance(name, dict) and len(name) == 1 else name
            path = path.path if isinstance(path, PathName) else path
            if not isinstance(path, str) or (not path and given != ""):
                raise ValueError(
                    f"{name!r} is no name: give text, or {{path: name}} for the folders name=value of a path"
                )
            if path is not name and re.search("[=/]", path):
                raise ValueError(f"{path!r} is no name in a path: give what stands before the =")
            if name in names[:place]:
                raise ValueError(f"{path!r} is given twice: give each name once")
        return given

    @model_validator(mode="after")
    def _spelling_is_of_its_type(self) -> SourceColumn:
        if self.formats and self.type not in ("timestamp", "date"):
            raise ValueError(f"formats are for timestamps and dates, not for {self.type}")
        if self.max_age_years is not None and self.type != "date":
            raise ValueError(f"max_age_years is for dates, not for {self.type}")
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

    def names(self, own: str) -> tuple[SourceName, ...]:
        """The names in the source, in the order in which they count, of the column that the contract calls `own`."""
        if isinstance(self.source_name, list):
            return tuple(self.source_name)
        return (self.source_name or own,)


class SourceContract(Strict):
    """One source: where it lies, its grain, its key, the time of its facts, and its columns."""

    name: Identifier
    kind: Literal["lake", "postgres", "stream"]
    relation: str
    """A lake feed's folder below the raw prefix, the table in PostgreSQL, or the topic of Kafka."""
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
    null_values: list[str] = Field(default_factory=lambda: [*NULL_VALUES])
    """Texts that mean that there is no value, beside the empty one. They are compared as they are spelled, with values
    that have no blanks around them."""
    protecting_rows: dict[Identifier, list[str]] = Field(default_factory=dict)
    """Column to values: rows with such a value protect their player, or end a protection. In quarantine, such a row
    protects its player, since nobody knows what it says. So does one whose value here cannot be read."""
    protecting_values: list[Identifier] = Field(default_factory=list)
    """Columns of which such a row must have one. Without any, nobody knows how long the protection lasts."""
    not_before: dict[str, str] = Field(default_factory=dict)
    """Pairs of columns: the first may not lie before the second (a session's end before its start)."""
    columns: dict[Identifier, SourceColumn]

    @field_validator("null_values")
    @classmethod
    def _words_have_no_blanks_around_them(cls, given: list[str]) -> list[str]:
        for word in given:
            if word != word.strip():
                raise ValueError(
                    f"{word!r} has blanks at its ends, which no value has when it is compared: give the word alone"
                )
        return given

    @model_validator(mode="after")
    def _names_exist(self) -> SourceContract:
        named = [
            *self.business_key,
            self.event_time,
            self.known_time,
            *self.not_before,
            *self.not_before.values(),
            *self.protecting_rows,
            *self.protecting_values,
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
        if self.kind == "stream" and not self.event_time:
            raise ValueError("a stream has no snapshots, so it needs an event_time")
        if self.kind == "postgres" and self.event_time and self.columns[self.event_time].formats:
            raise ValueError(f"{self.event_time}: PostgreSQL has parsed it already, so it takes no formats")
        return self

    @model_validator(mode="after")
    def _a_table_has_no_path(self) -> SourceContract:
        for name, names in self.source_names.items():
            if self.kind == "postgres" and any(isinstance(each, PathName) for each in names):
                raise ValueError(f"{name}: a table of PostgreSQL has no path, so name a column of the table")
            if self.kind == "stream" and any(isinstance(each, PathName) for each in names):
                raise ValueError(f"{name}: a message has no path, so name a field of the message")
        return self

    @property
    def source_names(self) -> dict[str, tuple[SourceName, ...]]:
        """Each column's names in the source, in the order in which they count."""
        # Not cached: copies of a contract with other names would have the names of the original.
        return {name: column.names(name) for name, column in self.columns.items()}

    @cached_property
    def ids(self) -> frozenset[str]:
        """The text columns that tell rows, players or anything else apart. They are compared letter by letter."""
        return frozenset(
            name
            for name, column in self.columns.items()
            if column.type == "text" and (name in self.business_key or name.endswith("_id"))
        )

    @cached_property
    def protecting(self) -> tuple[str, ...]:
        """The columns each of which can protect a player by itself. Rows that are events protect as a whole."""
        if self.protecting_rows:
            return ()
        return tuple(name for name, column in self.columns.items() if column.protects)

    @cached_property
    def digest(self) -> str:
        """Identity of all parts of the contract that decide what a cleaned row means.

        Names in the source do not: captured rows have the canonical ones.
        """
        content = self.model_dump(
            exclude={"meaning": True, "grain": True, "columns": {"__all__": {"meaning"}}}
        )
        for column in content["columns"].values():
            column["source_name"] = ""
        return content_digest(content)

    @cached_property
    def column_digest(self) -> str:
        """Identity of the columns that are read from the source, and of all names by which they are looked for."""
        return content_digest(
            {
                name: _described(names[0]) if len(names) == 1 else [_described(each) for each in names]
                for name, names in self.source_names.items()
            }
        )

    @cached_property
    def placement_digest(self) -> str:
        """Identity of all that decides the day of a captured row, and when the row was known."""
        times = (name and (name, self.columns[name].formats) for name in (self.event_time, self.known_time))
        return content_digest([self.earliest, *times])


def key_alone(contract: SourceContract) -> SourceContract:
    """The contract of a source of which nothing but the business key, and the time of a fact, is looked at."""
    names = {*contract.business_key, contract.event_time}
    described = contract.model_dump(
        exclude={"known_time", "not_before", "protecting_rows", "protecting_values"}
    )
    described["columns"] = {name: of for name, of in described["columns"].items() if name in names}
    return SourceContract.model_validate(described)


def _described(name: SourceName) -> str | dict[str, str]:
    return name if isinstance(name, str) else name.model_dump()


def one_name_digests(names: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The column digests of contracts that give each column one of its `names`, at most MOST_ONE_NAME_DIGESTS.

    A contract had one of these before a name was added to it.
    """
    for chosen in islice(product(*names.values()), MOST_ONE_NAME_DIGESTS):
        yield content_digest(dict(zip(names, chosen, strict=True)))
