"""The record of a quality gate."""

from __future__ import annotations

from pydantic import Field

from crmbet.run.records import Record


class QualityManifest(Record):
    """`validate_raw.json` and `validate.json`."""

    stage: str
    score: float
    grade: str
    passed: bool
    failed: dict[str, str] = Field(default_factory=dict)
    """The checks that failed and whose severity fails this run, by label, with their severity."""
    report_json: str
    report_html: str
