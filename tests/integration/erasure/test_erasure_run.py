"""The DAG user_features_erasure on a small simulated operator, by a login with the loader's rights alone."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from crmbet.audiences.publications import Publications
from crmbet.audiences.records import Publication
from crmbet.contracts.erased_players import NOBODY
from crmbet.contracts.files import load_table_contract
from crmbet.databases.sessions import open_session
from crmbet.erasure.ledger import ensure_tables, read_erased
from crmbet.erasure.proof import Wanted, search_database, search_logs
from crmbet.erasure.records import Certificate, Taken
from crmbet.erasure.requests import take_requests
from crmbet.erasure.spellings import Spellings
from crmbet.erasure.tables import OURS, list_relations
from crmbet.failures import BadSetting, LockHeld
from crmbet.load.backup import take_backup
from crmbet.load.session import LoadSession
from crmbet.load.store_lock import StoreWanted, keep_store
from crmbet.run.settings import TimeoutSettings
from crmbet.storage.layout import Layout
from crmbet.storage.verified import read_record
from crmbet.stream.target import StreamTables
from local.simulator import World, deliver
from local.workspace import PROJECT

pytestmark = pytest.mark.integration

AS_OF = date(2024, 3, 4)
WORLD = World(seed=7, players=40, start_day=AS_OF - timedelta(days=3), end_day=AS_OF)
LAYOUT = Layout(brand="default")
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def operator(open_operator: Callable[..., Any]) -> Iterator[Any]:
    """An operator whose day was loaded, in whose tables more than the feature table names players."""
    operator = open_operator(as_loader=True)
    deliver(WORLD, bucket=operator.bucket, source_url=operator.source_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_CRMBET_ERASURE", json.dumps({"conn_type": "generic", "password": KEY}))
        assert operator.run("user_features_daily", run_conf={"as_of": AS_OF.isoformat()}).state == "success"
        with closing(session_of(operator).connection) as connection:
            ensure_tables(session_of(operator, connection))
        yield operator


def session_of(operator: Any, connection: Any = None, *, wait: int = 5) -> LoadSession:
    return LoadSession(
        connection=connection or open_session(operator.target_url, TimeoutSettings()),
        contract=load_table_contract(),
        run_id="a test",
        lock_timeout_seconds=wait,
    )


def write(operator: Any, sql: str, *values: Any) -> None:
    with closing(psycopg2.connect(operator.target_url)) as connection, connection:
        connection.cursor().execute(sql, values)


def ask(operator: Any, user_id: str) -> int:
    write(operator, "INSERT INTO ml_features.erasure_requests (user_id) VALUES (%s)", user_id)
    [(request_id,)] = operator.query("SELECT max(request_id) FROM ml_features.erasure_requests")
    return int(request_id)


def player(operator: Any, place: int) -> str:
    [(user_id,)] = operator.query(
        f"SELECT user_id FROM ml_features.user_features ORDER BY user_id OFFSET {place} LIMIT 1"
    )
    return str(user_id)


def publication(key: str) -> Publication:
    return Publication(
        publication="ab", audience="a", purpose="marketing", definition="d", as_of=datetime(2024, 3, 4, tzinfo=UTC),
        baseline=None, members=2, entered=2, left=0, excluded={}, files={"full.csv": key},
    )  # fmt: skip


def state_of(operator: Any, request_id: int) -> tuple[Any, ...]:
    [row] = operator.query(
        "SELECT state, user_id, reason, certificate_id FROM ml_features.erasure_requests "
        f"WHERE request_id = {request_id}"
    )
    return tuple(row)


def test_players_go_from_everywhere_and_a_certificate_says_so(operator: Any) -> None:
    erased, other = player(operator, 3), player(operator, 4)
    write(
        operator,
        "CREATE TABLE ml_features.somebodys_notes (note text, user_id text); "
        "INSERT INTO ml_features.somebodys_notes VALUES ('a', %s), ('b', %s); "
        "INSERT INTO ml_features.alerts (raised_at, kind, dag_id, execution_id, what, next_step, anchor, delivered) "
        "VALUES (now(), 'Unforeseen', 'd', 'e', %s, '', '', %s)",
        *(
            erased,
            other,
            f"rows such as {erased},{erased} and {other}",
            json.dumps({"log": f"sent {erased}"}),
        ),
    )
    report = f"{LAYOUT.reports}as_of=2024-03-04/run_id=x/raw.html"
    operator.store.write(report, f"<td>{erased}</td><td>{other}</td>".encode())
    handed = f"{LAYOUT.audiences}marketing/audience=a/as_of=2024-03-04/publication=ab/full.csv"
    operator.store.write(handed, f'user_id,note\n{erased},""\n{other},"a, ""b"""\n'.encode())
    with closing(session_of(operator).connection) as connection:
        publications = Publications(session_of(operator, connection))
        publications.ensure()
        publications.add(
            publication(handed), "a run", datetime(2024, 3, 4, tzinfo=UTC), f"see s3://b/{handed}"
        )
    request = ask(operator, f" {erased.upper()}")

    run = operator.run("user_features_erasure", logical_date=None)

    assert run.states == {
        "take_erasure_requests": "success", "erase_players": "success", "check_erasure_deadlines": "success",
    }  # fmt: skip
    assert (run.state, run.recorded) == ("success", {"success"})
    [(recorded, params)] = operator.query(
        f"SELECT state, params FROM ml_features.pipeline_runs WHERE execution_id = '{run.run_id}'"
    )
    assert (recorded, params["requests"], params["players"]) == ("success", 1, 1)
    assert params["certificate"].startswith(f"s3://{operator.bucket}/{LAYOUT.certificates}")
    state, user_id, _, certificate_id = state_of(operator, request)
    assert (state, user_id) == ("erased", None)
    assert operator.query("SELECT what, delivered FROM ml_features.alerts WHERE kind = 'Unforeseen'") == [
        (f"rows such as [erased],[erased] and {other}", {"log": "sent [erased]"})
    ]
    assert operator.query("SELECT note FROM ml_features.somebodys_notes") == [("b",)]
    assert operator.store.read(report) == f"<td>[erased]</td><td>{other}</td>".encode()
    [(files, message)] = operator.query("SELECT files, message FROM ml_features.audience_runs")
    assert operator.store.read(files["full.csv"]) == f'user_id,note\n{other},"a, ""b"""\n'.encode()
    assert message == f"see s3://b/{files['full.csv']}"
    assert operator.store.read(handed) is None
    for table in ("user_features", "user_features_history"):
        assert operator.query(f"SELECT count(*) FROM ml_features.{table} WHERE user_id = '{erased}'") == [
            (0,)
        ]
    certificate = read_record(operator.store, f"{LAYOUT.certificates}{certificate_id}.json", Certificate)
    assert certificate
    assert (certificate.players, certificate.requests) == (1, [request])
    assert [each.found for each in certificate.searched] == [[], [], []]
    assert all(each.items for each in certificate.searched[:2])
    [(document,)] = operator.query("SELECT document FROM ml_features.erasure_certificates")
    assert Certificate.model_validate(document) == certificate
    assert erased not in json.dumps(document)
    # Nothing that the loads rely on is missing: the next run needs no backup, and puts nobody back.
    again = operator.run("user_features_daily", run_conf={"as_of": AS_OF.isoformat()})
    assert again.state == "success"
    assert operator.query(f"SELECT count(*) FROM ml_features.user_features WHERE user_id = '{erased}'") == [
        (0,)
    ]


def take(operator: Any, *, retention_days: int | None = None) -> Taken:
    """Take all open requests, as the first task does."""
    with closing(session_of(operator).connection) as connection:
        session = session_of(operator, connection)
        return take_requests(session, KEY.encode, date(2024, 3, 5), retention_days)


def forget(operator: Any, request_id: int) -> None:
    write(operator, "DELETE FROM ml_features.erasure_requests WHERE request_id = %s", request_id)


def take_one(operator: Any) -> int:
    """Let the ledger know somebody whom no other test asks about."""
    request = ask(operator, "somebody")
    assert take(operator).requests == [request]
    return request


def test_while_a_hold_stands_nobody_is_erased(operator: Any) -> None:
    kept = player(operator, 5)
    write(
        operator, "INSERT INTO ml_features.legal_holds (user_id, reason) VALUES (%s, 'case 17')", kept.upper()
    )
    request = ask(operator, kept)

    assert take(operator) == Taken(requests=[], players=0, held={request: "a legal hold stands: case 17"})

    assert state_of(operator, request)[:3] == ("held", kept, "a legal hold stands: case 17")
    write(operator, "UPDATE ml_features.legal_holds SET stands_until = '2020-01-01'")
    assert take(operator).requests == [request]
    assert state_of(operator, request)[0] == "erasing"
    forget(operator, request)


def test_what_the_law_demands_to_keep_is_kept_until_then(operator: Any) -> None:
    [(active,)] = operator.query(
        "SELECT user_id FROM ml_features.user_features WHERE days_since_last_activity = 1 ORDER BY 1 DESC LIMIT 1"
    )
    request = ask(operator, active)

    until = "the law demands to keep the player's facts until 2024-04-02"
    assert take(operator, retention_days=30).held == {request: until}
    assert take(operator, retention_days=1).requests == [request]
    forget(operator, request)


def test_what_is_not_ours_and_names_the_player_stops_the_certificate(operator: Any) -> None:
    erased = player(operator, 6)
    notes = f"{LAYOUT.root}notes/about.txt"
    operator.store.write(notes, f"call {erased} back".encode())
    request = ask(operator, erased)

    run = operator.run("user_features_erasure", logical_date=None)

    assert run.states["erase_players"] == "failed"
    assert run.state == "failed", "or nobody would be told"
    assert operator.query(
        f"SELECT state, failed_task FROM ml_features.pipeline_runs WHERE execution_id = '{run.run_id}'"
    ) == [("failed", "erase_players")]
    assert state_of(operator, request)[:2] == ("erasing", erased)
    operator.store.delete_all([notes])
    again = operator.run("user_features_erasure", logical_date=None)
    assert again.states["erase_players"] == "success"
    assert state_of(operator, request)[0] == "erased"


class Died(Exception):
    """Stands for the end of a process."""


@pytest.mark.full
@pytest.mark.parametrize(
    "last",
    [
        "rewriting.rewrite_store", "tables.rename_files", "tables._vacuum", "tables.erase_from_tables",
        "proof.search_tables", "certificates.write_record", "certificates.complete",
    ],
)  # fmt: skip
def test_a_task_that_dies_after_any_of_its_steps_is_done_when_it_is_run_again(
    operator: Any, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """Between two steps; test_rewriting.py kills within the pass, and what goes to tables goes in transactions."""
    erased = player(operator, 7)
    request = ask(operator, erased)
    assert take(operator).requests == [request]
    module, _, name = last.partition(".")
    step = getattr(import_module(f"crmbet.erasure.{module}"), name)

    def die_after(*given: Any, **named: Any) -> None:
        step(*given, **named)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(f"crmbet.erasure.{last}", die_after)
        with pytest.raises(Died):
            operator.execute(["erase_players"], run_id=f"dies after {last}", dag_id="user_features_erasure")
    with suppress(AirflowSkipException):
        operator.execute(["erase_players"], run_id=f"after {last}", dag_id="user_features_erasure")

    state, user_id, _, certificate_id = state_of(operator, request)
    assert (state, user_id) == ("erased", None)
    certificate = read_record(operator.store, f"{LAYOUT.certificates}{certificate_id}.json", Certificate)
    assert certificate is not None
    assert certificate.requests == [request]
    assert operator.query(f"SELECT count(*) FROM ml_features.user_features WHERE user_id = '{erased}'") == [
        (0,)
    ]


def test_an_overdue_request_fails_the_run_and_so_alerts(operator: Any) -> None:
    request = ask(operator, "nobody")
    write(
        operator,
        "UPDATE ml_features.erasure_requests SET requested_at = %s WHERE request_id = %s",
        datetime(2024, 1, 1, tzinfo=UTC),
        request,
    )

    with pytest.raises(Exception, match=f"requests for erasure are older than 15 days: {request}"):
        operator.execute(["check_erasure_deadlines"], run_id="late", dag_id="user_features_erasure")

    write(operator, "DELETE FROM ml_features.erasure_requests WHERE request_id = %s", request)


def test_another_key_than_the_ledgers_is_refused(operator: Any) -> None:
    forget(operator, take_one(operator))
    with closing(session_of(operator).connection) as connection:
        session = session_of(operator, connection)
        assert read_erased(session, KEY.encode).hashes
        with pytest.raises(BadSetting, match="is not the one that the erasure ledger was written with"):
            read_erased(session, lambda: b"x" * 32)


def test_without_a_ledger_no_key_is_asked_for(open_operator: Callable[..., Any], new_database: Any) -> None:
    with closing(psycopg2.connect(new_database())) as connection:
        session = LoadSession(
            connection=connection, contract=load_table_contract(), run_id="r", lock_timeout_seconds=1
        )
        assert read_erased(session, lambda: pytest.fail("it was asked for")) is NOBODY


def test_an_erasure_has_the_store_alone(operator: Any) -> None:
    with (
        closing(session_of(operator).connection) as first,
        closing(session_of(operator).connection) as second,
        closing(session_of(operator).connection) as third,
    ):
        keep_store(session_of(operator, first), alone=False)
        keep_store(session_of(operator, second), alone=False)
        with pytest.raises(LockHeld, match="a task that works on the store"):
            keep_store(session_of(operator, third, wait=1), alone=True)
        assert not StoreWanted(session_of(operator, first), lambda: 0.0).by_an_erasure()


def test_the_proof_searches_every_column_of_another_database(new_database: Callable[[], str]) -> None:
    url = new_database()
    with closing(psycopg2.connect(url)) as connection, connection:
        connection.cursor().execute(
            "CREATE TABLE dag_run (id int, conf jsonb, pickled bytea, user_ids text[]); "
            "INSERT INTO dag_run VALUES (1, %s, NULL, '{anna}'), (2, NULL, %s, NULL)",
            ('{"user_ids": ["Zoe-1"]}', b"\x80\x04zoe-1."),
        )

    def found(user_id: str) -> list[str]:
        wanted = Wanted(NOBODY, Spellings.of([user_id]))
        return search_database(url, TimeoutSettings(), wanted, place="Airflow").found

    assert found("zoe-1") == ["dag_run.conf", "dag_run.pickled"]
    assert found("anna") == ["dag_run.user_ids"]
    assert found("zoe-11") == found("ann") == []


def test_the_proof_searches_logs(tmp_path: Path) -> None:
    (tmp_path / "task.log").write_text("nothing of interest\n" * 3)
    (tmp_path / "old.log").write_text('{"event": "player zoe\\u00e9 came"}\n')
    with gzip.open(tmp_path / "older.log.gz", "wt") as file:
        file.write("ZOEÉ\n")
    # What is there of it names nobody.
    (tmp_path / "broken.log.gz").write_bytes(gzip.compress(b"nothing of interest\n" * 3)[:-9])

    searched = search_logs(tmp_path, Wanted(NOBODY, Spellings.of(["zoeé"])))

    assert searched.found == ["old.log", "older.log.gz"]
    assert searched.unread == ["broken.log.gz"]
    assert searched.items == len(list(tmp_path.iterdir()))


NAMES_PLAYERS = {
    "score_reasons", "user_features", "user_features_backup", "user_features_history", "user_features_live",
    "user_features_live_staging", "erasure_requests", "legal_holds",
}  # fmt: skip
"""Relations of the target whose rows are about players. Names of backups and partitions end with a time."""


def test_every_relation_that_names_players_is_one_that_an_erasure_and_its_document_know(
    operator: Any,
) -> None:
    """A new one fails here until somebody has said why it is kept, and has seen that its rows go."""
    with closing(session_of(operator).connection) as connection:
        session = session_of(operator, connection)
        StreamTables(session).create("America/Sao_Paulo")
        Publications(session).ensure()
        ensure_tables(session)
        take_backup(session, datetime.now(UTC))
        with session.transaction() as cursor:
            relations = list_relations(cursor, "ml_features")
    naming = {re.sub(r"_\d{8}t.*|_\d{4}_\d\d$", "", each.name) for each in relations if each.names_players}

    assert naming - {"somebodys_notes"} == NAMES_PLAYERS
    assert {each.kind for each in relations} == {"r"}, "an erasure deletes rows of tables alone"
    assert {*OURS} == {"erasure_requests", "legal_holds"}, "whatever else names a player is erased"
    document = (PROJECT / "docs" / "privacy.md").read_text(encoding="utf-8")
    assert [name for name in sorted(NAMES_PLAYERS) if f"`{name}" not in document] == []
