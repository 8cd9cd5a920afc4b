"""The record of a quality gate."""

from __future__ import annotations

from crmbet.run.records import Record


class QualityManifest(Record):
    """`validate_raw.json` and `validate.json`."""

    stage: str
    score: float
    grade: str
    passed: bool
    report_json: str
    report_html: str
