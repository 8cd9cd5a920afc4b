"""What people can type (settings, params, run ids, contracts) never becomes SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from crmbet.contracts.table import FeatureColumn, TableContract
from crmbet.databases.statements import identifier
from crmbet.failures import BadParam, BadSetting
from crmbet.load.backup import sweep_backups, take_backup
from crmbet.load.restore import restore
from crmbet.load.staging import staged
from crmbet.load.target import ensure_target
from crmbet.run.params import RunParams
from crmbet.run.settings import Settings
from tests.integration.load.small_loads import load_rows, next_second

if TYPE_CHECKING:
    from crmbet.load.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]

HOSTILE = (
    "x'; DROP TABLE canary; --",
    'x"; DROP TABLE canary; --',
    "x; DROP TABLE canary",
    "x$$; DROP TABLE canary; $$",
    "%s %(lock)s {key} {{x}}",
    "x\\'; DROP TABLE canary; --",
    "ação\n; DROP TABLE canary;",
)


@pytest.fixture
def canary(query: Query) -> Callable[[], bool]:
    """Whether a table that every attempt wants to drop is still there."""
    query("CREATE TABLE IF NOT EXISTS canary ()")
    return lambda: query("SELECT to_regclass('canary') IS NOT NULL") == [(True,)]


@pytest.mark.few(2)
@pytest.mark.parametrize("run_id", HOSTILE)
def test_a_run_may_be_called_anything_through_all_steps(
    open_session: Callable[..., LoadSession],
    engine: Any,
    postgres_url: str,
    canary: Callable[[], bool],
    row: MakeRow,
    write_parquet: Callable[..., list[str]],
    run_id: str,
) -> None:
    session = open_session(run_id)
    ensure_target(session)
    for row_hash in ("h1", run_id):
        files = write_parquet([row("a", row_hash=row_hash, execution_id=run_id, rfm_segment=run_id)])
        backup = take_backup(session, next_second())
        with staged(session, engine, postgres_url, files, 1) as staging:
            assert load_rows(session, staging).recorded == 1

    assert backup is not None
    assert backup.proof.run_id == run_id
    assert restore(session, backup.name, next_second()).changed
    sweep_backups(session, next_second(), days=1, count=1)
    assert canary()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_of_a_contract_is_checked_when_it_is_read_and_again_when_it_becomes_sql(
    contract: TableContract, open_session: Callable[..., LoadSession], canary: Callable[[], bool], name: str
) -> None:
    fields = contract.model_dump()
    for spoiled in (
        {"schema_name": name},
        {"name": name},
        {"columns": {**fields["columns"], name: FeatureColumn(type="text", meaning="x").model_dump()}},
    ):
        with pytest.raises(ValidationError):
            TableContract.model_validate(fields | spoiled)
    with pytest.raises(ValidationError):
        FeatureColumn.model_validate({"type": name, "meaning": "x"})
    with pytest.raises(ValueError, match="not allowed as an SQL identifier"):
        identifier(name)
    assert canary()


@pytest.mark.parametrize("meaning", HOSTILE)
def test_a_meaning_is_a_comment_and_nothing_else(
    contract: TableContract,
    open_session: Callable[..., LoadSession],
    query: Query,
    canary: Callable[[], bool],
    meaning: str,
) -> None:
    made = open_session()
    columns = {**contract.columns, "extra": FeatureColumn(type="text", meaning=meaning)}
    session = type(made)(
        connection=made.connection,
        contract=contract.model_copy(update={"columns": columns, "meaning": meaning}),
        run_id="run",
        lock_timeout_seconds=5,
    )

    ensure_target(session)

    (found,) = query("SELECT col_description(%s::regclass, %s)", session.table, len(columns))
    assert found == (meaning,)
    assert canary()


@pytest.mark.parametrize("value", HOSTILE)
def test_settings_and_params_take_no_such_value(value: str) -> None:
    for setting in (
        "BRAND",
        "GONE_USERS",
        "MAX_TABLE_SHRINK",
        "LOCK_TIMEOUT_SECONDS",
        "RAW_PREFIX",
        "MEMORY_LIMIT",
    ):
        with pytest.raises(BadSetting):
            Settings.from_environ({"CRMBET_LAKE_BUCKET": "lake", f"CRMBET_{setting}": value})
    for param in ("load_strategy", "accept_loss", "source_deletions", "fail_on", value):
        with pytest.raises(BadParam):
            RunParams.read({param: value})
