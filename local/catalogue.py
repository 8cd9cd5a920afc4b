"""`python -m local.catalogue > docs/features.md`: the catalogue of the feature table (`make catalogue`)."""

from __future__ import annotations

import sys

from crmbet.contracts.catalogue import render_catalogue
from crmbet.contracts.files import load_table_contract
from local.lineage import origins

if __name__ == "__main__":
    sys.stdout.write(render_catalogue(load_table_contract(), origins()))
