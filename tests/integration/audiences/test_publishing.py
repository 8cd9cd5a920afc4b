"""Audiences on the real PostgreSQL and S3, with a real receiver: who is handed over, what changed, any kill."""

from __future__ import annotations

import csv
import io
import json
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import psycopg2
import pytest
from psycopg2 import extensions

from crmbet.audiences.definitions import Audience, Definition, check_audience
from crmbet.audiences.notifying import Receiver, sign
from crmbet.audiences.publishing import publish
from crmbet.audiences.records import AudiencesManifest, Publication
from crmbet.contracts.files import load_reasons_contract
from crmbet.databases.duckdb import open_engine
from crmbet.databases.work import Work
from crmbet.failures import BadAudience, LostConnection, ReceiverRefused
from crmbet.load.session import LoadSession
from crmbet.load.target import ensure_target
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window
from crmbet.storage.object_store import ObjectStore
from tests.integration.live.sinks import WebSink, web_sink
from tests.integration.load.small_loads import load_rows
from tests.integration.roles import as_login, create_roles, drop_roles

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
SECRET = b"a secret of sixteen"
SETTINGS = Settings.of(lake_bucket="unused", brand="acme", threads=1)
MARKETING = {
    "name": "big",
    "description": "Big players",
    "condition": "clv_12m >= 100",
    "columns": ["clv_12m"],
}
PROTECTIVE = {
    "name": "watched", "description": "Players to look after", "condition": "rg_risk_band = 'high'",
    "columns": ["rg_risk_score", "canais_permitidos"], "protective": True,
}  # fmt: skip


@dataclass
class Crm:
    """A target with players, a bucket, and what is handed over of them."""

    session: LoadSession
    store: ObjectStore
    stage: Callable[..., Any]
    row: Callable[..., dict[str, Any]]
    query: Callable[..., list[tuple[Any, ...]]]
    receiver: Receiver | None = None
    audiences: list[Audience] = field(default_factory=list)

    def define(self, *definitions: Mapping[str, Any]) -> None:
        reasons = load_reasons_contract()
        self.audiences = [
            check_audience(Definition(**each), self.session.contract, reasons) for each in definitions
        ]

    def load(self, players: Mapping[str, Mapping[str, Any]], day: int = 20, **rules: Any) -> None:
        """Load players with what is different about each. Whoever is not there is gone."""
        usual = {"marketing_allowed": True, "clv_12m": 200, "rg_risk_band": "low", "gone": False}
        rows = [
            self.row(user, day=day, row_hash=f"{day}{told}", **{**usual, **told})
            for user, told in players.items()
        ]
        load_rows(self.session, self.stage(self.session, rows), gone_users="mark", **rules)

    def publish(self, day: int = 20) -> AudiencesManifest:
        window = Window(as_of_date=date(2026, 11, day), as_of=datetime(2026, 11, day, 3, tzinfo=UTC))
        run = Run(run_id=f"run-{day}", window=window, known_at=NOW, params=RunParams(), settings=SETTINGS)
        with open_engine(SETTINGS) as engine:
            work = Work(run=run, store=self.store, connection=engine)
            return publish(work, self.session, self.audiences, self.receiver, lambda: NOW)

    def read(self, published: Publication, name: str) -> list[dict[str, str]]:
        content = self.store.read(published.files[f"{name}.csv"])
        assert content is not None
        return list(csv.DictReader(io.StringIO(content.decode())))

    def users(self, published: Publication, name: str) -> list[str]:
        return [each["user_id"] for each in self.read(published, name)]

    def objects(self) -> dict[str, str]:
        """Keys and ETags of all that was handed over."""
        return {entry.key: entry.etag for entry in self.store.list("crmbet/brand=acme/audiences/")}


@pytest.fixture
def crm(session: LoadSession, bucket: str, stage: Any, row: Any, query: Any) -> Crm:
    made = Crm(session, ObjectStore(boto3.client("s3"), bucket), stage, row, query)
    made.define(MARKETING, PROTECTIVE)
    return made


@pytest.fixture
def sink() -> Iterator[WebSink]:
    with web_sink() as opened:
        yield opened


def receiver(address: str, seconds: float = 5) -> Receiver:
    connection = SimpleNamespace(
        host=address, password=SECRET.decode(), conn_type="http", port=None, schema=None
    )
    return Receiver.of(connection, seconds)


PLAYERS: dict[str, dict[str, Any]] = {
    "ana": {},
    "bia": {"marketing_allowed": False},
    "caio": {"clv_12m": 5},
    "davi": {"rg_risk_band": "high", "marketing_allowed": False, "canais_permitidos": ["push", "sms"]},
    "eva": {},
}


def test_only_players_who_allow_it_are_handed_over(crm: Crm) -> None:
    crm.load(PLAYERS)
    crm.load({user: told for user, told in PLAYERS.items() if user != "eva"}, day=21)
    big, watched = crm.publish(day=21).publications

    assert crm.users(big, "full") == ["ana"]
    assert big.excluded == {"not_allowed": 2, "gone": 1}
    assert crm.read(watched, "full") == [
        {
            "user_id": "davi",
            "as_of": "2026-11-21 03:00:00+00",
            "rg_risk_score": "0.5",
            "canais_permitidos": "push;sms",
        }
    ]
    assert watched.excluded == {}
    assert "/audiences/marketing/" in big.files["full.csv"]
    assert "/audiences/protective/" in watched.files["full.csv"]
    runs = crm.session.in_schema("audience_runs")
    assert crm.query(f"SELECT audience, members, entered, leavers, excluded FROM {runs} ORDER BY place") == [
        ("big", 1, 1, 0, {"not_allowed": 2, "gone": 1}),
        ("watched", 1, 1, 0, {}),
    ]


def test_a_delta_says_who_entered_and_who_left(crm: Crm) -> None:
    crm.define(MARKETING)
    crm.load(PLAYERS)
    (first,) = crm.publish().publications
    crm.load({**PLAYERS, "bia": {}, "ana": {"marketing_allowed": False}}, day=21)
    (second,) = crm.publish(day=21).publications

    assert (crm.users(first, "full"), crm.users(first, "entered"), crm.users(first, "left")) == (
        ["ana", "eva"], ["ana", "eva"], [],
    )  # fmt: skip
    assert (crm.users(second, "full"), crm.users(second, "entered"), crm.users(second, "left")) == (
        ["bia", "eva"], ["bia"], ["ana"],
    )  # fmt: skip
    assert crm.read(second, "left") == [{"user_id": "ana"}]
    assert second.baseline == first.publication


def test_the_same_again_writes_nothing(crm: Crm) -> None:
    crm.load(PLAYERS)
    first, before = crm.publish(), crm.objects()
    assert crm.publish() == first
    assert crm.objects() == before


def test_a_run_of_an_older_day_hands_nothing_over(crm: Crm) -> None:
    crm.load(PLAYERS, day=21)
    assert crm.publish(day=20).publications == []
    assert crm.objects() == {}


def test_whose_files_are_lost_enters_again(crm: Crm) -> None:
    crm.define(MARKETING)
    crm.load(PLAYERS)
    (first,) = crm.publish().publications
    crm.store.delete_all([first.files["full.parquet"]])
    crm.load(PLAYERS, day=21)
    (second,) = crm.publish(day=21).publications
    assert (second.baseline, second.entered, second.left) == (None, 2, 0)


def test_reasons_are_handed_over_with_the_score(crm: Crm) -> None:
    reasons = crm.session.in_schema("score_reasons")
    crm.load(PLAYERS)
    for user, day in (("ana", 20), ("eva", 19)):
        crm.query(
            f"INSERT INTO {reasons} (user_id, as_of, row_hash, value_reason_1) VALUES (%s, %s, 'h', 'deposit_days')",
            user, datetime(2026, 11, day, 3, tzinfo=UTC),
        )  # fmt: skip
    crm.define({**MARKETING, "columns": ["value_reason_1"]})
    (big,) = crm.publish().publications
    # The reasons of another day say nothing of today's score.
    assert [(each["user_id"], each["value_reason_1"]) for each in crm.read(big, "full")] == [
        ("ana", "deposit_days"), ("eva", ""),
    ]  # fmt: skip


def test_a_condition_that_cannot_be_asked_hands_nothing_over(crm: Crm) -> None:
    crm.load(PLAYERS)
    crm.define(MARKETING, {**MARKETING, "name": "odd", "condition": "rfm_segment > 3"})
    with pytest.raises(BadAudience, match="audience odd"):
        crm.publish()
    assert crm.objects() == {}
    assert crm.query("SELECT 1 FROM pg_views WHERE viewname = 'audience_big'") == []


def test_views_follow_the_files_and_go_to_their_readers(
    contract: Any, new_database: Callable[[], str], bucket: str, row: Any
) -> None:
    url = new_database()
    create_roles(url)
    logins = {"carga": "crmbet_loader", "crm": "crmbet_crm", "protetor": "crmbet_responsible_gambling"}
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        for login, group in logins.items():
            cursor.execute(f"CREATE ROLE {login} LOGIN NOINHERIT IN ROLE {group}")
            cursor.execute(f"ALTER ROLE {login} SET role TO {group}")

    def may(login: str, relation: str) -> bool:
        with closing(psycopg2.connect(as_login(url, login))) as connection, connection.cursor() as cursor:
            try:
                cursor.execute(f"SELECT user_id FROM ml_features.{relation}")
            except psycopg2.errors.InsufficientPrivilege:
                return False
            except psycopg2.errors.UndefinedTable:
                raise LookupError(relation) from None
            return True

    try:
        with closing(psycopg2.connect(as_login(url, "carga"))) as connection:
            own = contract.model_copy(update={"schema_name": "ml_features"})
            session = LoadSession(connection=connection, contract=own, run_id="run", lock_timeout_seconds=5)
            ensure_target(session)
            crm = Crm(session, ObjectStore(boto3.client("s3"), bucket), None, row, None)  # type: ignore[arg-type]
            crm.define(MARKETING, PROTECTIVE)
            for _ in range(2):
                crm.publish()
                create_roles(url)  # as an administrator may at any time
                assert may("crm", "audience_big")
                assert may("protetor", "audience_watched")
                assert not may("crm", "audience_watched")
                assert not may("protetor", "audience_big")
                assert not may("crm", "user_features")
            # The audience turns protective: its old readers lose it.
            crm.define({**MARKETING, "protective": True})
            crm.publish()
            assert not may("crm", "audience_big")
            with pytest.raises(LookupError):
                may("protetor", "audience_watched")
    finally:
        drop_roles([url], list(logins))


def test_a_receiver_is_told_of_each_publication(
    crm: Crm, sink: WebSink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "crmbet")
    crm.receiver = receiver(f"{sink.url}/crm")
    crm.load(PLAYERS)
    manifest = crm.publish()

    assert manifest.delivered == 2
    (_, headers, body), _ = sink.posts
    told = manifest.publications[0]
    assert headers["webhook-id"] == told.publication == body["publication"]
    raw = json.dumps(body, sort_keys=True).encode()
    assert headers["webhook-signature"] == sign(SECRET, told.publication, headers["webhook-timestamp"], raw)
    assert body["type"] == "audience.published"
    assert (body["audience"], body["members"], body["entered"], body["left"]) == ("big", 2, 2, 0)
    assert body["files"]["entered.csv"].startswith("s3://")
    assert crm.publish().delivered == 0
    assert len(sink.posts) == 2
    said = caplog.text + json.dumps([post for _, _, post in sink.posts])
    for player in PLAYERS:
        assert f'"{player}"' not in said
        assert f" {player} " not in said
    assert SECRET.decode() not in said


def test_what_nobody_has_confirmed_is_told_again_in_order(crm: Crm, sink: WebSink) -> None:
    crm.define(MARKETING)
    crm.load(PLAYERS)
    crm.receiver = receiver(f"{sink.url}/fail")
    with pytest.raises(LostConnection, match="answered 500"):
        crm.publish()
    crm.load({**PLAYERS, "bia": {}}, day=21)
    crm.receiver = receiver(f"{sink.url}/crm")
    assert crm.publish(day=21).delivered == 2
    first, second = sink.bodies("/crm")
    assert (first["as_of"], first["entered"], second["entered"]) == ("2026-11-20T03:00:00Z", 2, 1)
    assert sink.posts[0][1]["webhook-id"] == first["publication"] == second["baseline"]


def test_a_receiver_that_is_not_there_or_says_nothing(crm: Crm, sink: WebSink) -> None:
    crm.define(MARKETING)
    crm.load(PLAYERS)
    for address, seconds in (("http://127.0.0.1:9/secret", 5), (f"{sink.url}/hang", 0.2)):
        crm.receiver = receiver(address, seconds)
        with pytest.raises(LostConnection, match="cannot be reached") as failure:
            crm.publish()
        assert "secret" not in str(failure.value)


def test_a_receiver_that_refuses_is_not_asked_again_by_itself(crm: Crm) -> None:
    """A 4xx is for a person: Airflow does not try again."""
    crm.load(PLAYERS)
    with web_sink() as sink:
        crm.receiver = receiver(f"{sink.url}/refuse")
        with pytest.raises(ReceiverRefused, match="answered 401"):
            crm.publish()


def test_without_a_receiver_nothing_waits_for_one(crm: Crm, sink: WebSink) -> None:
    crm.load(PLAYERS)
    crm.publish()
    crm.receiver = receiver(f"{sink.url}/crm")
    assert crm.publish().delivered == 0


POINTS = (3, 12, 20, 24, 28)
ALL_POINTS = range(1, 60)


@pytest.mark.parametrize(
    "points", [pytest.param(POINTS, id="some"), pytest.param(ALL_POINTS, id="all", marks=pytest.mark.full)]
)
def test_killed_anywhere_the_next_try_makes_the_same(
    crm: Crm, sink: WebSink, postgres_url: str, points: Sequence[int]
) -> None:
    """kill -9 before the n-th statement, upload or message. Files and rows are then those of a run in peace."""
    crm.load(PLAYERS)
    crm.receiver = receiver(f"{sink.url}/crm")
    runs = crm.session.in_schema("audience_runs")
    found = {}
    for point in (0, *points):
        crm.query(f"DROP TABLE IF EXISTS {runs}")
        crm.store.delete_all(list(crm.objects()))
        sink.posts.clear()
        if point and not killed(crm, postgres_url, point):
            break
        manifest = crm.publish()
        told = {headers["webhook-id"] for _, headers, _ in sink.posts}
        assert told == {each.publication for each in manifest.publications}
        rows = crm.query(f"SELECT publication, files, delivered_at IS NULL FROM {runs} ORDER BY place")
        found[point] = (manifest.publications, crm.objects(), rows)
    assert len(found) > len(POINTS)
    assert all(each == found[0] for each in found.values())


def killed(crm: Crm, url: str, point: int) -> bool:
    """Publish in a process that dies before its n-th step; False if it came to its end before."""
    process = multiprocessing.get_context("fork").Process(target=_publish_and_die, args=(crm, url, point))
    process.start()
    process.join(60)
    return process.exitcode == -signal.SIGKILL


def _publish_and_die(crm: Crm, url: str, point: int) -> None:
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == point:
            os.kill(os.getpid(), signal.SIGKILL)

    class Cursor(extensions.cursor):
        def execute(self, *given: Any) -> None:
            step()
            super().execute(*given)

    class Store(ObjectStore):
        def upload(self, *given: Any) -> None:
            step()
            super().upload(*given)

    class Teller(Receiver):
        def tell(self, *given: Any) -> None:
            super().tell(*given)
            step()

    told = crm.receiver
    assert told is not None
    with closing(psycopg2.connect(url, cursor_factory=Cursor)) as connection:
        own = Crm(
            replace(crm.session, connection=connection),
            Store(boto3.client("s3"), crm.store.bucket),
            crm.stage,
            crm.row,
            crm.query,
            Teller(told.address, told.secret, told.answer_seconds),
            crm.audiences,
        )
        own.publish()
