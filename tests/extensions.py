"""Lets the engine of a test process load extensions without checking their signatures.

A check reads 20 or 40 MB, which takes a quarter of a second, and each test makes an engine of its own. Programs that
tests start, the live Airflow's among them, check signatures as the product does.
"""

from __future__ import annotations

from typing import Any

import duckdb


def trust_extensions() -> None:
    connect: Any = duckdb.connect

    def trusting(*arguments: Any, config: dict[str, Any] | None = None, **named: Any) -> Any:
        trusted = {**(config or {}), "allow_unsigned_extensions": "true"}
        return connect(*arguments, config=trusted, **named)

    duckdb.connect = trusting
