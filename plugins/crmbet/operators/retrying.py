"""Which failures Airflow tries again: a lost connection, not bad data."""

from __future__ import annotations

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
