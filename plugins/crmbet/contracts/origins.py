"""Where each feature comes from: include/lineage.json, which `make catalogue` derives from the SQL (local/lineage.py).

The file is there because what derives it is a tool of developers, and the page and OpenLineage need the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from crmbet.contracts.catalogue import Origin

FILE = Path(__file__).parents[3] / "include" / "lineage.json"
ROWS = "rows"
"""Stands among columns for the number of rows of a table."""
_ORIGINS = TypeAdapter(dict[str, Origin])


@cache
def load_origins() -> Mapping[str, Origin]:
    """Where each feature of the contract comes from, in the contract's order."""
    return _ORIGINS.validate_json(FILE.read_bytes())


def dump_origins(origins: Mapping[str, Origin]) -> str:
    """The content of the file: a line for each feature."""
    document = _ORIGINS.dump_python(dict(origins), mode="json")
    lines = [f"{json.dumps(name)}: {json.dumps(origin)}" for name, origin in document.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
