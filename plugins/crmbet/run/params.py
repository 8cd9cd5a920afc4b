"""The params of one run of a DAG, as the form or the configuration that triggered it gave them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crmbet.failures import BadParam

Severity = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW"]

Question = Literal["replace", "loss", "CRITICAL", "HIGH", "MEDIUM", "LOW"]

OLD_NAMES = {"refreeze_thresholds": "refreeze_cut_offs"}
"""Params that were renamed. A configuration may use the old name for one more release."""

log = logging.getLogger(__name__)


class RunParams(BaseModel):
    """The params of `user_features_daily`, checked. The DAG shows them as a form; a run reads them from here."""

    # A refused value may be a secret that somebody put into the wrong place.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    as_of: str | None = None
    known_at: str | None = None
    load_strategy: Literal["merge", "replace", "append"] = "merge"
    accept_loss: bool = False
    validate_only: bool = False
    dry_run: bool = False
    full_refresh: bool = False
    verify_all: bool = False
    refreeze_cut_offs: bool = False
    source_deletions: Literal["stop", "keep", "remove"] = "stop"
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Settings of the quality checks that apply to this run only, by their names."""
    refresh_baseline: bool = False
    ask_on: frozenset[Question] | None = None
    """What a person is asked about before the load; None: what the setting says."""
    answer: Literal["approve", "reject"] | None = None
    """The answer to that, for `airflow dags test` alone."""
    fail_on: frozenset[Severity] = Field(default=frozenset({"CRITICAL", "HIGH", "MEDIUM", "LOW"}))

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> RunParams:
        """Check the params of a run.

        An old name is taken, with a warning. Raises `BadParam` that names every unknown or bad param.
        """
        given = dict(params)
        for old in OLD_NAMES.keys() & given.keys():
            new = OLD_NAMES[old]
            log.warning(
                "%s is the old name of a param, which the next release will not read: use %s", old, new
            )
            # Airflow adds the default of the new name to a configuration that has the old one.
            given[new] = given.pop(old) or given.get(new, False)
        try:
            return cls.model_validate(given)
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
