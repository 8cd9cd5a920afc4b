"""`python -m bench`: measure, print a table, write JSON; the exit status says whether every limit was kept."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench import parsing, simulation
from bench.figures import Figure, print_table, write_json

RESULTS = Path(__file__).parent / "results" / "bench.json"


def main() -> int:
    """Run the chosen measurements."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=("parsing", "simulation"), help="one group of figures")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each parse")
    parser.add_argument("--days", type=int, default=120, help="days to simulate, about 8,500 events each")
    options = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="crmbet-bench-") as name:
        folder = Path(name)
        if options.only in (None, "parsing"):
            figures += parsing.measure(folder, options.rounds)
        if options.only in (None, "simulation"):
            figures += simulation.measure(folder, options.days)
    print_table(figures)
    write_json(figures, RESULTS)
    print(f"\n{RESULTS}")
    return 1 if any(figure.verdict == "OVER" for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
