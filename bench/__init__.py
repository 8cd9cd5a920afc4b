"""Measurements, compared with limits and peers: `make bench`."""

import sys
from pathlib import Path

# Airflow puts it there for every task, too, so the same package is measured.
sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))
