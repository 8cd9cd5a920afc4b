# ruff: noqa: TID253 - these are subclasses, so their bases are needed to define them; only `gate.check` imports this.
"""Our own expectations: rules in SQL with a tolerance. They name the rows that break them.

Suites call them `expect_rows_to_satisfy`, `expect_column_copies_to_be_within` and
`expect_compound_copies_to_be_within`. Great Expectations bundles the counts of all expectations on a view into one
statement. Keys are looked up only if rows break a rule.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from math import sqrt
from typing import Any, ClassVar

from great_expectations.compatibility import pydantic
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, Expectation
from great_expectations.expectations.metrics.metric_provider import metric_partial
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.expectations.registry import get_expectation_impl
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import ValidationDependencies
from sqlalchemy import Boolean, ColumnElement, Integer, Select, func, literal_column, select

from crmbet.databases.statements import identifier

ROW_COUNT = "table.row_count"
COUNTED_ROWS = "crmbet.counted_rows"
ROWS_CONCERNED = "crmbet.rows_concerned"
UNITS = "crmbet.units"
ALLOWED_SIGMAS = 3
"""Standard deviations by which a share may exceed its tolerance if the suite names a `unit`."""


class CountedRows(TableMetricProvider):
    """A number of rows, counted by an aggregate in SQL."""

    metric_name = COUNTED_ROWS
    value_keys = ("aggregate",)

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls,  # noqa: N805 - the decorator makes it a class method
        metric_domain_kwargs: Any,
        metric_value_kwargs: Any,
        **_: Any,
    ) -> tuple[ColumnElement[int], Any, dict[str, Any]]:
        return literal_column(metric_value_kwargs["aggregate"], Integer), metric_domain_kwargs, {}


class QuickKwargs:
    """Keywords of an expectation as the values of its fields.

    Great Expectations serialises the whole expectation once for every keyword that it looks up. That took much of a
    gate's time.
    """

    domain_keys: ClassVar[tuple[str, ...]]
    success_keys: ClassVar[tuple[str, ...]]

    def _get_domain_kwargs(self) -> dict[str, Any]:
        return {key: getattr(self, key, None) for key in self.domain_keys}

    def _get_success_kwargs(self) -> dict[str, Any]:
        return {key: getattr(self, key, None) for key in (*self.success_keys, *self.domain_keys)}


class ToleratedShareExpectation(QuickKwargs, BatchExpectation, ABC):
    """The share of rows that break a rule must be at most `tolerance` (0..1). A table without rows fails."""

    tolerance: float | dict[str, str] = pydantic.Field(description="Largest share of rows, 0..1.")

    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)

    @abstractmethod
    def _aggregate(self) -> str:
        """An SQL aggregate that counts the rows in breach."""

    @abstractmethod
    def _keys_in_breach(self, rows: Any, key_columns: list[str]) -> Select[Any]:
        """A statement that selects the keys of the rows in breach, in order."""

    def get_validation_dependencies(
        self,
        execution_engine: ExecutionEngine[Any] | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> ValidationDependencies:
        """The row count, and the count of rows in breach."""
        dependencies = super().get_validation_dependencies(execution_engine, runtime_configuration)
        dependencies.set_metric_configuration(ROW_COUNT, self._metric(ROW_COUNT))
        dependencies.set_metric_configuration(COUNTED_ROWS, self._count(self._aggregate()))
        return dependencies

    def _count(self, aggregate: str) -> MetricConfiguration:
        """A number of rows of the batch, counted by an aggregate in SQL."""
        return self._metric(COUNTED_ROWS, aggregate=aggregate)

    def _metric(self, name: str, **arguments: str) -> MetricConfiguration:
        return MetricConfiguration(name, self._get_domain_kwargs(), arguments)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        rows, breaking = metrics[ROW_COUNT], metrics[COUNTED_ROWS]
        judged = metrics.get(ROWS_CONCERNED, rows) or rows
        result = {"element_count": judged, "unexpected_count": breaking}
        if rows == 0:
            return {"success": False, "result": result}
        # The pages of Great Expectations show this figure.
        result["unexpected_percent"] = 100 * breaking / judged
        if breaking > 0:
            result["partial_unexpected_index_list"] = self._sample(execution_engine, runtime_configuration)
        tolerance = self._get_success_kwargs()["tolerance"]
        units = metrics.get(UNITS)
        by_chance = ALLOWED_SIGMAS * sqrt(tolerance * (1 - tolerance) / units) if units else 0.0
        allowed = min(1.0, tolerance + by_chance)
        result["allowed_share"] = allowed
        if units:
            result["units"] = units
            # The pages of Great Expectations show this beside the tolerance, which is not what was applied.
            result["observed_value"] = (
                f"{breaking / judged:.2%} (at most {allowed:.2%}, with the margin for chance)"
            )
        return {"success": breaking / judged <= allowed, "result": result}

    def _sample(
        self, execution_engine: Any, runtime_configuration: dict[str, Any] | None
    ) -> list[dict[str, Any]]:
        result_format: Any = self._get_result_format(runtime_configuration)
        if not isinstance(result_format, dict) or "unexpected_index_column_names" not in result_format:
            return []
        rows = execution_engine.get_domain_records(self._get_domain_kwargs())
        statement = self._keys_in_breach(rows, result_format["unexpected_index_column_names"])
        sample = execution_engine.execute_query(statement.limit(result_format["partial_unexpected_count"]))
        return [dict(row) for row in sample.mappings()]


class ExpectRowsToSatisfy(ToleratedShareExpectation):
    """Rows satisfy a condition in SQL. A condition that is NULL is not satisfied.

    `among` selects the rows that the rule is about. The tolerance is a share of these rows. If there are none, the rule
    is satisfied.

    `unit` names what groups similar rows, such as the player. With few players a large share in breach may be chance.
    The share may then exceed the tolerance by three standard deviations of the share among independent rows; their
    number is Kish's effective number of units (Kish 1965).

    `threshold` is a number, usually a setting, that takes the place of {threshold} in the condition.
    """

    condition: str = pydantic.Field(description="SQL over the view's columns, true for a good row.")
    among: str = pydantic.Field("true", description="SQL over the view's columns, true for a row to judge.")
    unit: str | None = pydantic.Field(
        None, description="SQL over the view's columns: rows with one value are similar."
    )

    threshold: pydantic.StrictInt | pydantic.StrictFloat | dict[str, str] | None = pydantic.Field(
        None, description="A number in place of {threshold} in the condition."
    )

    success_keys: ClassVar[tuple[str, ...]] = ("condition", "tolerance", "among", "unit", "threshold")

    def _is_concerned(self) -> str:
        return f"coalesce(({self.among}), false)"

    def _in_breach(self) -> str:
        condition = self.condition.replace("{threshold}", str(self._get_success_kwargs().get("threshold")))
        return f"{self._is_concerned()} AND NOT coalesce(({condition}), false)"

    def get_validation_dependencies(
        self,
        execution_engine: ExecutionEngine[Any] | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> ValidationDependencies:
        """The same, and the number of rows that the rule is about."""
        dependencies = super().get_validation_dependencies(execution_engine, runtime_configuration)
        concerned = self._count(f"count(*) FILTER (WHERE {self._is_concerned()})")
        dependencies.set_metric_configuration(ROWS_CONCERNED, concerned)
        if self.unit is not None:
            sizes = f"map_values(histogram(({self.unit})::VARCHAR) FILTER (WHERE {self._is_concerned()}))"
            squares = f"list_sum(list_transform({sizes}, lambda rows: rows::DOUBLE * rows))"
            units = self._count(f"round(list_sum({sizes})::DOUBLE ** 2 / {squares})")
            dependencies.set_metric_configuration(UNITS, units)
        return dependencies

    def _aggregate(self) -> str:
        return f"count(*) FILTER (WHERE {self._in_breach()})"

    def _keys_in_breach(self, rows: Any, key_columns: list[str]) -> Select[Any]:
        keys: list[ColumnElement[Any]] = [
            literal_column(identifier(name)).label(name) for name in key_columns
        ]
        return (
            select(*keys).select_from(rows).where(literal_column(self._in_breach(), Boolean)).order_by(*keys)
        )


class CopiesExpectation(ToleratedShareExpectation, ABC):
    """Few rows repeat a key beyond its first copy. A key with a NULL in it has no copies."""

    @abstractmethod
    def _key(self) -> list[str]:
        """The key's columns."""

    def _aggregate(self) -> str:
        key = [identifier(name) for name in self._key()]
        whole = " AND ".join(f"{name} IS NOT NULL" for name in key)
        # DISTINCT holds a hash of eight bytes in place of a key. Among ten million keys, two have the same hash in one
        # of about 370,000 runs.
        distinct = f"count(DISTINCT hash({', '.join(key)})) FILTER (WHERE {whole})"
        return f"count(*) FILTER (WHERE {whole}) - {distinct}"

    def _keys_in_breach(self, rows: Any, key_columns: list[str]) -> Select[Any]:  # noqa: ARG002 - it is the key
        key: list[ColumnElement[Any]] = [literal_column(identifier(name)).label(name) for name in self._key()]
        whole = [name.is_not(None) for name in key]
        return (
            select(*key)
            .select_from(rows)
            .where(*whole)
            .group_by(*key)
            .having(func.count() > 1)
            .order_by(*key)
        )


class ExpectColumnCopiesToBeWithin(CopiesExpectation):
    """Few rows repeat a value of a column beyond its first copy. NULL has no copies."""

    column: pydantic.StrictStr = pydantic.Field(description="The column whose values should be unique.")

    success_keys: ClassVar[tuple[str, ...]] = ("column", "tolerance")

    def _key(self) -> list[str]:
        return [self.column]


class ExpectCompoundCopiesToBeWithin(CopiesExpectation):
    """Few rows repeat the values of several columns beyond their first copy."""

    columns: list[pydantic.StrictStr] = pydantic.Field(
        description="The columns whose values should be unique together.", min_items=2
    )

    success_keys: ClassVar[tuple[str, ...]] = ("columns", "tolerance")

    def _key(self) -> list[str]:
        return self.columns


OF_GREAT_EXPECTATIONS = (
    "expect_column_max_to_be_between",
    "expect_column_type_to_be",
    "expect_column_values_to_be_between",
    "expect_column_values_to_not_be_null",
    "expect_table_row_count_to_be_between",
)
"""What most entries of the suites use."""


def _quicken(original: type[Expectation]) -> None:
    """Put a class with quick keywords in the place of one of Great Expectations: the name of a class registers it."""
    type(original.__name__, (QuickKwargs, original), {"__module__": __name__, "__doc__": original.__doc__})


# Great Expectations warns of each class and each renderer that is registered again: a hundred lines in a task's log.
_registry_log = logging.getLogger("great_expectations.expectations.registry")
_registry_log.setLevel(logging.ERROR)
for _name in OF_GREAT_EXPECTATIONS:
    _quicken(get_expectation_impl(_name))
_registry_log.setLevel(logging.NOTSET)
