"""Measurements beside their limits and peers: `make bench`."""

import sys
from pathlib import Path

# As Airflow puts it there for every task: what is measured is the package itself.
sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))
