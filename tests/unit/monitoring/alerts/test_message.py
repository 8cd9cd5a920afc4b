"""What a message says, and that nothing in it can be markup that we did not write."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbet import failures
from crmbet.monitoring.alerts.message import LONGEST_TEXT, MEANINGS, SHOWN_BREACHES, Message, anchor_of
from crmbet.monitoring.metrics import Breach
from crmbet.monitoring.outcome import Failure
from crmbet.monitoring.page.documents import RUNBOOK
from crmbet.texts import texts_in

pytestmark = pytest.mark.unit

HOSTILE = "<script>alert(1)</script> <!channel> <@U1> <https://evil.example|click> *bold* `&amp; & \" '"
BREACH = Breach(
    stage="raw",
    check="completeness",
    severity="CRITICAL",
    view="raw_bets",
    title="user_id is filled",
    threshold="5%",
    observed="25.23% of rows have no user_id",
    keys=("bet_id=b1", "bet_id=b2"),
)
MESSAGE = Message(
    kind="failed",
    dag_id="user_features_daily",
    execution_id="scheduled__2026-11-24",
    failure=Failure(
        kind="QualityBreach", what="the raw data are not good enough", next_step="read the report"
    ),
    as_of="2026-11-24",
    task_id="validate_raw",
    try_number=1,
    breaches=(BREACH,),
    links={
        "log": "http://airflow/log?try_number=1",
        "runbook": "http://airflow/crmbet/runbook#quality-breach",
    },
)


def hostile() -> Message:
    failure = Failure(kind="Unforeseen", what=HOSTILE, where=HOSTILE, why=HOSTILE, next_step=HOSTILE)
    return replace(
        MESSAGE,
        failure=failure,
        execution_id=HOSTILE,
        task_id=HOSTILE,
        breaches=(BREACH.model_copy(update={"keys": (HOSTILE,), "title": HOSTILE}),),
    )


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name == "href"]


def texts(body: Any) -> list[tuple[str, str]]:
    """Type and text of every text object of a Slack body."""
    if isinstance(body, list):
        return [text for part in body for text in texts(part)]
    if not isinstance(body, dict):
        return []
    if body.get("type") in ("plain_text", "mrkdwn"):
        return [(body["type"], body["text"])]
    return [text for part in body.values() for text in texts(part)]


def test_it_says_what_broke_where_and_what_to_do() -> None:
    text = MESSAGE.to_text()

    assert text.splitlines()[0] == "user_features_daily (as_of 2026-11-24) failed at validate_raw"
    for part in (
        "What: the raw data are not good enough",
        "Next: read the report",
        "Run: scheduled__2026-11-24",
        "Task: validate_raw, try 1",
        "- completeness [CRITICAL] raw_bets: user_id is filled. Observed: 25.23% of rows have no user_id (allowed: 5%)",
        "(allowed: 5%). Examples: bet_id=b1, bet_id=b2",
        "Log: http://airflow/log?try_number=1",
        "Runbook: http://airflow/crmbet/runbook#quality-breach",
    ):
        assert part in text


def test_every_form_says_the_same() -> None:
    slack = " ".join(text for _, text in texts(MESSAGE.to_slack()))
    for form in (MESSAGE.to_html(), slack, json.dumps(MESSAGE.to_document())):
        for part in (
            "the raw data are not good enough",
            "read the report",
            "25.23% of rows have no user_id",
            "bet_id=b1",
            "#quality-breach",
        ):
            assert part in form


def test_html_holds_no_tag_and_no_link_of_others() -> None:
    seen = Tags()
    seen.feed(hostile().to_html())

    assert seen.tags == {"html", "body", "h2", "table", "tr", "th", "td", "ul", "li", "p", "a"}
    assert seen.links == list(MESSAGE.links.values())


def test_slack_reads_no_markup_of_others() -> None:
    shown = texts(hostile().to_slack())

    markup = [text for kind, text in shown if kind == "mrkdwn"]
    assert markup == [
        "<http://airflow/log?try_number=1|Log>  ·  <http://airflow/crmbet/runbook#quality-breach|Runbook>"
    ]
    assert all("<" not in text and ">" not in text for kind, text in shown if kind == "plain_text")
    assert "<" not in hostile().to_slack()["text"]


def test_a_title_is_one_line() -> None:
    assert "\n" not in replace(MESSAGE, task_id="a\r\nBcc: everybody@example.com").title


@given(st.text(max_size=4_000) | st.integers(1, 4_000).map("&".__mul__))
def test_slack_takes_any_text(text: str) -> None:
    message = replace(MESSAGE, failure=Failure(kind="Unforeseen", what=text), task_id=text or None)

    body = message.to_slack()
    assert all(0 < len(shown) <= 3_000 for _, shown in texts(body))
    assert len(body["blocks"][0]["text"]["text"]) <= 150
    assert all(len(fact) <= LONGEST_TEXT for fact in message.facts.values())


def test_ten_thousand_breaches_are_a_few_lines() -> None:
    message = replace(MESSAGE, breaches=(BREACH,) * 10_000)

    assert len(message.checks) == SHOWN_BREACHES + 1
    assert message.checks[-1] == "and 9995 more in the report"
    assert len(message.to_slack()["blocks"]) < 50


def test_it_speaks_the_language_that_is_set() -> None:
    text = replace(MESSAGE, say=texts_in("pt-BR"), is_late=True).to_text()

    assert text.splitlines()[0] == "user_features_daily (as_of 2026-11-24) falhou em validate_raw"
    for part in (
        "Resumo: Uma checagem de qualidade falhou.",
        "O que houve: the raw data are not good enough",
        "Tarefa: validate_raw, tentativa 1",
        "Atraso: esta mensagem chega atrasada",
        "(permitido: 5%). Exemplos: bet_id=b1",
    ):
        assert part in text


def test_every_kind_of_failure_is_explained() -> None:
    pages = set(re.findall(r"^## (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE))
    explained = {anchor_of(kind) for kind in MEANINGS}

    assert explained <= {page.lower().replace(" ", "-") for page in pages}
    assert {anchor_of(kind.__name__) for kind in vars(failures).values() if is_failure(kind)} <= explained


def is_failure(kind: object) -> bool:
    return (
        isinstance(kind, type) and issubclass(kind, failures.CrmbetError) and kind is not failures.CrmbetError
    )
