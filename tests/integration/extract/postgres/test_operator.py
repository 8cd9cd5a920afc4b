"""The task `extract_pg`: the contracts of kind "postgres" say what it captures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from crmbet.contracts import files
from crmbet.contracts.source import SourceContract
from crmbet.extract.records import ExtractManifest
from crmbet.operators.extract_pg import ExtractPgOperator
from crmbet.orchestration.context import open_run
from crmbet.run.records import read_manifest
from local.env import database_variables

pytestmark = pytest.mark.integration

CONTEXT: Any = {
    "params": {},
    "dag_run": SimpleNamespace(
        dag_id="user_features_daily", run_id="manual__2026-08-12T06:00:00+00:00", run_type="manual",
        start_date=datetime(2026, 8, 12, 6, tzinfo=UTC), run_after=datetime(2026, 8, 12, 6, tzinfo=UTC),
        logical_date=None, data_interval_end=None,
    ),
    "ti": SimpleNamespace(task_id="extract_pg", try_number=1),
}  # fmt: skip


def test_every_contract_of_postgresql_is_captured_under_its_name(
    services: Any,
    postgres_url: str,
    bucket: str,
    source: Any,
    table: Callable[..., None],
    contract: SourceContract,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = postgres_url.partition("?")[0].rpartition("/")[2]
    for variable, value in database_variables(services.postgres, source=name, target=name).items():
        monkeypatch.setenv(variable, value)
    source("CREATE SCHEMA bonus")
    table("bonus.grants")
    source("INSERT INTO bonus.grants SELECT * FROM tbl_transactions LIMIT 2")
    contracts = {
        "cashier": contract.model_copy(update={"name": "cashier"}),
        "bonuses": contract.model_copy(update={"name": "bonuses", "relation": "bonus.grants"}),
        "bets": files.load_source_contracts()["bets"],
    }
    monkeypatch.setattr(files, "load_source_contracts", lambda **_: contracts)

    handed_over = ExtractPgOperator(task_id="extract_pg").execute(CONTEXT)

    run = open_run(CONTEXT)
    manifest = read_manifest(run.store, run.run.prefix, "extract_pg", ExtractManifest)
    assert {name: captures.extracted for name, captures in manifest.sources.items()} == {
        "cashier": 6,
        "bonuses": 2,
    }
    assert {capture.source for captures in manifest.sources.values() for capture in captures.captures} == {
        "cashier",
        "bonuses",
    }
    assert (handed_over["cashier"], handed_over["bonuses"]) == (6, 2)
