"""What is said of a step's outcome."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest
from structlog.contextvars import get_contextvars

from crmbet.run.logs import bind, log_outcome, unbind

pytestmark = pytest.mark.unit


class Context(logging.Handler):
    """Keeps the fields that Airflow would merge into each line."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[dict[str, Any]] = []

    def emit(self, _: logging.LogRecord) -> None:
        self.fields.append(dict(get_contextvars()))


@pytest.fixture
def context() -> Iterator[Context]:
    handler = Context()
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)
    unbind()


log = logging.getLogger("crmbet.a_test")


def test_a_callback_says_what_the_work_had_bound_in_its_copy_of_the_context(context: Context) -> None:
    bind(component="CleanOperator", execution_id="run")
    copy_context().run(bind, as_of="2024-04-10")

    log_outcome(log, "done", {"rows": 3}, level=logging.ERROR)
    unbind()
    log_outcome(log, "another task", level=logging.ERROR)

    assert context.fields == [
        {
            "component": "CleanOperator",
            "execution_id": "run",
            "as_of": "2024-04-10",
            "rows": 3,
            "message": "done",
        },
        {"message": "another task"},
    ]
    assert get_contextvars() == {}
