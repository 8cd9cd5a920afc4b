"""One message about one incident, as text, HTML, Slack blocks and JSON. This module reads and sends nothing.

Sources can put anything into a user id or a column, so every form escapes whatever comes from data.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from crmbet.monitoring.metrics import Breach
from crmbet.monitoring.outcome import Failure

Kind = Literal["failed", "recovered", "deadline", "set_aside"]

SHOWN_BREACHES = 5
LONGEST_TEXT = 1_500
"""Characters of one fact."""
LONGEST_SLACK_TEXT = 3_000
"""Characters of one block after escaping, as Slack counts them."""
LONGEST_TITLE = 150
LATE = "this message comes late, since none was sent when the run ended"
TITLES: Mapping[Kind, str] = {
    "failed": "failed",
    "recovered": "has recovered",
    "deadline": "is late",
    "set_aside": "has set objects aside",
}
WARNINGS: Mapping[str, str] = {"HandEdits": "has found edits by hand"}
"""What is said instead if the warning is of this kind."""


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
    is_late: bool = False
    """Whether somebody else tells of it, because nobody was told when it happened."""

    @property
    def title(self) -> str:
        """The subject, in one line."""
        about = f" (as_of {self.as_of})" if self.as_of else ""
        where = f" at {self.task_id}" if self.task_id and self.kind == "failed" else ""
        said = WARNINGS.get(self.failure.kind, TITLES[self.kind])
        return _shorten(f"{self.dag_id}{about} {said}{where}", LONGEST_TITLE)

    @property
    def anchor(self) -> str:
        """The heading of docs/runbook.md for this kind of failure."""
        return anchor_of(self.failure.kind)

    @property
    def facts(self) -> dict[str, str]:
        """Label to text, in the order of a reader's questions. Empty facts are left out."""
        facts = {
            "What": self.failure.what,
            "Where": self.failure.where,
            "Why": self.failure.why,
            "Next": self.failure.next_step,
            "DAG": self.dag_id,
            "Run": self.execution_id,
            "as_of": self.as_of or "",
            "Task": f"{self.task_id}, try {self.try_number}" if self.task_id else "",
            "Late": LATE if self.is_late else "",
        }
        return {name: _shorten(text, LONGEST_TEXT) for name, text in facts.items() if text}

    @property
    def checks(self) -> list[str]:
        """One line for each breach that is shown, and one for those that are not."""
        lines = [_describe_breach(breach) for breach in self.breaches[:SHOWN_BREACHES]]
        if more := len(self.breaches) - len(lines):
            lines.append(f"and {more} more in the report")
        return lines

    def to_text(self) -> str:
        """The message for mail programs that show no HTML."""
        lines = [self.title, ""]
        lines += [f"{name}: {text}" for name, text in self.facts.items()]
        if self.breaches:
            lines += ["", "Checks:", *(f"- {line}" for line in self.checks)]
        lines += ["", *(f"{name.capitalize()}: {address}" for name, address in self.links.items())]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """The message for mail programs that show HTML."""
        rows = "".join(
            f"<tr><th align=left valign=top style='padding:2px 12px 2px 0'>{html.escape(name)}</th>"
            f"<td>{html.escape(text)}</td></tr>"
            for name, text in self.facts.items()
        )
        checks = "".join(f"<li>{html.escape(line)}</li>" for line in self.checks)
        links = " &middot; ".join(
            f'<a href="{html.escape(address)}">{html.escape(name.capitalize())}</a>'
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
            {"type": "section", "text": _plain(f"{name}: {text}")}
            for name, text in self.facts.items()
            if name in ("What", "Where", "Why", "Next", "Late")
        ]
        blocks += [{"type": "section", "text": _plain(f"• {line}")} for line in self.checks]
        rest = [f"{name}: {text}" for name, text in self.facts.items() if name in ("Run", "Task")]
        blocks.append({"type": "context", "elements": [_plain(text) for text in rest]})
        if self.links:
            links = "  ·  ".join(f"<{address}|{name.capitalize()}>" for name, address in self.links.items())
            blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": links}})
        # Notifications show `text`. Unless `mrkdwn` is off, Slack would read it as markup.
        return {"text": escape_slack(self.title), "mrkdwn": False, "blocks": blocks}

    def to_document(self) -> dict[str, Any]:
        """The body of the generic webhook, for programs."""
        return {
            "kind": self.kind,
            "title": self.title,
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


def _describe_breach(breach: Breach) -> str:
    text = f"{breach.check} [{breach.severity}] {breach.view}: {breach.title.rstrip('.')}"
    if breach.observed:
        text += f". Observed: {breach.observed}"
    if breach.threshold:
        text += f" (allowed: {breach.threshold})"
    if breach.keys:
        text += f". Examples: {', '.join(breach.keys)}"
    return _shorten(text, LONGEST_TEXT)


def _shorten(text: str, longest: int) -> str:
    """The text on one line, cut to `longest`. A line break in a mail's subject would start another header."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
