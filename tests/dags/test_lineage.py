"""What the daily DAG reports to OpenLineage: every table of a run can be traced to its sources."""

from __future__ import annotations

from typing import Any

import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.orchestration import lineage
from crmbet.orchestration.lineage import PipelineLineage

pytestmark = pytest.mark.dags

CONNECTION = "postgres://loader:a-secret@{host}/crm"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMBET_LAKE_BUCKET", "lake")
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_SOURCE", CONNECTION.format(host="source:6432"))
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_TARGET", CONNECTION.format(host="target"))


def lineage_of(task: Any) -> Any:
    lineage = PipelineLineage(task).extract()
    assert lineage is not None
    return lineage


def test_each_task_reads_what_others_wrote(dag: Any) -> None:
    lineages = [
        lineage_of(task)
        for task in dag.topological_sort()
        if task.task_type in PipelineLineage.get_operator_classnames()
    ]
    read = {(one.namespace, one.name) for lineage in lineages for one in lineage.inputs}
    written = {(one.namespace, one.name) for lineage in lineages for one in lineage.outputs}

    feeds = {name for name, contract in load_source_contracts().items() if contract.kind == "lake"}
    assert read - written == {
        *(("s3://lake", f"raw/{feed}") for feed in feeds),
        ("postgres://source:6432", "crm.public.tbl_transactions"),
    }
    assert written - read == {
        ("postgres://target:5432", "crm.ml_features.user_features"),
        ("postgres://target:5432", "crm.ml_features.user_features_history"),
    }
    assert len(lineages) == 5


def test_columns_lead_from_the_table_to_the_cleaned_sources(dag: Any) -> None:
    [features] = lineage_of(dag.get_task("engineer_features")).outputs
    table, _ = lineage_of(dag.get_task("load_merge")).outputs

    [loaded] = table.facets["columnLineage"].fields["deposit_sum_30d"].inputFields
    assert (loaded.name, loaded.field) == (features.name, "deposit_sum_30d")
    made = features.facets["columnLineage"].fields["deposit_sum_30d"].inputFields
    assert {(one.namespace, one.name, one.field) for one in made} == {
        ("s3://lake", "crmbet/brand=default/cleaned/source=transactions", name)
        for name in ("amount", "status", "transaction_type")
    }
    read = {(one.namespace, one.name) for one in lineage_of(dag.get_task("engineer_features")).inputs}
    used = {
        (one.namespace, one.name)
        for field in features.facets["columnLineage"].fields.values()
        for one in field.inputFields
    }
    assert used <= read


def test_a_table_of_another_schema_keeps_its_schema(dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    contracts = dict(load_source_contracts())
    contracts["transactions"] = contracts["transactions"].model_copy(update={"relation": "wallet.movements"})
    monkeypatch.setattr(lineage, "load_source_contracts", lambda **_: contracts)

    [read] = lineage_of(dag.get_task("extract_pg")).inputs

    assert (read.namespace, read.name) == ("postgres://source:6432", "crm.wallet.movements")
