"""The tasks of the daily DAG, by name. `dags/user_features_daily.py` wires them; a test compares it with this list.

A task's name is also the name of its operator's module and of the manifest that it leaves in the run's folder.
"""

from __future__ import annotations

EXTRACTS = ("extract_s3", "extract_pg")
"""The first tasks of every DAG that reads sources. They run side by side."""
GATES = {"raw": "validate_raw", "features": "validate"}
"""Stage of quality to the task that judges it."""
TASKS = (
    *EXTRACTS,
    "validate_raw",
    "clean",
    "engineer_features",
    "validate",
    "backup_table",
    "load_merge",
)
"""In the order in which they run."""
TABLE = "engineer_features"
"""The task of the daily DAG that makes the feature table."""
STREAM = "stream"
"""The task of `user_features_stream`."""
COMPARE = "compare_stream"
"""The task of the daily DAG that compares yesterday's live rows with their rebuild, where there is a stream."""
APPROVE = "approve"
"""The task of the daily DAG that asks a person before a load, where a deployment wants that."""
PUBLISH = "publish_audiences"
"""The task of the daily DAG that hands audiences over, where there are any."""
RESTORE = "restore_backup"
"""The task that puts a backup in the table's place, and the DAG that it belongs to."""
ERASE = "erase_players"
"""The task of `user_features_erasure` that takes players out, and proves it."""
RECORD = "record_run"
"""The task that writes the run's row, last. The row does not report on this task itself."""
