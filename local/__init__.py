"""Everything that a machine needs to run the project by itself: embedded PostgreSQL and S3, Airflow, sample data.

Nothing in here is deployed. Code that runs in a deployment lives in plugins/ and never imports from here.
"""

import sys
from pathlib import Path

# As Airflow does for every task: local code takes the default time zone and the names of tasks from the package.
sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))
