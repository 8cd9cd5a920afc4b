"""A DuckDB connection with small clean tables, one for each view that the gate judges."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.source import SourceColumn, SourceContract
from crmbet.contracts.table import ENGINE_TYPES, FeatureColumn
from crmbet.quality.report import Subject
from crmbet.quality.suites import Threshold
from crmbet.quality.thresholds import thresholds_of_settings
from crmbet.run.settings import Settings

ROWS = 100
"""Of every source."""
USERS = 600
"""Half of them are prospects."""
AS_OF = datetime(2026, 11, 22, 3, tzinfo=UTC)
SUBJECT = Subject(run_id="manual__2026-11-22", as_of=AS_OF, known_at=AS_OF + timedelta(hours=2))
FIRST_EVENT = "TIMESTAMP '2026-11-21 03:00:00'"
"""The operator's midnight, in UTC."""


@pytest.fixture
def subject() -> Subject:
    """The run that the clean data are of."""
    return SUBJECT


@pytest.fixture
def thresholds() -> dict[str, Threshold]:
    """What a run hands in, as the settings' defaults have it; every source has ROWS rows."""
    settings = Settings.of(lake_bucket="lake", min_rows_per_day=10)
    return {
        **thresholds_of_settings(settings, load_table_contract()),
        "freshness_floor": AS_OF - timedelta(hours=24),
        "expected_users": USERS,
    }


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """All views that the gate judges, clean: temporary ones, which only this very connection sees."""
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        for source in load_source_contracts().values():
            create_raw(opened, source)
        opened.execute(
            "CREATE TABLE files AS SELECT 'bets' AS source, 'raw/bets/part.csv' AS chunk, NULL::VARCHAR AS why"
        )
        opened.execute("CREATE TEMPORARY VIEW raw_files AS FROM files")
        create_features(opened)
        yield opened


def create_raw(connection: duckdb.DuckDBPyConnection, source: SourceContract) -> None:
    """Table `<source>` of ROWS clean rows, numbered by `_row`, and the view `raw_<source>` on it."""
    columns = ", ".join(f"{_value(name, column)} AS {name}" for name, column in source.columns.items())
    connection.execute(
        f"CREATE TABLE {source.name} AS SELECT {columns}, NULL::VARCHAR AS _fault, "
        "NULL::VARCHAR[] AS _discarded, NULL::VARCHAR[] AS _protection, "
        f"'raw/{source.name}/part.csv' AS _source_key, i::BIGINT AS _row, DATE '2026-11-21' AS _day, "
        f"NULL::DATE AS _also_on FROM range({ROWS}) _(i)"
    )
    connection.execute(f"CREATE TEMPORARY VIEW raw_{source.name} AS FROM {source.name}")


FEATURES = {
    "user_id": "'u' || row",
    "favorite_game_type": "'crash'",
    "favorite_game_share": "1",
    "game_diversity_score": "0.5",
    "bets_count_lifetime": "1",
    "bet_volatility": "1.5",
    "frequencia_jogo": "if(pays, 0.25, 0)",
    "sessions_30d": "3",
    "session_minutes_avg_30d": "12.5",
    "session_minutes_max_30d": "30",
    "dias_semana_preferidos": "'0,4,5'",
    "horarios_atividade": "'noite'",
    "weekend_activity_ratio": "0.4",
    "total_transactions": "if(pays, 7, 0)",
    "balance_ratio": "if(pays, 1000, NULL)",
    "ticket_medio": "if(pays, 100, NULL)",
    "ticket_medio_categoria": "if(pays, 'medio', NULL)",
    "canais_permitidos": "['email']",
    **dict.fromkeys(("recency_score", "frequency_score", "monetary_score"), "if(pays, 4, NULL)"),
    "rfm_code": "if(pays, '444', NULL)",
    "rfm_segment": "if(pays, 'champions', 'prospect')",
    "rg_markers_triggered": "[]",
    "as_of": f"TIMESTAMPTZ '{SUBJECT.as_of}'",
    "known_at": f"TIMESTAMPTZ '{SUBJECT.known_at}'",
    "feature_set_version": "'1'",
    "execution_id": f"'{SUBJECT.run_id}'",
    "row_hash": "md5(row::VARCHAR)",
}
"""SQL of a clean user's features that are more than nothing."""


def create_features(connection: duckdb.DuckDBPyConnection) -> None:
    """Table `features` of USERS clean users, numbered by `row`, half of them prospects, and the view on it."""
    values = ", ".join(
        f"({FEATURES.get(name) or _nothing(column)})::{ENGINE_TYPES[column.type]} AS {name}"
        for name, column in load_table_contract().computed.items()
    )
    connection.execute(
        f"CREATE TABLE features AS SELECT row, {values} "
        f"FROM (SELECT i::INTEGER AS row, i >= {USERS // 2} AS pays FROM range({USERS}) _(i))"
    )
    connection.execute("CREATE TEMPORARY VIEW user_features AS SELECT * EXCLUDE (row) FROM features")


def _nothing(column: FeatureColumn) -> str:
    """SQL of the least that a column may hold."""
    if column.nullable:
        return "NULL"
    return f"'{column.values[0]}'" if column.values else "false" if column.type == "boolean" else "0"


def _value(name: str, column: SourceColumn) -> str:
    """SQL of a clean value of row `i`."""
    if name == "ingested_at":
        return "NULL::TIMESTAMP"
    return {
        "text": f"'{name[0]}' || i",
        "enum": f"'{next(iter(column.values), '')}'",
        "decimal": f"10::DECIMAL({column.precision},{column.scale})",
        "real": "0.95::DOUBLE",
        "boolean": "false",
        "timestamp": f"{FIRST_EVENT} + to_minutes(i)",
        "date": "DATE '1990-01-01'",
        "timezone": "'America/Sao_Paulo'",
        "channels": "['email', 'sms']",
    }[column.type]
