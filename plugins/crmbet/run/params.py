"""What one run is asked for: the params of its DAG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crmbet.failures import BadParam

Severity = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW"]


class RunParams(BaseModel):
    """The params of `user_features_daily`. The DAG shows them as a form; this model is what a run obeys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: str | None = None
    known_at: str | None = None
    load_strategy: Literal["merge", "replace", "append"] = "merge"
    accept_loss: bool = False
    validate_only: bool = False
    dry_run: bool = False
    full_refresh: bool = False
    verify_all: bool = False
    refreeze_thresholds: bool = False
    source_deletions: Literal["stop", "keep", "remove"] = "stop"
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Settings of the quality gates that this run has for itself, by name."""
    refresh_baseline: bool = False
    fail_on: frozenset[Severity] = Field(default=frozenset({"CRITICAL", "HIGH", "MEDIUM", "LOW"}))

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> RunParams:
        """Check the params of a run. Raises `BadParam` that names every unknown or bad one."""
        try:
            return cls.model_validate(dict(params))
        except ValidationError as error:
            faults = error.errors()
            unknown = [str(fault["loc"][0]) for fault in faults if fault["type"] == "extra_forbidden"]
            bad = [
                f"{fault['loc'][0]}: {fault['msg']}" for fault in faults if fault["type"] != "extra_forbidden"
            ]
            raise BadParam(
                "; ".join(bad + [f"unknown param {name!r}" for name in unknown]),
                where="the configuration that the run was triggered with",
                next_step=f"trigger again with params among {', '.join(sorted(cls.model_fields))}",
            ) from None
