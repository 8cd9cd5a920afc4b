"""Suites: what is expected of a view, in include/expectations/<stage>/<view>.json. They are read strictly.

Great Expectations drops entries that it cannot read, merges entries that it takes for the same, and reports success for
a suite without entries. So a strict model reads each entry here, and the only constructor of Great Expectations that
raises makes the expectation.

An entry with `each` becomes one expectation for each column of a group in the table's contract. An entry with `needs`
applies as soon as the contract has those columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from crmbet.contracts.strict import Identifier, Strict
from crmbet.contracts.table import ENGINE_TYPES, FeatureColumn, TableContract
from crmbet.databases.statements import literal
from crmbet.failures import PermanentFailure
from crmbet.quality.checks import CHECKS, REQUIRED_CHECKS, Check, Stage
from crmbet.run.params import Severity

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

EXPECTATIONS = Path(__file__).parents[3] / "include" / "expectations"

PARAMETER = "$PARAMETER"
POSITION = "position"
"""Key in an expectation's meta: the position of its entry in the file."""

Threshold = int | float | datetime | list[str]

Group = Literal["column", "filled", "ranged", "listed", "real"]
"""A group of columns of the table's contract: all, never NULL, with a range, with a closed list of values, or reals."""
THRESHOLD = "{threshold}"
"""What the number of `threshold` takes the place of in a condition."""


class BadSuite(PermanentFailure):
    """A suite in include/expectations/ cannot be run."""


class EntryMeta(Strict):
    """The check that an expectation belongs to. The severity is that of the check, repeated for the reader."""

    check: str
    severity: Severity

    @model_validator(mode="after")
    def _severity_is_the_checks(self) -> EntryMeta:
        if self.check not in CHECKS:
            raise ValueError(f"{self.check!r} is not one of {', '.join(CHECKS)}")
        if self.severity != CHECKS[self.check].severity:
            raise ValueError(f"{self.check} is {CHECKS[self.check].severity}, not {self.severity}")
        return self


class Entry(Strict):
    """One expectation: its type, as Great Expectations names it, and its arguments."""

    type: str
    description: str = Field(min_length=1)
    """What is expected, in words for a report."""
    breach: str = ""
    """What rows in breach are like: the end of a sentence that begins '6.00% of rows'."""
    kwargs: dict[str, Any]
    meta: EntryMeta
    each: Group | None = None
    """The group of columns that get an expectation each. Names in braces are filled in from the contract."""
    needs: list[Identifier] = Field(default_factory=list)
    """Columns that the table's contract must have for this entry to apply. Until then the report lists it as
    waiting."""

    @field_validator("kwargs")
    @classmethod
    def _threshold_has_a_place(cls, kwargs: dict[str, Any]) -> dict[str, Any]:
        if "threshold" in kwargs and THRESHOLD not in f"{kwargs.get('condition')}{kwargs.get('among')}":
            raise ValueError(f"a threshold is given, and {THRESHOLD} stands nowhere in the condition")
        return kwargs

    @property
    def check(self) -> Check:
        """The check that the entry belongs to."""
        return CHECKS[self.meta.check]

    @cached_property
    def parameters(self) -> frozenset[str]:
        """Names of the thresholds that the entry refers to."""
        return frozenset(_parameters(self.kwargs))


class SuiteMeta(Strict):
    """What all entries of a suite share."""

    meaning: str
    rows: str = "rows"
    """What a report calls the rows, in the plural."""
    required: bool
    """Whether the view must exist. An absent optional source is reported and fails nothing."""
    key: list[Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")]] = Field(min_length=1)
    """Columns that name a row in a report. They are ids, never personal data."""
    names_values: bool = False
    """Whether a report shows the judged value beside the key, and counts rows. True where a row is a figure about many
    players."""


class Suite(Strict):
    """One file. `name` is the name of the view."""

    name: Identifier
    meta: SuiteMeta
    expectations: list[Entry] = Field(min_length=1)

    def for_table(self, table: TableContract) -> Suite:
        """The suite with the entries that apply to this contract. `each` becomes one entry per column."""
        applying = [entry for entry in self.expectations if not waits(entry, table)]
        return self.model_copy(
            update={"expectations": [single for entry in applying for single in _for_each(entry, table)]}
        )

    def without_margins(self) -> Suite:
        """The suite without the margins that a `unit` gives: every share must be within its limit."""
        entries = [
            entry.model_copy(
                update={"kwargs": {name: value for name, value in entry.kwargs.items() if name != "unit"}}
            )
            for entry in self.expectations
        ]
        return self.model_copy(update={"expectations": entries})

    @field_validator("expectations")
    @classmethod
    def _rows_are_counted(cls, entries: list[Entry]) -> list[Entry]:
        if not any(entry.type.startswith("expect_table_row_count_") for entry in entries):
            raise ValueError("an expectation on the row count is missing: most others pass on an empty table")
        return entries


def load_suites(stage: Stage, folder: Path = EXPECTATIONS) -> list[Suite]:
    """Read all suites of a stage, by view name.

    Raises `BadSuite` if a file is not a suite, if its name is not that of the file, or if a required check of the stage
    has no expectation.
    """
    suites = [_load(path) for path in sorted((folder / stage).glob("*.json"))]
    configured = {entry.check for suite in suites for entry in suite.expectations}
    if missing := REQUIRED_CHECKS[stage] - configured:
        names = ", ".join(sorted(check.label for check in missing))
        raise BadSuite(
            f"no suite of {stage} data expects anything for {names}",
            where=str(folder / stage),
            why="a check without expectations would always pass",
            next_step="restore the entries that were removed, or deploy include/expectations/ again",
        )
    return suites


def waits(entry: Entry, table: TableContract) -> bool:
    """Whether the contract lacks a column that the entry needs."""
    return not set(entry.needs) <= table.columns.keys()


def require_parameters(suites: Iterable[Suite], thresholds: Mapping[str, Threshold]) -> None:
    """Raise a `BadSuite` that names every `$PARAMETER` without a threshold."""
    missing = {
        f"{name} ({suite.name})"
        for suite in suites
        for entry in suite.expectations
        for name in entry.parameters
        if name not in thresholds
    }
    if missing:
        raise BadSuite(
            f"no threshold is known for {', '.join(sorted(missing))}",
            why=f"the known thresholds are {', '.join(sorted(thresholds))}",
            next_step="use a known name in the suite, or add the threshold to quality/thresholds.py",
        )


def build_expectations(suite: Suite) -> list[Expectation]:
    """The suite's entries as expectations of Great Expectations. Each has its position in the file in its meta.

    Raises `BadSuite` that names the entry if Great Expectations does not accept one.
    """
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    import crmbet.quality.great_expectations.expectations  # noqa: F401 - registers types; imports Great Expectations

    built = []
    for position, entry in enumerate(suite.expectations):
        try:
            built.append(
                ExpectationConfiguration(
                    type=entry.type,
                    kwargs=entry.kwargs,
                    description=entry.description,
                    meta={**entry.meta.model_dump(), POSITION: position},
                ).to_domain_obj()
            )
        # Great Expectations raises its own errors, pydantic's or plain ones. All mean that the entry is wrong.
        except Exception as error:
            raise BadSuite(
                f"expectation {position + 1} of {suite.name} ({entry.type}) cannot be built",
                where=f"include/expectations/*/{suite.name}.json",
                why=f"{type(error).__name__}: {error}",
                next_step="correct the entry's type and kwargs",
            ) from error
    return built


def _for_each(entry: Entry, table: TableContract) -> Iterator[Entry]:
    if entry.each is None:
        yield entry
        return
    for name, column in table.computed.items():
        if _is_in(entry.each, column):
            facts = {
                "column": name,
                "type": ENGINE_TYPES[column.type],
                "range": _range(name, column),
                "values": ", ".join(literal(value) for value in column.values),
            }
            kwargs = {
                key: value.format_map(facts) if isinstance(value, str) else value
                for key, value in entry.kwargs.items()
            }
            texts = {"description": entry.description, "breach": entry.breach}
            filled = {name: text.format_map(facts) for name, text in texts.items()}
            yield entry.model_copy(update={"each": None, **filled, "kwargs": kwargs})


def _is_in(group: Group, column: FeatureColumn) -> bool:
    match group:
        case "column":
            return True
        case "filled":
            return not column.nullable and column.role != "key"
        case "ranged":
            return column.minimum is not None or column.maximum is not None
        case "listed":
            return bool(column.values)
        case "real":
            return column.type in ("real", "r01")


def _range(name: str, column: FeatureColumn) -> str:
    limits = []
    if column.minimum is not None:
        limits.append(f"{name} >= {column.minimum:g}")
    if column.maximum is not None:
        limits.append(f"{name} <= {column.maximum:g}")
    return " AND ".join(limits)


def _load(path: Path) -> Suite:
    try:
        suite = Suite.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise _unreadable(path, faults) from None
    except (ValueError, OSError) as error:
        raise _unreadable(path, str(error)) from error
    if suite.name != path.stem:
        raise BadSuite(
            f"the suite in {path.name} is named {suite.name!r}",
            where=str(path),
            next_step="give the suite the name of its view, and the file the name of the suite",
        )
    return suite


def _unreadable(path: Path, why: str) -> BadSuite:
    return BadSuite(f"{path.name} is no valid suite", where=str(path), why=why, next_step="correct the file")


def _parameters(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if PARAMETER in value:
            yield value[PARAMETER]
        for inner in value.values():
            yield from _parameters(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parameters(inner)
