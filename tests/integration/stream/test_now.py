"""The view of today: one relation for campaigns, whose rights are those of its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from crmbet.load.target import ensure_target
from tests.integration.roles import as_login, create_roles, drop_roles, make_login_of_loader
from tests.integration.stream.conftest import Casino
from tests.integration.stream.test_streaming import bet

pytestmark = pytest.mark.integration


@pytest.fixture
def casino(open_casino: Callable[..., Casino], postgres_url: str) -> Iterator[Casino]:
    """A casino whose target has roles, and whose login has the loader's alone."""
    create_roles(postgres_url)
    casino = open_casino(("bets", "limits"))
    casino.target_url = make_login_of_loader(postgres_url)
    with closing(psycopg2.connect(postgres_url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("CREATE ROLE ana_of_crm LOGIN IN ROLE crmbet_reader")
        cursor.execute(f"GRANT CONNECT ON DATABASE {admin.info.dbname} TO crmbet_reader")
    yield casino
    drop_roles([postgres_url], ["ana_of_crm"])


def test_what_happens_today_is_beside_the_daily_row(casino: Casino, postgres_url: str) -> None:
    with casino.open_stream() as stream:
        ensure_target(stream.tables.session)
    required = casino.query(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attnum > 0 AND attnotnull "
        "AND attrelid = 'ml_features.user_features'::regclass"
    )
    values = {
        "user_id": "name", "as_of": "timestamptz '2026-08-12 03:00Z'", "marketing_allowed": "true",
    }  # fmt: skip
    typical = {"text": "''", "boolean": "false", "text[]": "'{}'"}
    cells = [
        values.get(name) or f"{typical.get(kind, '0')}::{kind}"
        if not kind.startswith("timestamp") or name == "as_of"
        else "now()"
        for name, kind in required
    ]
    casino.execute(
        f"INSERT INTO ml_features.user_features ({', '.join(name for name, _ in required)}) "
        f"SELECT {', '.join(cells)} FROM (VALUES ('ana'), ('bia'), ('caio')) AS players(name)"
    )
    exclusion = {
        "user_id": "bia",
        "changed_at": "2026-08-12T14:30:00Z",
        "kind": "self_exclusion",
        "new_value": 30,
    }
    # What ended before as_of is in the daily row.
    casino.produce("bets", bet(1), bet(2, "caio", "2026-08-11T15:00:00Z"))
    casino.produce("limits", exclusion)

    casino.stream()

    with closing(psycopg2.connect(as_login(postgres_url, "ana_of_crm"))) as reader, reader.cursor() as cursor:
        cursor.execute(
            "SELECT user_id, marketing_allowed, live_day::text, live_bets FROM ml_features.user_features_now ORDER BY 1"
        )
        assert cursor.fetchall() == [
            ("ana", True, "2026-08-12", 1),
            ("bia", False, "2026-08-12", 0),
            ("caio", True, None, None),
        ]
        for relation in ("user_features_now", "user_features_live"):
            reader.rollback()
            with pytest.raises(InsufficientPrivilege):
                cursor.execute(f"SELECT rg_live_markers FROM ml_features.{relation}")

    # The view follows the table, and the roles may be made once more.
    with closing(psycopg2.connect(postgres_url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("ALTER TABLE ml_features.user_features ADD COLUMN later integer")
    casino.stream(0)
    assert casino.query("SELECT count(later) FROM ml_features.user_features_now") == [(0,)]
    create_roles(postgres_url)
