"""What an audience is: one YAML file of the folder that `CRMBET_AUDIENCES_FOLDER` names.

    name: churn_risk_high
    description: Players of value who are about to leave
    condition: churn_risk_band IN ('high', 'critical') AND clv_12m >= 100
    columns: [churn_risk_band, clv_12m, churn_reason_1]

The condition and the columns may name every column of the feature table and of the reasons of scores. Whether players
allow marketing is not for the file to say: an audience has only those who do, unless it is `protective`. Only a
protective audience may name a column about responsible gambling, in its condition or among its columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from crmbet.audiences.conditions import Condition, parse_condition
from crmbet.contracts.files import explain_fault
from crmbet.contracts.strict import Identifier, Strict
from crmbet.contracts.table import FeatureColumn, TableContract
from crmbet.databases.statements import Fragment, identifier
from crmbet.failures import BadAudience
from crmbet.load.target import PROTECTED
from crmbet.storage.digests import digest

Purpose = Literal["marketing", "protective"]

TARGET, REASONS = "target", "reasons"
"""The aliases of the two tables in statements."""
LONGEST_NAME = 50
"""So that the name of its view fits PostgreSQL."""
GATES: Mapping[Purpose, Fragment] = {
    "marketing": Fragment("(target.marketing_allowed IS TRUE)"),
    "protective": Fragment("(target.marketing_reason IS DISTINCT FROM 'gone')"),
}
"""Who may be in an audience at all. No file can say otherwise."""


class Definition(Strict):
    """The content of a file."""

    name: Identifier = Field(max_length=LONGEST_NAME)
    description: str = Field(min_length=1)
    condition: str = Field(min_length=1)
    columns: list[Identifier] = Field(default_factory=list)
    """Columns to hand over, beside the player's id and as_of."""
    protective: bool = False
    """Whether it is for protecting players. It then has players who allow no marketing, and goes to other readers."""


@dataclass(frozen=True)
class Audience:
    """An audience that may be handed over."""

    definition: Definition
    condition: Condition
    columns: Mapping[str, FeatureColumn]
    """Those that are handed over, the key and as_of first."""
    references: Mapping[str, Fragment]
    """Every column that a statement may name, by name."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name

    @property
    def purpose(self) -> Purpose:
        """What it is for: who may be in it, and who may read it, follow from this."""
        return "protective" if self.definition.protective else "marketing"

    @property
    def view(self) -> str:
        """The name of its view."""
        return f"audience_{self.name}"

    @cached_property
    def digest(self) -> str:
        """Changes with who is in it, and with what is handed over of them."""
        return digest(self.name, self.purpose, self.condition.sql, ",".join(self.columns), length=16)


def read_audiences(folder: Path, table: TableContract, reasons: TableContract) -> list[Audience]:
    """Read all audiences of a folder, in the order of their names.

    Raises `BadAudience`, which names the file, if one of them is wrong: then none is handed over.
    """
    if not folder.is_dir():
        raise BadAudience(
            "there is no folder of audiences",
            where="CRMBET_AUDIENCES_FOLDER",
            next_step="correct the setting, or empty it to hand over none",
        )
    audiences = [_read(path, table, reasons) for path in sorted(folder.glob("*.yaml"))]
    names = [audience.name for audience in audiences]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise BadAudience(
            f"several audiences have one name: {', '.join(repeated)}",
            where=str(folder),
            next_step="name each of them differently",
        )
    return sorted(audiences, key=lambda audience: audience.name)


def check_audience(definition: Definition, table: TableContract, reasons: TableContract) -> Audience:
    """An audience by its definition. Raises `ValueError` for what is not allowed."""
    known = {name: (REASONS, column) for name, column in reasons.columns.items()}
    known |= {name: (TARGET, column) for name, column in table.columns.items()}
    references = {name: Fragment(f"{alias}.{identifier(name)}") for name, (alias, _) in known.items()}
    condition = parse_condition(definition.condition, references)
    if unknown := [name for name in definition.columns if name not in known]:
        raise ValueError(f"there is no column {', '.join(unknown)}")
    named = sorted({*condition.columns, *definition.columns})
    protected = [name for name in named if name.startswith(PROTECTED)]
    if protected and not definition.protective:
        raise ValueError(
            f"{', '.join(protected)} is about responsible gambling: no marketing is aimed by it, and it is handed over "
            "to protect alone; leave it out, or set protective: true for an audience of player protection"
        )
    handed = dict.fromkeys([table.key, "as_of", *definition.columns])
    return Audience(definition, condition, {name: known[name][1] for name in handed}, references)


def _read(path: Path, table: TableContract, reasons: TableContract) -> Audience:
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        return check_audience(Definition.model_validate(given), table, reasons)
    except (yaml.YAMLError, ValidationError, OSError, ValueError) as error:
        raise BadAudience(
            f"{path.name} is no audience that may be handed over",
            where=str(path),
            why=explain_fault(error),
            next_step="correct the file (docs/audiences.md); until then no audience is handed over, and the table is "
            "loaded all the same",
        ) from None
