"""The catalogue of the feature table as a page, made from its contract: docs/features.md is what this writes.

python -m crmbet.contracts.catalogue > docs/features.md      (make catalogue)
"""

from __future__ import annotations

import sys

from crmbet.contracts.files import load_table_contract
from crmbet.contracts.table import FeatureColumn, TableContract

SOURCES = {
    "T": "`tbl_transactions`",
    "B": "bets",
    "S": "sessions",
    "C": "communications",
    "P": "players",
    "L": "limits",
}
PROTECTION = "rg_"
"""Columns of responsible gambling begin with it, and live under grants of their own."""

INTRODUCTION = """\
<!-- Made by `make catalogue` from include/contracts/user_features.yaml: change that, not this. -->

# The feature table

`{schema}.{name}`: {meaning} Grain: {grain}. Owner: {owner}. {columns} columns.

A row holds for one instant, `as_of`: midnight in the operator's zone, before which facts count. Windows are in
operator days up to it (`30d`: the last thirty; `life`: all; `now`: as the newest snapshot has it). **Empty means
undefined**, never zero: a share of nothing, a source that is not delivered. Money is `numeric(14,2)` in BRL; reals
have six decimals. Sources: {sources}.

Columns that begin with `rg_` protect players. They lie under grants of their own, may lower marketing and never raise
it, and **a band is no diagnosis**: it says which players somebody should look after first. The role that reads
features for campaigns does not see them ([deployment](deployment.md#least-privilege));
[responsible-gambling.md](responsible-gambling.md) says what they are for.
"""


def render_catalogue(table: TableContract) -> str:
    """The page: what the table is, and a line a column, in the table's order."""
    introduction = INTRODUCTION.format(
        schema=table.schema_name,
        name=table.name,
        meaning=table.meaning,
        grain=table.grain,
        owner=table.owner,
        columns=len(table.columns),
        sources=", ".join(f"{letter} {name}" for letter, name in SOURCES.items()),
    )
    sections = {
        "Key and features": [
            (name, column)
            for name, column in table.columns.items()
            if column.role != "bookkeeping" and not name.startswith(PROTECTION)
        ],
        "Responsible gambling": [
            (name, column) for name, column in table.features.items() if name.startswith(PROTECTION)
        ],
        "Bookkeeping": [
            (name, column) for name, column in table.columns.items() if column.role == "bookkeeping"
        ],
    }
    pages = [introduction]
    for title, columns in sections.items():
        lines = [
            f"## {title}",
            "",
            "| Column | What it says | How | Window | From | Type |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_line(name, column) for name, column in columns]
        pages.append("\n".join(lines) + "\n")
    return "\n".join(pages)


def _line(name: str, column: FeatureColumn) -> str:
    cells = (
        f"`{name}`",
        column.meaning,
        column.formula,
        column.window,
        column.sources,
        _type(column),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(column: FeatureColumn) -> str:
    """Type with its range or values, and whether it may be empty."""
    said = [f"`{column.postgres_type}`"]
    if column.values:
        said.append(", ".join(column.values))
    elif column.minimum is not None or column.maximum is not None:
        low = "" if column.minimum is None else f"{column.minimum:g}"
        high = "" if column.maximum is None else f"{column.maximum:g}"
        said.append(f"{low}..{high}")
    if not column.nullable:
        said.append("never empty")
    if column.personal:
        said.append("personal")
    return "; ".join(said)


if __name__ == "__main__":
    sys.stdout.write(render_catalogue(load_table_contract()))
