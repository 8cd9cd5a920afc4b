"""The betting operator's player features: extraction, cleaning, features, quality gates and loading.

Everything below `crmbet.orchestration` is the core, which imports no Airflow; `crmbet.operators` is the thin layer over
it that `dags/` wires together. docs/architecture.md lists the packages.

These are the doors for other programs. A door imports what it needs when it is used, since every parse of a DAG
imports this module:

    from crmbet import PipelineConfig, run_pipeline         # run the daily DAG, get its figures
    from crmbet import validate_raw, validate_features      # judge a DataFrame with the suites of the quality gates
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crmbet.pipeline import PipelineConfig, run_pipeline
    from crmbet.quality.frames import validate_features, validate_raw

__all__ = [
    "FEATURE_SET_VERSION",
    "PipelineConfig",
    "run_pipeline",
    "validate_features",
    "validate_raw",
]

FEATURE_SET_VERSION = "2"
"""Raised when the meaning of any feature column changes; every row of the table carries it."""

_DOORS = {
    "PipelineConfig": "crmbet.pipeline",
    "run_pipeline": "crmbet.pipeline",
    "validate_features": "crmbet.quality.frames",
    "validate_raw": "crmbet.quality.frames",
}
"""The module that holds each door."""


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_DOORS[name]), name)
