"""Which failures Airflow retries, and how often. A lost connection is retried, bad data are not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryDecision, RetryRule

from crmbet.failures import PermanentFailure, TemporaryFailure
from crmbet.orchestration.watching import keep_spent


class CountedTries(ExceptionRetryPolicy):
    """Decides by the exception, and keeps what the failed try has used. Airflow asks it once for each."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
    ) -> RetryDecision:
        """Whether the task is tried again."""
        if context is not None:
            keep_spent(context)
        return super().evaluate(exception, try_number, max_tries, context)


RETRY_POLICY = CountedTries(
    rules=[
        RetryRule(
            exception=PermanentFailure,
            action=RetryAction.FAIL,
            reason="somebody has to change something first",
        ),
        RetryRule(exception=TemporaryFailure, action=RetryAction.RETRY, reason="it may succeed in a minute"),
    ]
)
"""Errors that are neither of the two are unexpected. They are retried as the task says."""

RETRIES: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RETRY_POLICY,
}
"""A DAG's default arguments: three tries, as the original specification says."""
