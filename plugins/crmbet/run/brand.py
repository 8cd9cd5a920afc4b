"""One brand of a deployment: its variables, and how its DAGs are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crmbet.failures import BadSetting

DEFAULT = "default"
"""The file of this name is about the brand of the environment."""
SEPARATOR = "__"
"""Between the name of a DAG and that of its brand."""


@dataclass(frozen=True, kw_only=True)
class Brand:
    """One brand."""

    suffix: str
    """The end of the names of its DAGs; empty for the brand of the environment."""
    environ: Mapping[str, str]
    """All variables as they are for this brand."""
    file: str
    """Its file, for messages; empty if it has none."""
    given: frozenset[str]
    """The settings that its file names."""

    @property
    def name(self) -> str:
        """The brand's name."""
        return self.environ.get("CRMBET_BRAND", "").strip() or DEFAULT

    @property
    def tags(self) -> list[str]:
        """What its DAGs are found by in Airflow's list, beside their kind."""
        return [self.name] if self.file else []

    def dag_id(self, dag: str) -> str:
        """The name of its own DAG of a kind, such as user_features_daily."""
        return f"{dag}{self.suffix}"


def variable_of(key: str) -> str:
    """The variable that a key of a brand's file stands for."""
    return f"CRMBET_{key.upper()}"


def refusal(stem: str, file: str, why: str) -> BadSetting:
    """The reason for which a brand is left out, as one sentence that names its file."""
    return BadSetting(
        f"the brand {stem} is refused: {why}", where=file, next_step="correct the file, or remove it"
    )
