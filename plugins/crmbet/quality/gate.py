"""The gate: run a stage's suites on views of the data engine, as checkpoints of Great Expectations, and report.

The caller gives thresholds by name, and a suite refers to them as `{"$PARAMETER": "<name>"}`. Numbers are shares or
counts. Instants are aware datetimes, because Great Expectations would compare ISO text letter by letter. `as_of` and
`known_at` always come from the subject; `thresholds.py` makes the others.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmbet.contracts.alike_ids import create_fold_id
from crmbet.contracts.table import TableContract
from crmbet.quality.checks import Check, Stage
from crmbet.quality.report import Outcome, Report, Subject
from crmbet.quality.suites import (
    EXPECTATIONS,
    POSITION,
    BadSuite,
    Entry,
    Suite,
    Threshold,
    build_expectations,
    load_suites,
    require_parameters,
    waits,
)
from crmbet.quality.wording import allowed_share, describe_allowed, describe_breach, judged_rows, visible
from crmbet.redaction import redact
from crmbet.texts import ENGLISH, Texts

if TYPE_CHECKING:
    import duckdb
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext
    from great_expectations.datasource.fluent.sql_datasource import SQLDatasource

SAMPLED_KEYS = 20
"""The most rows in breach that a report names for one expectation."""


def check(  # noqa: PLR0913 - all but the first by name
    connection: duckdb.DuckDBPyConnection,
    *,
    stage: Stage,
    views: Collection[str],
    thresholds: Mapping[str, Threshold],
    subject: Subject,
    table: TableContract,
    notes: Sequence[str] = (),
    unjudged: Mapping[str, str] | None = None,
    is_strict: bool = False,
    only_these: bool = False,
    docs: Path | None = None,
    folder: Path = EXPECTATIONS,
    say: Texts = ENGLISH,
) -> Report:
    """Judge the views of a stage. Returns a report whether or not they pass; see `raise_on_breach`.

    `views` are the views that exist on `connection`, which is lent to Great Expectations and stays open. A required
    view that is not among them is a breach, unless `only_these` says to judge no others. An optional one is reported as
    absent. `unjudged` are views in which there is nothing to judge, with the reason. `is_strict` leaves out every
    margin for chance. `table` is the contract of the target; some entries of the suites refer to it. `docs` is an empty
    folder for the pages of Great Expectations (Data Docs). The report speaks the language of `say`.

    Raises `BadSuite` if the suites cannot be run: a bad file, a missing threshold, a view without a suite.
    """
    read = load_suites(stage, folder)
    waiting = [entry for suite in read for entry in suite.expectations if waits(entry, table)]
    suites = [suite.for_table(table) for suite in read]
    if is_strict:
        suites = [suite.without_margins() for suite in suites]
    idle = unjudged or {}
    if unknown := set(views) - {suite.name for suite in suites}:
        raise BadSuite(
            f"there is no suite for {', '.join(sorted(unknown))}",
            where=str(folder / stage),
            next_step="add a suite of that name: a view without expectations would always pass",
        )
    values = _as_suites_compare({**thresholds, "as_of": subject.as_of, "known_at": subject.known_at}, stage)
    judged = [suite for suite in suites if suite.name in views and suite.name not in idle]
    require_parameters(judged, values)
    outcomes: list[Outcome] = []
    create_fold_id(connection)
    with _great_expectations(connection, docs) as (context, datasource):
        for suite in suites:
            if suite.name in idle:
                outcomes += _unjudged(suite, idle[suite.name], say)
            elif suite.name in views:
                outcomes += _run(suite, context, datasource, values, say)
            elif suite.meta.required and not only_these:
                outcomes.append(_missing(suite, say))
        if docs is not None:
            context.build_data_docs()
    absent = [suite.name for suite in suites if suite.name not in {*views, *idle} and not suite.meta.required]
    waits_for = tuple(
        f"{say.about(entry.description, names_in(entry))} ({', '.join(entry.needs)})" for entry in waiting
    )
    return Report(stage, subject, tuple(outcomes), tuple(absent), tuple(notes), waits_for, say=say)


def names_in(entry: Entry) -> frozenset[str]:
    """The words of an entry's arguments: columns, among others. In a sentence about the entry they are names."""
    return frozenset(re.findall(r"[a-z]\w*", str(entry.kwargs)))


@contextmanager
def _great_expectations(
    connection: duckdb.DuckDBPyConnection, docs: Path | None
) -> Iterator[tuple[EphemeralDataContext, SQLDatasource]]:
    """A context that keeps everything but its pages in memory and sends nothing, and a datasource on the connection."""
    # On import it logs every method that it registers at INFO: two hundred lines in a task's log.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    from crmbet.quality.great_expectations.duckdb_datasource import lend

    context = great_expectations.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            data_docs_sites={} if docs is None else {"pages": _data_docs_site(docs)},
        ),
    )
    with lend(connection) as address:
        datasource = context.data_sources.add_crmbet_duckdb(name="views", connection_string=address)
        try:
            yield context, datasource
        finally:
            datasource.get_execution_engine().close()


def _data_docs_site(folder: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }


def _run(
    suite: Suite,
    context: EphemeralDataContext,
    datasource: SQLDatasource,
    values: Mapping[str, Threshold],
    say: Texts,
) -> list[Outcome]:
    """Run one suite as a checkpoint. Returns an outcome for each entry of the file, in the order of the file."""
    from crmbet.quality.great_expectations.fresh import FreshCheckpoint, FreshSuite, FreshValidation

    table = datasource.add_table_asset(suite.name, table_name=suite.name)
    expectations = FreshSuite(name=suite.name, expectations=build_expectations(suite))
    validation = FreshValidation(
        name=suite.name, data=table.add_batch_definition_whole_table("all rows"), suite=expectations
    )
    checkpoint = FreshCheckpoint(
        name=suite.name,
        validation_definitions=[validation],
        result_format={
            "result_format": "SUMMARY",
            "partial_unexpected_count": SAMPLED_KEYS,
            "unexpected_index_column_names": list(suite.meta.key),
        },
    )
    # Data Docs show the suites of the context.
    context.suites.add(expectations)
    (judged,) = checkpoint.run(expectation_parameters=dict(values)).run_results.values()
    results = {}
    for result in judged.results:
        if result.expectation_config is not None:
            results[result.expectation_config.meta[POSITION]] = result
    return [
        _outcome(suite, entry, results.get(position), say)
        for position, entry in enumerate(suite.expectations)
    ]


def _outcome(suite: Suite, entry: Entry, judged: ExpectationValidationResult | None, say: Texts) -> Outcome:
    result = judged.result if judged else {}
    configuration = judged.expectation_config if judged else None
    error = _error(judged, say)
    passed = judged is not None and judged.success is True and error is None
    kwargs = configuration.kwargs if configuration else {}
    named = {*suite.meta.key, *([entry.kwargs.get("column")] if suite.meta.names_values else [])}
    return Outcome(
        view=suite.name,
        check=entry.check,
        expectation=entry.type,
        title=say.about(entry.description, names_in(entry)),
        column=entry.kwargs.get("column"),
        threshold=describe_allowed(kwargs, result, say),
        limit=result.get("allowed_share", allowed_share(kwargs)),
        passed=passed,
        finding=None
        if passed or error
        else describe_breach(
            entry.type,
            kwargs,
            result,
            rows=suite.meta.rows,
            breach=say.about(entry.breach, names_in(entry)),
            counts=suite.meta.names_values,
            key=suite.meta.key,
            say=say,
        ),
        # Where rows are counted, their share is the figure.
        observed=None if "unexpected_count" in result else _figure(result.get("observed_value")),
        unexpected_share=_share(result),
        keys=tuple(
            " ".join(f"{name}={_word(row[name])}" for name in row if name in named)
            for row in result.get("partial_unexpected_index_list") or ()
        ),
        error=error,
        unjudged=say("there is no value to judge") if passed and _is_empty(result) else None,
    )


def _is_empty(result: Mapping[str, Any]) -> bool:
    """Whether an expectation on the values of a column found nothing but NULL."""
    return "missing_count" in result and judged_rows(result) == 0


def _unjudged(suite: Suite, reason: str, say: Texts) -> list[Outcome]:
    """An outcome for each check that a view is there for and that has nothing to judge."""
    return [
        Outcome(
            view=suite.name,
            check=check,
            expectation="view_to_be_judged",
            title=say("{view} is as expected", view=suite.name),
            passed=True,
            unjudged=reason,
        )
        for check in dict.fromkeys(entry.check for entry in suite.expectations)
    ]


def _word(value: Any) -> str:
    if value is None:
        return "NULL"
    return f"{value:.3g}" if isinstance(value, float) else visible(str(value))


def _missing(suite: Suite, say: Texts = ENGLISH) -> Outcome:
    return Outcome(
        view=suite.name,
        check=Check.COMPLETENESS,
        expectation="view_to_exist",
        title=say("{view} exists", view=suite.name),
        passed=False,
        finding=say("{view} is required, but it is not there", view=suite.name),
    )


def _error(judged: ExpectationValidationResult | None, say: Texts) -> str | None:
    """Why an expectation could not be judged; None if it was."""
    if judged is None:
        return say("Great Expectations lost this expectation: is it in the suite twice?")
    raised = _exception_messages(judged.exception_info)
    if raised:
        # A message may quote a value in single quotes, and the statement on later lines. Neither may be shown.
        return re.sub(r"'[^']*'", "'...'", redact(raised[0]).strip().splitlines()[0])
    if judged.result.get("element_count") == 0:
        return say("there are no rows to judge")
    return None


def _exception_messages(info: Mapping[str, Any]) -> list[str]:
    """The messages of the exceptions. The information is about one exception, or has one for each figure."""
    if "raised_exception" in info:
        return [str(info["exception_message"])] if info["raised_exception"] else []
    return [str(each["exception_message"]) for each in info.values() if each["raised_exception"]]


def _share(result: Mapping[str, Any]) -> float | None:
    judged = judged_rows(result)
    if "unexpected_count" not in result or judged <= 0:
        return None
    return float(result["unexpected_count"]) / judged


def _figure(value: Any) -> str | int | float | None:
    """A value that JSON can hold. NaN and infinities become words."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if isfinite(value) else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def _as_suites_compare(thresholds: Mapping[str, Threshold], stage: Stage) -> dict[str, Threshold]:
    """The thresholds, with instants as the stage's columns have them: naive UTC in raw data, aware in features."""
    return {
        name: value.astimezone(UTC).replace(tzinfo=None)
        if isinstance(value, datetime) and stage == "raw"
        else value
        for name, value in thresholds.items()
    }
