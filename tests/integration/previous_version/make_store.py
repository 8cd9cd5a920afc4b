"""Makes the files of this folder. It runs in a checkout of the version that they are to come from: see README.md."""

from __future__ import annotations

import io
import lzma
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from local.postgres import SUPERUSER, programs
from local.simulator import DirtRates, World, deliver
from tests.integration.pipeline_process import finish

pytestmark = pytest.mark.integration

START = date(2024, 2, 25)
FIRST_AS_OF = date(2024, 3, 25)
"""Late enough for a whole thirty-day file, which ends on 2024-03-14."""
LAST_AS_OF = FIRST_AS_OF + timedelta(days=1)
WORLD = World(seed=5, players=60, start_day=START, end_day=FIRST_AS_OF)
RATES = replace(
    DirtRates(),
    user_id_missing=0.004,
    enum_unknown=0.004,
    money_negative=0.004,
    time_unparsable=0.004,
    duplicate_equal=0.005,
    duplicate_reingested=0.005,
    ceiling=0.018,
)
"""More than a real feed has, so that a small world has some quarantined rows and some duplicates."""
SETTINGS = {"CRMBET_MIN_MODEL_COHORT": "10", "CRMBET_RG_MIN_COHORT": "5"}
"""Low enough that so few players give models and cut-offs."""

DERIVED_AS_OF = date(2018, 11, 9)
BETS = """bet_id,user_id,placed_at,game_type,stake
b1,ana,2018-11-02T12:00:00Z,slots,1.50
b2,ana,2018-11-02T12:10:00Z,slots,2
b3,bia,2018-11-04T02:50:00Z,crash,5
b4,bia,2018-11-04T03:10:00Z,crash,5
b5,ana,2018-11-07T12:00:00Z,poker,10
b6,bia,2018-11-08T12:00:00Z,poker,ten
"""
"""A feed without sessions beside it, so that they are derived; bia's goes on over midnight."""
TRANSACTION = """
INSERT INTO tbl_transactions VALUES
    ('018e7ad9-b70f-7868-8a75-329dacbbdbde', 'ana', 10, 'deposit', 'completed', '2018-11-01 12:00')
"""

NEWER_THAN_15 = ("\\restrict ", "\\unrestrict ", "SET transaction_timeout")
"""Beginnings of lines in a dump that PostgreSQL 15 or its psql would refuse."""


def test_make(open_operator: Callable[..., Any], services: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.environ["STORE_FOLDER"])
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    operator = open_operator(as_loader=True)
    bucket = services.object_store.folder / operator.bucket
    source = operator.source_url
    target = operator.target_url.replace("crmbet_loader@", f"{SUPERUSER}@")

    for as_of in (FIRST_AS_OF, LAST_AS_OF):
        deliver(replace(WORLD, end_day=as_of), bucket=operator.bucket, source_url=source, rates=RATES)
        # The clock of the machine that makes the files may be ahead of one that runs the test.
        noon = datetime(as_of.year, as_of.month, as_of.day, 15, tzinfo=UTC)
        monkeypatch.setattr("crmbet.operators.airflow_run.resolve_known_at", lambda *_, noon=noon: noon)
        run = operator.run(logical_date=None, run_conf={"as_of": as_of.isoformat()})
        assert run.state == "success", run.states

    objects = read_files(bucket)
    write_archive(folder / "store.tar.xz", objects)
    (folder / "source.sql.xz").write_bytes(lzma.compress(dump(source, "--no-owner").encode()))
    (folder / "target.sql.xz").write_bytes(lzma.compress(dump(target).encode()))

    before = transactions(source)
    deliver(
        replace(WORLD, end_day=LAST_AS_OF + timedelta(days=1)),
        bucket=operator.bucket,
        source_url=source,
        rates=RATES,
    )
    delivered = {key: content for key, content in read_files(bucket).items() if key not in objects}
    write_archive(folder / "next_delivery.tar.xz", delivered)
    new = sorted(transactions(source) - before)
    (folder / "next_transactions.csv").write_text("".join(f"{line}\n" for line in new), encoding="utf-8")


def test_make_derived_sessions(open_changing_operator: Callable[[], Any], services: Any) -> None:
    operator = open_changing_operator()
    operator.put("bets/a.csv", BETS)
    operator.sql(TRANSACTION)
    finish(operator.site, operator.attempt(DERIVED_AS_OF))
    objects = read_files(services.object_store.folder / operator.site.bucket)
    write_archive(Path(os.environ["STORE_FOLDER"]) / "derived_sessions.tar.xz", objects)


def read_files(bucket: Path) -> dict[str, bytes]:
    """Every object by its key."""
    return {
        path.relative_to(bucket).as_posix(): path.read_bytes()
        for path in sorted(bucket.rglob("*"))
        if path.is_file()
    }


def write_archive(path: Path, objects: Mapping[str, bytes]) -> None:
    """Objects alike lie side by side, so that xz finds what they have in common."""
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for key in by_kind(objects):
            entry = tarfile.TarInfo(key)
            entry.size = len(objects[key])
            archive.addfile(entry, io.BytesIO(objects[key]))


def by_kind(keys: Iterable[str]) -> list[str]:
    """Keys by extension first."""
    return sorted(keys, key=lambda key: (Path(key).suffix, key))


def dump(url: str, *options: str) -> str:
    """A database as SQL that psql runs on PostgreSQL 15 and later."""
    command = [str(programs() / "pg_dump"), "--no-statistics", *options, url]
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return "".join(line for line in written.splitlines(keepends=True) if not line.startswith(NEWER_THAN_15))


def transactions(url: str) -> set[str]:
    """The rows of tbl_transactions as lines of CSV."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        text = io.StringIO()
        cursor.copy_expert("COPY tbl_transactions TO STDOUT (FORMAT csv)", text)
        return set(text.getvalue().splitlines())
