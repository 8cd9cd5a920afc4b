"""All odd files at once through the whole DAG: what becomes of every row of theirs stands beside each file.

The files lie in odd_files/, each with a table of its rows' fates. Their keys repeat, so each file gets a letter of its
own in place of the `k` of its keys: one byte for another, which leaves every fault as it is.
"""

from __future__ import annotations

import io
import re
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import psycopg2
import pyarrow.parquet as pq
import pytest
import yaml

from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import CONTRACTS, load_source_contracts
from crmbet.extract.records import ExtractManifest
from tests.integration.pipeline_process import TABLE

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parent / "odd_files"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix not in (".yaml", ".md"))
LETTERS = dict(zip(FILES, ascii_uppercase, strict=False))
KEY = r"\bk(?=[1-9])"


@dataclass(frozen=True)
class Odd:
    """What a run made of the files."""

    run: Any
    extracted: ExtractManifest
    accepted: dict[str, dict[str, dict[str, Any]]]
    """By feed and key."""
    quarantined: dict[tuple[str, int], tuple[str, str]]
    """By key of the object and row: the row's key and the reason."""
    discarded: dict[str, dict[str, int]]
    target: dict[str, dict[str, Any]]
    """The rows of the target, by player."""


def fates(path: Path) -> dict[str, Any]:
    """What is said beside a file, with the file's letter in its keys."""
    said: dict[str, Any] = yaml.safe_load(path.with_suffix(".yaml").read_text(encoding="utf-8"))
    said["at"] = f"raw/{said['feed']}/{said.get('at', f'dt=2026-08-10/{path.name}')}"
    for fate in ("accepted", "quarantined"):
        said[fate] = {re.sub(KEY, LETTERS[path], key): of for key, of in said.get(fate, {}).items()}
    return said


@pytest.fixture(scope="module")
def odd(open_operator: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory) -> Odd:
    operator = open_operator()
    for path in FILES:
        content = re.sub(rb"k(?=[1-9])", LETTERS[path].encode(), path.read_bytes())
        operator.store.write(fates(path)["at"], content)
    with (
        closing(psycopg2.connect(operator.source_url)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(TABLE)
        cursor.execute(
            "INSERT INTO tbl_transactions "
            "VALUES (gen_random_uuid(), 'p1', 10, 'deposit', 'completed', '2026-08-10 12:00')"
        )
    contracts = tmp_path_factory.mktemp("contracts") / "sources"
    shutil.copytree(CONTRACTS / "sources", contracts)
    bets = contracts / "bets.yaml"
    content = yaml.safe_load(bets.read_text(encoding="utf-8"))
    content["columns"]["stake"]["source_name"] = ["stake", "amount"]
    bets.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load_source_contracts, "__defaults__", (contracts, ""))
        run = operator.run(logical_date=None, run_conf={"as_of": "2026-08-11", "fail_on": []})
    assert run.state == "success", run.states

    cleaned = run.manifest("clean", CleanManifest).sources
    accepted, quarantined = {}, {}
    for name in ("bets", "players"):
        [key] = load_source_contracts()[name].business_key
        accepted[name] = {row[key]: row for row in rows_of(operator, cleaned[name].files)}
        for row in rows_of(operator, cleaned[name].quarantine_files):
            quarantined[row["source_key"], row["source_row"]] = (row["business_key"], row["reason"])
    target = operator.query("SELECT user_id, to_jsonb(row) FROM ml_features.user_features AS row")
    return Odd(
        run=run,
        extracted=run.manifest("extract_s3", ExtractManifest),
        accepted=accepted,
        quarantined=quarantined,
        discarded={source: of.discarded for source, of in cleaned.items()},
        target=dict(target),
    )


def rows_of(operator: Any, files: list[str]) -> list[dict[str, Any]]:
    rows = []
    for file in files:
        table = pq.read_table(io.BytesIO(operator.store.read(file)))
        rows += table.to_pylist()
    return rows


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_row_has_the_fate_that_stands_beside_its_file(odd: Odd, path: Path) -> None:
    said = fates(path)

    found = odd.accepted[said["feed"]]
    assert {
        key: {column: found[key][column] for column in row}
        for key, row in said["accepted"].items()
        if key in found
    } == said["accepted"]
    set_aside = {row: fate for (key, row), fate in odd.quarantined.items() if key == said["at"]}
    assert {key: reason for key, reason in set_aside.values() if key} == said["quarantined"]
    assert {row: reason for row, (key, reason) in set_aside.items() if not key} == said.get("set_aside", {})


def test_no_other_row_is_accepted_and_every_one_is_accounted_for(odd: Odd) -> None:
    said = [fates(path) for path in FILES]
    for feed, accepted in odd.accepted.items():
        assert accepted.keys() == {key for of in said if of["feed"] == feed for key in of["accepted"]}
    rows = sum(len(of["accepted"]) + len(of["quarantined"]) + len(of.get("set_aside", {})) for of in said)
    assert sum(source.extracted for source in odd.extracted.sources.values()) == rows
    passed_over = Counter(of["passed_over"] for of in said if "passed_over" in of)
    found = odd.extracted.sources["bets"].passed_over
    assert {reason: of.count for reason, of in found.items()} == passed_over
    assert odd.extracted.sources["bets"].unreadable == []


def test_the_players_of_the_target_are_theirs(odd: Odd) -> None:
    bets = Counter(row["user_id"] for row in odd.accepted["bets"].values())
    assert {user: row["bets_count_lifetime"] for user, row in odd.target.items() if user in bets} == bets
    protected = odd.accepted["players"].keys()
    assert odd.target.keys() == bets.keys() | protected
    assert {odd.target[user]["marketing_allowed"] for user in protected} == {False}
