"""One message about one incident, as text, HTML, Slack blocks and JSON. This module reads and sends nothing.

Sources can put anything into a user id or a column, so every form escapes whatever comes from data. A message speaks
the language of the deployment. What an error of ours says in its own words is English, so in another language the
message begins with what its kind means.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from crmbet.monitoring.metrics import Breach
from crmbet.monitoring.outcome import Failure
from crmbet.run.brand import DEFAULT
from crmbet.texts import DEFAULT_LANGUAGE, ENGLISH, Texts

Kind = Literal["failed", "recovered", "deadline", "set_aside", "asked"]

SHOWN_BREACHES = 5
LONGEST_TEXT = 1_500
"""Characters of one fact."""
LONGEST_SLACK_TEXT = 3_000
"""Characters of one block after escaping, as Slack counts them."""
LONGEST_TITLE = 150
LATE = "this message comes late, since none was sent when the run ended"
TITLES: Mapping[Kind, str] = {
    "failed": "{run} failed",
    "recovered": "{run} has recovered",
    "deadline": "{run} is late",
    "set_aside": "{run} has set objects aside",
    "asked": "{run} waits for a person's answer",
}
FAILED_AT = "{run} failed at {task}"
WARNINGS: Mapping[str, str] = {
    "HandEdits": "{run} has found edits by hand",
    "SegmentJump": "{run} has found segments that jumped",
    "AudienceJump": "The run has succeeded. An audience has grown or shrunk by many players since the last hand-over.",
    "CostJump": "{run} has cost twice its usual",
    "StreamBehind": "{run} has fallen behind",
    "StreamDiffers": "{run} has found live rows that differ",
}
"""What is said instead if the warning is of this kind."""
MEANINGS: Mapping[str, str] = {
    "QualityBreach": "A quality check failed. The table is as it was.",
    "Killed": "A task was killed: it ran out of memory, or its worker went away.",
    "DeadlineMissed": "The run takes longer than it should. It may still end well.",
    "Recovered": "The run has succeeded after all. There is nothing to do.",
    "BadSetting": "A setting or a connection is missing or makes no sense.",
    "BadParam": "The run was started with a param that does not exist or makes no sense.",
    "BadContract": "A file of contracts contradicts itself.",
    "SourceMissing": "A bucket, a feed, a table or a column that the contract requires is not there.",
    "SourceUnreadable": "A source is there and cannot be read as what it says it is.",
    "ForeignObjects": "The run has succeeded. It has set objects aside that are like no delivery of their feed.",
    "SourceShrunk": "Data that an earlier run had seen is gone from a source.",
    "AccessRefused": "A login or a password is wrong, or lacks a right.",
    "RowsUnaccounted": "Rows went in and did not come out anywhere: a defect of crmbet. The table is as it was.",
    "LoadAsked": "A run waits until a person says whether it may load. The table is as it was.",
    "LoadRejected": "A person was asked whether the run may load: no, or no answer. The table is as it was.",
    "BadAudience": "The table is loaded. No audience was handed over, since the file of one is wrong.",
    "ReceiverRefused": "The table is loaded and audiences are there. Who should be told of them refuses the message.",
    "LoadRefused": "The load would have broken a promise, so nothing was touched.",
    "HandEdits": "The run has succeeded. Somebody had edited the table by hand.",
    "SegmentJump": "The run has succeeded. A segment has grown or shrunk by many players since yesterday.",
    "CostJump": "The run has succeeded. It has cost at least twice what such runs usually cost.",
    "StreamBehind": "The stream is late. Nothing is lost: the next run goes on where this one stopped.",
    "StreamDiffers": "The run has succeeded. Live rows of yesterday are not what their messages say.",
    "DamagedObject": "An object of our store is damaged or gone, and nothing can give it back.",
    "ErasureOverdue": "Somebody has asked to be erased, and it was not done in time.",
    "ErasureUnproven": "After an erasure something still names the player. The request stays open.",
    "DataLost": "What was captured is damaged or gone, and the source does not hold it any more.",
    "LostConnection": "S3 or PostgreSQL was out of reach at each of three tries.",
    "SourceChanged": "An object of the lake was replaced while it was read, at each of three tries.",
    "LockHeld": "Another load held the table for too long.",
    "PermanentFailure": "Trying again cannot mend this: a person has to change something first.",
    "TemporaryFailure": "What usually mends itself has not done so at three tries.",
    "Unforeseen": "An error that nobody foresaw.",
}
"""What each kind of failure means, in a sentence. The runbook has a page for each."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """What the person on call needs to know about one incident."""

    kind: Kind
    dag_id: str
    execution_id: str
    failure: Failure
    as_of: str | None = None
    """A date. None if the run failed before it knew it."""
    task_id: str | None = None
    try_number: int | None = None
    breaches: tuple[Breach, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    """Name to address: log, run, report, page, runbook."""
    brand: str = DEFAULT
    """The brand whose run it is. That of a deployment without brands is not told."""
    is_late: bool = False
    """Whether somebody else tells of it, because nobody was told when it happened."""
    say: Texts = ENGLISH

    @property
    def title(self) -> str:
        """The subject, in one line."""
        about = f" (as_of {self.as_of})" if self.as_of else ""
        said = WARNINGS.get(self.failure.kind, TITLES[self.kind])
        if self.task_id and self.kind == "failed":
            said = FAILED_AT
        title = self.say(said, run=f"{self.dag_id}{about}", task=self.task_id)
        return _shorten(title, LONGEST_TITLE)

    @property
    def anchor(self) -> str:
        """The heading of docs/runbook.md for this kind of failure."""
        return anchor_of(self.failure.kind)

    @property
    def facts(self) -> dict[str, str]:
        """Label to text, in the order of a reader's questions. Empty facts are left out. The labels are English."""
        say, meaning = self.say, MEANINGS.get(self.failure.kind, "")
        facts = {
            "Means": say(meaning) if say.language != DEFAULT_LANGUAGE else "",
            "What": say(self.failure.what),
            "Where": self.failure.where,
            "Why": say(self.failure.why),
            "Next": say(self.failure.next_step),
            "Brand": "" if self.brand == DEFAULT else self.brand,
            "DAG": self.dag_id,
            "Run": self.execution_id,
            "as_of": self.as_of or "",
            "Task": say("{task}, try {number}", task=self.task_id, number=self.try_number)
            if self.task_id
            else "",
            "Late": say(LATE) if self.is_late else "",
        }
        return {name: _shorten(text, LONGEST_TEXT) for name, text in facts.items() if text}

    @property
    def checks(self) -> list[str]:
        """One line for each breach that is shown, and one for those that are not."""
        lines = [_describe_breach(breach, self.say) for breach in self.breaches[:SHOWN_BREACHES]]
        if more := len(self.breaches) - len(lines):
            lines.append(self.say("and {more} more in the report", more=more))
        return lines

    def to_text(self) -> str:
        """The message for mail programs that show no HTML."""
        lines = [self.title, ""]
        lines += [f"{self.say(name)}: {text}" for name, text in self.facts.items()]
        if self.breaches:
            lines += ["", f"{self.say('Checks')}:", *(f"- {line}" for line in self.checks)]
        lines += ["", *(f"{self.say(name.capitalize())}: {address}" for name, address in self.links.items())]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """The message for mail programs that show HTML."""
        rows = "".join(
            f"<tr><th align=left valign=top style='padding:2px 12px 2px 0'>{html.escape(self.say(name))}</th>"
            f"<td>{html.escape(text)}</td></tr>"
            for name, text in self.facts.items()
        )
        checks = "".join(f"<li>{html.escape(line)}</li>" for line in self.checks)
        links = " &middot; ".join(
            f'<a href="{html.escape(address)}">{html.escape(self.say(name.capitalize()))}</a>'
            for name, address in self.links.items()
        )
        return (
            f"<!doctype html><html><body style='font-family:sans-serif'><h2>{html.escape(self.title)}</h2>"
            f"<table>{rows}</table>{f'<ul>{checks}</ul>' if checks else ''}<p>{links}</p></body></html>"
        )

    def to_slack(self) -> dict[str, Any]:
        """The body of a Slack incoming webhook. Only our own labels and links are markup."""
        blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(self.title, LONGEST_TITLE)}]
        blocks += [
            {"type": "section", "text": _plain(f"{self.say(name)}: {text}")}
            for name, text in self.facts.items()
            if name in ("Means", "What", "Where", "Why", "Next", "Late")
        ]
        blocks += [{"type": "section", "text": _plain(f"• {line}")} for line in self.checks]
        rest = [
            f"{self.say(name)}: {text}"
            for name, text in self.facts.items()
            if name in ("Brand", "Run", "Task")
        ]
        blocks.append({"type": "context", "elements": [_plain(text) for text in rest]})
        if self.links:
            links = "  ·  ".join(
                f"<{address}|{self.say(name.capitalize())}>" for name, address in self.links.items()
            )
            blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": links}})
        # Notifications show `text`. Unless `mrkdwn` is off, Slack would read it as markup.
        return {"text": escape_slack(self.title), "mrkdwn": False, "blocks": blocks}

    def to_document(self) -> dict[str, Any]:
        """The body of the generic webhook, for programs."""
        return {
            "kind": self.kind,
            "title": self.title,
            "brand": self.brand,
            "dag_id": self.dag_id,
            "execution_id": self.execution_id,
            "as_of": self.as_of,
            "task_id": self.task_id,
            "try_number": self.try_number,
            "failure": self.failure.model_dump(),
            "breaches": [breach.model_dump(mode="json") for breach in self.breaches],
            "links": dict(self.links),
            "runbook": self.anchor,
            "is_late": self.is_late,
        }


def anchor_of(kind: str) -> str:
    """The runbook's heading for a kind of failure: `SourceMissing` becomes `source-missing`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower()


def escape_slack(text: str) -> str:
    """Escape text so that Slack reads no mention, link or channel in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str, longest: int = LONGEST_SLACK_TEXT) -> dict[str, Any]:
    """A text object in which Slack reads no markup. It is cut to `longest`, since Slack refuses longer ones."""
    while len(escaped := escape_slack(text)) > longest:
        text = text[: -max(1, (len(escaped) - longest) // 5)]
    return {"type": "plain_text", "text": escaped, "emoji": False}


def _describe_breach(breach: Breach, say: Texts) -> str:
    text = f"{breach.check} [{breach.severity}] {breach.view}: {breach.title.rstrip('.')}"
    if breach.observed:
        text += f". {say('Observed')}: {breach.observed}"
    if breach.threshold:
        text += f" ({say('allowed')}: {breach.threshold})"
    if breach.keys:
        text += f". {say('Examples')}: {', '.join(breach.keys)}"
    return _shorten(text, LONGEST_TEXT)


def _shorten(text: str, longest: int) -> str:
    """The text on one line, cut to `longest`. A line break in a mail's subject would start another header."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
