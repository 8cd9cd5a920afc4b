"""Reports to OpenLineage which datasets each task reads and writes, and which columns features come from.

Airflow loads it only if its settings name it:

    AIRFLOW__OPENLINEAGE__EXTRACTORS=crmbet.orchestration.lineage.PipelineLineage

Dataset names follow the OpenLineage specification for S3 and PostgreSQL, so that they match those that other jobs
report for the same tables. The namespace is the bucket or the server. The name is a folder of the bucket, or
database.schema.table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow.providers.openlineage.extractors.base import BaseExtractor, OperatorLineage
from openlineage.client.event_v2 import Dataset
from openlineage.client.facet_v2 import DatasetFacet
from openlineage.client.generated.column_lineage_dataset import (
    ColumnLineageDatasetFacet,
    Fields,
    InputField,
)

from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.origins import ROWS, load_origins
from crmbet.contracts.source import SourceContract
from crmbet.extract.streams import stream_name
from crmbet.load.session import history_name
from crmbet.orchestration.context import require_connection, settings_of
from crmbet.run.settings import Settings
from crmbet.storage.layout import Layout

Columns = Mapping[str, Sequence[tuple[Dataset, str]]]
"""Column to the columns that it comes from, each with its dataset."""
DEFAULT_PORT = 5432
DEFAULT_SCHEMA = "public"
"""The schema of a source relation whose contract names none, as the extract reads it."""


class PipelineLineage(BaseExtractor):
    """The inputs and outputs of this package's operators. They do not depend on whether the task succeeds."""

    @classmethod
    def get_operator_classnames(cls) -> list[str]:
        """The class names of the operators that move data."""
        return list(_LINEAGE)

    def _execute_extraction(self) -> OperatorLineage[Dataset, Any]:
        inputs, outputs = _LINEAGE[self.operator.task_type](_Datasets(settings_of(self.operator.dag_id)))
        return OperatorLineage(inputs=inputs, outputs=outputs)


class _Datasets:
    """The datasets of one brand, in the order in which a run makes them."""

    def __init__(self, settings: Settings) -> None:
        self._bucket = f"s3://{settings.lake_bucket}"
        self._raw_prefix = settings.source.raw_prefix
        self._layout = Layout(brand=settings.brand)
        self._connections = settings.connections
        self._schema = settings.target_schema
        self._contracts = load_source_contracts(over=settings.source.contracts_directory)

    @property
    def feeds(self) -> list[Dataset]:
        return [self._folder(f"{self._raw_prefix}{contract.relation}") for contract in self._of_kind("lake")]

    @property
    def transactions(self) -> list[Dataset]:
        return [self._source_table(contract) for contract in self._of_kind("postgres")]

    def captures(self, *kinds: str) -> list[Dataset]:
        return [
            self._folder(
                self._layout.captures(stream_name(each.name) if each.kind == "stream" else each.name)
            )
            for each in self._of_kind(*kinds)
        ]

    @property
    def cleaned(self) -> list[Dataset]:
        return [
            self._folder(self._layout.dataset(f"cleaned/source={contract.name}"))
            for contract in self._of_kind("lake", "postgres", "stream")
        ]

    @property
    def features(self) -> list[Dataset]:
        columns = {
            feature: [
                (self._folder(self._layout.dataset(f"cleaned/source={source}")), name)
                for source, name in origin.sources
                if name != ROWS
            ]
            for feature, origin in load_origins().items()
        }
        return [self._folder(f"{self._layout.runs}run_id=*/features", columns)]

    @property
    def tables(self) -> list[Dataset]:
        contract = load_table_contract().in_schema(self._schema)
        names = (contract.name, history_name(contract))
        [features] = self.features
        columns = {name: [(features, name)] for name in contract.computed}
        return [
            _table(self._connections.target_connection, contract.schema_name, name, columns) for name in names
        ]

    def _source_table(self, contract: SourceContract) -> Dataset:
        schema, _, table = contract.relation.rpartition(".")
        return _table(self._connections.source_connection, schema or DEFAULT_SCHEMA, table)

    def _of_kind(self, *kinds: str) -> list[SourceContract]:
        return [contract for contract in self._contracts.values() if contract.kind in kinds]

    def _folder(self, key: str, columns: Columns | None = None) -> Dataset:
        return Dataset(namespace=self._bucket, name=key.rstrip("/"), facets=_facets(columns))


_LINEAGE: Mapping[str, Callable[[_Datasets], tuple[list[Dataset], list[Dataset]]]] = {
    "ExtractS3Operator": lambda datasets: (datasets.feeds, datasets.captures("lake", "stream")),
    "ExtractPgOperator": lambda datasets: (datasets.transactions, datasets.captures("postgres")),
    "CleanOperator": lambda datasets: (datasets.captures("lake", "postgres", "stream"), datasets.cleaned),
    "EngineerFeaturesOperator": lambda datasets: (datasets.cleaned, datasets.features),
    "LoadMergeOperator": lambda datasets: (datasets.features, datasets.tables),
}
"""Operator to its inputs and outputs."""


def _table(connection_id: str, schema: str, table: str, columns: Columns | None = None) -> Dataset:
    connection = require_connection(connection_id)
    server = f"postgres://{connection.host}:{connection.port or DEFAULT_PORT}"
    name = f"{connection.schema}.{schema}.{table}"
    return Dataset(namespace=server, name=name, facets=_facets(columns))


def _facets(columns: Columns | None) -> dict[str, DatasetFacet]:
    """From which columns of other datasets each column comes, as OpenLineage says it."""
    if columns is None:
        return {}
    fields = {
        column: Fields(
            inputFields=[
                InputField(namespace=dataset.namespace, name=dataset.name, field=name)
                for dataset, name in inputs
            ]
        )
        for column, inputs in columns.items()
        if inputs
    }
    return {"columnLineage": ColumnLineageDatasetFacet(fields=fields)}
