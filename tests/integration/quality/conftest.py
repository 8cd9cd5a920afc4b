"""A DuckDB connection with small clean tables, one for each view that the gate judges."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from crmbet.contracts import SourceColumn, SourceContract, load_source_contracts, load_table_contract
from crmbet.quality.report import Subject
from crmbet.quality.suites import Threshold
from crmbet.quality.thresholds import thresholds_of_settings
from crmbet.settings import Settings

ROWS = 100
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
    """What a run hands in, as the settings' defaults have it; every table has ROWS rows."""
    settings = Settings(lake_bucket="lake", min_rows_per_day=10)
    return {
        **thresholds_of_settings(settings, load_table_contract()),
        "freshness_floor": AS_OF - timedelta(hours=24),
        "expected_users": ROWS,
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
        f"'raw/{source.name}/part.csv' AS _source_key, i::BIGINT AS _row, DATE '2026-11-21' AS _day "
        f"FROM range({ROWS}) _(i)"
    )
    connection.execute(f"CREATE TEMPORARY VIEW raw_{source.name} AS FROM {source.name}")


def create_features(connection: duckdb.DuckDBPyConnection) -> None:
    """Table `features` of ROWS clean users, numbered by `row`, half of them prospects, and the view on it."""
    connection.execute(
        f"""
        CREATE TABLE features AS
        WITH users AS (SELECT i::INTEGER AS row, i >= {ROWS // 2} AS pays FROM range({ROWS}) _(i))
        SELECT
            row, 'u' || row AS user_id, 'crash' AS favorite_game_type, 0.5::DOUBLE AS game_diversity_score,
            1.5::DOUBLE AS bet_volatility, if(pays, 0.25, 0)::DOUBLE AS frequencia_jogo,
            3::INTEGER AS sessions_30d,
            12.5::DOUBLE AS session_minutes_avg_30d, 30::DOUBLE AS session_minutes_max_30d,
            '0,4,5' AS dias_semana_preferidos, 'noite' AS horarios_atividade,
            0.4::DOUBLE AS weekend_activity_ratio,
            0.5::DOUBLE AS activity_regularity, if(pays, 7, 0)::INTEGER AS total_transactions,
            if(pays, 1000, NULL)::DOUBLE AS balance_ratio, if(pays, 'medio', NULL) AS ticket_medio_categoria,
            if(pays, 4, NULL)::SMALLINT AS recency_score, if(pays, 4, NULL)::SMALLINT AS frequency_score,
            if(pays, 4, NULL)::SMALLINT AS monetary_score, if(pays, 'champions', 'prospect') AS rfm_segment,
            0.9::DOUBLE AS customer_lifetime_value_score, 0.1::DOUBLE AS churn_risk_score,
            0.7::DOUBLE AS behavioral_diversity_score, TIMESTAMPTZ '{SUBJECT.as_of}' AS as_of,
            TIMESTAMPTZ '{SUBJECT.known_at}' AS known_at, '1' AS feature_set_version,
            '{SUBJECT.run_id}' AS execution_id, md5(row::VARCHAR) AS row_hash
        FROM users
        """
    )
    connection.execute("CREATE TEMPORARY VIEW user_features AS SELECT * EXCLUDE (row) FROM features")


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
