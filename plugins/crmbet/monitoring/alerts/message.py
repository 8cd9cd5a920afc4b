"""One message about one incident, as text, HTML, Slack blocks and JSON. Pure: nothing is asked, nothing is sent.

Sources can put anything into a user id or a column, so whatever comes from data is escaped in every form.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from crmbet.monitoring.metrics import Breach
from crmbet.monitoring.outcome import Failure

Kind = Literal["failed", "recovered", "deadline"]

SHOWN_BREACHES = 5
LONGEST_TEXT = 1_500
"""Characters of one field."""
LONGEST_SLACK_TEXT = 3_000
"""Characters of one block, as Slack counts them: escaped."""
LONGEST_TITLE = 150
TITLES: Mapping[Kind, str] = {"failed": "failed", "recovered": "is good again", "deadline": "is late"}


@dataclass(frozen=True, kw_only=True)
class Message:
    """What one person needs to know of one incident."""

    kind: Kind
    dag_id: str
    execution_id: str
    failure: Failure
    as_of: str | None = None
    """A date, if the run got so far as to know it."""
    task_id: str | None = None
    try_number: int | None = None
    breaches: tuple[Breach, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    """Name to address: log, run, report, page, runbook."""

    @property
    def title(self) -> str:
        """One line."""
        about = f" (as_of {self.as_of})" if self.as_of else ""
        where = f" at {self.task_id}" if self.task_id and self.kind == "failed" else ""
        return _shorten(f"{self.dag_id}{about} {TITLES[self.kind]}{where}", LONGEST_TITLE)

    @property
    def anchor(self) -> str:
        """The heading of docs/runbook.md that is about this."""
        return anchor_of(self.failure.kind)

    @property
    def facts(self) -> dict[str, str]:
        """What happened, in the order in which somebody asks."""
        asked = {
            "What": self.failure.what,
            "Where": self.failure.where,
            "Why": self.failure.why,
            "Next": self.failure.next_step,
            "DAG": self.dag_id,
            "Run": self.execution_id,
            "as_of": self.as_of or "",
            "Task": f"{self.task_id}, try {self.try_number}" if self.task_id else "",
        }
        return {name: _shorten(text, LONGEST_TEXT) for name, text in asked.items() if text}

    @property
    def checks(self) -> list[str]:
        """The breaches, a line each."""
        lines = [_tell(breach) for breach in self.breaches[:SHOWN_BREACHES]]
        if more := len(self.breaches) - len(lines):
            lines.append(f"and {more} more: see the report")
        return lines

    def to_text(self) -> str:
        """For logs and for mail programs that show no HTML."""
        lines = [self.title, ""]
        lines += [f"{name}: {text}" for name, text in self.facts.items()]
        if self.breaches:
            lines += ["", "Checks:", *(f"- {line}" for line in self.checks)]
        lines += ["", *(f"{name.capitalize()}: {address}" for name, address in self.links.items())]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """For mail programs."""
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
            if name in ("What", "Where", "Why", "Next")
        ]
        blocks += [{"type": "section", "text": _plain(f"• {line}")} for line in self.checks]
        rest = [f"{name}: {text}" for name, text in self.facts.items() if name in ("Run", "Task")]
        blocks.append({"type": "context", "elements": [_plain(text) for text in rest]})
        if self.links:
            links = "  ·  ".join(f"<{address}|{name.capitalize()}>" for name, address in self.links.items())
            blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": links}})
        # What notifications show, and what Slack would read as markup if it were not told otherwise.
        return {"text": escape_slack(self.title), "mrkdwn": False, "blocks": blocks}

    def to_document(self) -> dict[str, Any]:
        """For programs: the body of the generic webhook."""
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
        }


def anchor_of(kind: str) -> str:
    """The runbook's heading for a kind of failure: `SourceMissing` becomes `source-missing`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower()


def escape_slack(text: str) -> str:
    """Text in which Slack finds no mention, link or channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str, longest: int = LONGEST_SLACK_TEXT) -> dict[str, Any]:
    """A text object in which Slack reads no markup at all. A longer one would have the whole message refused."""
    while len(escaped := escape_slack(text)) > longest:
        text = text[: -max(1, (len(escaped) - longest) // 5)]
    return {"type": "plain_text", "text": escaped, "emoji": False}


def _tell(breach: Breach) -> str:
    told = f"{breach.check} [{breach.severity}] {breach.view}: {breach.title.rstrip('.')}"
    told += f"; found {breach.observed or 'nothing'}"
    if breach.threshold:
        told += f", wanted {breach.threshold}"
    if breach.keys:
        told += f"; such as {', '.join(breach.keys)}"
    return _shorten(told, LONGEST_TEXT)


def _shorten(text: str, longest: int) -> str:
    """On one line, and no longer than that: a line break in a subject would be a header of its own."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
