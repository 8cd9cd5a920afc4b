"""The gates for people with a pandas DataFrame: the same suites, the same report, without a run.

    report = validate_raw(bets)
    report.quality_grade, report.score, report.critical_issues

What only a run knows is not judged: how much a source usually brings, which players other sources know, and how far the
distributions moved from their baseline. The report says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.source import PathName, SourceContract
from crmbet.contracts.typing import typed_rows
from crmbet.databases.statements import Fragment, identifier, joined, render, statement
from crmbet.quality.gate import check
from crmbet.quality.known import load_known
from crmbet.quality.measures.feature_tables import create_feature_tables
from crmbet.quality.report import Report, Subject
from crmbet.quality.thresholds import thresholds_of_settings
from crmbet.run.settings import Settings

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

UNRUN = "dataframe"
"""The run id of a report without a run."""
NOT_JUDGED = (
    "Only the DataFrame itself was judged. "
    "Checks that need its history, other sources or a baseline were left out."
)


def validate_raw(
    df: pd.DataFrame,
    source: str | None = None,
    *,
    as_of: datetime | None = None,
    thresholds: Mapping[str, float] | None = None,
    contracts: str = "",
) -> Report:
    """Judge rows as a source delivers them, by the source's contract and suite.

    `source` is the name of a contract; by default it is the one whose columns the frame has. `as_of` is an aware
    instant; by default it is the midnight (UTC) after the newest fact. `thresholds` are settings by name; the others
    have the project's values. `contracts` is a brand's own folder of contracts, as its `contracts_directory` names it.
    Raises `ValueError` if the frame lacks required columns of `source`, or of every source, and `BadContract`.
    """
    contract = _contract_of(df, source, contracts)
    with _engine() as connection:
        captured = df.rename(columns={found: name for name, found in _names_in(df, contract).items()})
        for name in contract.columns:
            if name not in captured:
                captured = captured.assign(**{name: None})
        connection.register(
            "frame", captured[list(contract.columns)].astype(object).where(captured.notna(), None)
        )
        text = joined(
            [
                Fragment(f"{_as_text(name, of.type)} AS {identifier(name)}")
                for name, of in contract.columns.items()
            ]
        )
        rows = typed_rows(
            contract,
            Fragment(f"({render('quality/number_rows', columns=text)})"),
            dict.fromkeys(contract.columns, "VARCHAR"),
            Fragment("_day"),
        )
        view = f"raw_{contract.name}"
        judged = Fragment(f"SELECT * EXCLUDE (_raw, _known), NULL::DATE AS _also_on FROM ({rows})")  # noqa: S608 - made of a contract
        connection.execute(render("databases/create_table", name=identifier(view), rows=judged))
        until = as_of or _midnight_after(connection, contract)
        return _check(connection, "raw", [view], as_of=until, thresholds=thresholds)


def validate_features(
    df: pd.DataFrame, *, as_of: datetime | None = None, thresholds: Mapping[str, float] | None = None
) -> Report:
    """Judge a feature table by its contract and suites. The columns that the load sets may be missing.

    `as_of` is by default the newest one in the frame. `thresholds` are settings by name; the others have the project's
    values.
    """
    table = load_table_contract()
    with _engine() as connection:
        connection.register("frame", df)
        typed = [
            Fragment(f"{identifier(name)}::{_engine_type(of.type)} AS {identifier(name)}")
            for name, of in table.computed.items()
            if name in df
        ]
        more = [identifier(name) for name in df if name not in table.columns]
        rows = Fragment(render("quality/select_frame", columns=joined([*typed, *more])))
        connection.execute(render("databases/create_table", name=identifier("user_features"), rows=rows))
        views = ["user_features"]
        if table.features.keys() <= set(df):
            own = _settings(thresholds).quality.min_feature_fill
            source = identifier("user_features")
            create_feature_tables(connection, source, table, load_known(), None, min_feature_fill=own)
            views += ["feature_profile", "feature_set", "feature_pairs"]
        known = df["as_of"].max() if "as_of" in df and len(df) else None
        until = as_of or (known.to_pydatetime() if known is not None else datetime.now(UTC))
        newest_known_at = df["known_at"].max() if "known_at" in df and len(df) else None
        known_at = newest_known_at.to_pydatetime() if newest_known_at is not None else until
        return _check(
            connection,
            "features",
            views,
            as_of=until,
            thresholds=thresholds,
            known_at=known_at,
            users=len(df),
        )


def _check(
    connection: duckdb.DuckDBPyConnection,
    stage: Any,
    views: list[str],
    *,
    as_of: datetime,
    thresholds: Mapping[str, float] | None,
    known_at: datetime | None = None,
    users: int | None = None,
) -> Report:
    table, settings = load_table_contract(), _settings(thresholds)
    values = thresholds_of_settings(settings, table)
    values["freshness_floor"] = as_of - timedelta(hours=settings.quality.max_data_age_hours)
    if users is not None:
        values["expected_users"] = users
    return check(
        connection,
        stage=stage,
        views=views,
        thresholds=values,
        subject=Subject(run_id=UNRUN, as_of=as_of, known_at=known_at or as_of),
        table=table,
        notes=[NOT_JUDGED],
        only_these=True,
    )


def _settings(thresholds: Mapping[str, float] | None) -> Settings:
    # The bucket is the only setting without a default. Nothing is read from it here.
    return Settings(lake_bucket=UNRUN).with_thresholds(thresholds or {})


def _contract_of(df: pd.DataFrame, source: str | None, own: str) -> SourceContract:
    contracts = load_source_contracts(over=own)
    if source is not None and source not in contracts:
        raise ValueError(f"{source!r} is not a source; the sources are {', '.join(contracts)}")
    columns_there = set(df.columns)
    fitting = [
        contract
        for name, contract in contracts.items()
        if source in (None, name)
        and {column for column, of in contract.columns.items() if of.required}
        <= _names_in(df, contract).keys()
    ]
    if not fitting:
        raise ValueError(
            f"the frame lacks required columns of {source or 'every source'}; it has {sorted(columns_there)}"
        )
    return max(fitting, key=lambda each: len(_names_in(df, each)))


def _names_in(df: pd.DataFrame, contract: SourceContract) -> dict[str, str]:
    """The frame's name of each column that it has. A frame has the values of a path in columns of the path's names."""
    there = {*df.columns}
    found: dict[str, str] = {}
    for name, names in contract.source_names.items():
        for each in names:
            spelled = each.path if isinstance(each, PathName) else each
            if spelled in there:
                found.setdefault(name, spelled)
    return found


def _midnight_after(connection: duckdb.DuckDBPyConnection, contract: SourceContract) -> datetime:
    newest = None
    if contract.event_time is not None:
        query = render(
            "quality/find_newest",
            event_time=identifier(contract.event_time),
            source=identifier(f"raw_{contract.name}"),
        )
        ((newest,),) = connection.execute(query).fetchall()
    day = (newest or datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    return day + timedelta(days=1)


def _as_text(name: str, type_: str) -> Fragment:
    """A column of the frame as a capture has it: a list is JSON there, which the engine's cast does not make."""
    column = identifier(name)
    if type_ != "channels":
        return Fragment(f"{column}::VARCHAR")
    return Fragment(
        f"CASE WHEN typeof({column}) = 'VARCHAR' THEN {column}::VARCHAR ELSE to_json({column})::VARCHAR END"
    )


def _engine_type(type_: str) -> Fragment:
    from crmbet.contracts.table import ENGINE_TYPES

    return Fragment(ENGINE_TYPES[type_])


@contextmanager
def _engine() -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(statement("create_parsers"))
        yield connection
