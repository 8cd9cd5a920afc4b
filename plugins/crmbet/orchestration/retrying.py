"""Which failures Airflow tries again, and how often: a lost connection, not bad data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from crmbet.failures import PermanentFailure, TemporaryFailure

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=PermanentFailure,
            action=RetryAction.FAIL,
            reason="a person has to change something first",
        ),
        RetryRule(
            exception=TemporaryFailure, action=RetryAction.RETRY, reason="it may well succeed in a minute"
        ),
    ]
)
"""Errors that are neither are retried as the task says: nobody has foreseen them."""

RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RETRY_POLICY,
}
"""A DAG's default arguments."""
