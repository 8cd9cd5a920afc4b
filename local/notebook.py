"""`python -m local.notebook`: run the notebook for analysts and keep what it shows (`make notebook`).

It reads the database of CRMBET_TARGET_URL: `source .local/env.sh` after `make demo`.
"""

from __future__ import annotations

from typing import Any

import nbformat
from nbclient import NotebookClient

from local.workspace import PROJECT

NOTEBOOK = PROJECT / "notebooks" / "players.ipynb"
CELL_SECONDS = 300


def run() -> Any:
    """The notebook with what its cells show. Raises `CellExecutionError` for the first that fails."""
    notebook = nbformat.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4)
    # When a cell ran is noise in every commit.
    client = NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", record_timing=False)
    return client.execute()


if __name__ == "__main__":
    NOTEBOOK.write_text(nbformat.writes(run()) + "\n", encoding="utf-8")
