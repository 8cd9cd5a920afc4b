"""The records of the hand-over."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from crmbet.run.records import Record


class Publication(Record):
    """An audience as it was handed over once: its files and counts."""

    publication: str
    """Its identity. The receiver of a message sees one message of each."""
    audience: str
    purpose: str
    definition: str
    """The digest of the audience's definition."""
    as_of: datetime
    baseline: str | None
    """The publication that entered and left are counted from; None if there was none to compare with."""
    members: int
    entered: int
    left: int
    excluded: dict[str, int]
    """Players who satisfy the condition and are not in it, by reason: `not_allowed`, or a marketing_reason."""
    files: dict[str, str]
    """Keys by `full.parquet`, `full.csv`, `entered.parquet`, and so on."""


class AudiencesManifest(Record):
    """`publish_audiences.json`."""

    publications: list[Publication] = Field(default_factory=list)
    delivered: int = 0
    """Messages that the receiver has confirmed in this try."""
