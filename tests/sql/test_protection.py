"""Protection fails safe: what may protect a player and cannot be read protects the player, and says so.

The kind of fault is a value that is there, cannot be read, and then counts like one that was never there. Each text
goes through cleaning and the statements of the features, in a row that allows marketing otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crmbet.clean.records import CleanedSource
from crmbet.clean.typed import typed_batch
from crmbet.databases.statements import literal, render
from crmbet.datasets import segments
from tests.sql.lake_folder import FolderStore, capture, clean, quarantined_rows
from tests.sql.world import Row, World, contracts, create_world, query_world
from tests.tiers import now

pytestmark = pytest.mark.sql

AS_OF = date(2026, 3, 1)
RUN = World(as_of_date=AS_OF).run()
ALLOWED: Row = {
    "birth_date": "1990-01-01",
    "consents": "email,sms",
    "is_test": "false",
    "is_blocked": "false",
    "prohibited": "false",
}

YES = (
    *("true", "TRUE", "True", "t", "yes", "Y", "1", "1.0", "1.00", "1,0", "on", "ON", "x", "X"),
    *("sim", "SIM", "s", "S", "VERDADEIRO", "Verdadeiro", "v", " X ", "\u00a0VERDADEIRO\u3000"),
)
NO = (
    *("false", "FALSE", "f", "no", "N", "0", "0.0", "0.00", "0,0", "off", "OFF", "não", "NÃO", "nao", "n"),
    *("FALSO", "falso", "na\u0303o", "NA\u0303O", " 0 "),
)
NOTHING = (None, "", "  ", "\u00a0", "NULL", "\\N")
UNREADABLE_FLAGS = (
    "?",
    "2",
    "-1",
    "-",
    "banned",
    "N/A",
    "null",
    "nan",
    "None",
    "tru",
    "1.5",
    "true?",
    "[true]",
    "✓",
)
ENDS_LATER = (
    *("2030-01-01T00:00:00Z", "2030-01-01T00:00Z", "2030-01-01", "20300101", "2030-01-01 00:00:00 -0300"),
    *(
        "infinity",
        "Infinity",
        "+infinity",
        "inf",
        "9999-12-31",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31 23:59:59",
    ),
    *("2099-12-31t23:59:59z", "2030-01-01T00:00:00,5Z", "2030-01-01 00:00:00 America/Sao_Paulo"),
)
UNREADABLE_ENDS = (
    *(
        "31/12/2030",
        "12/31/2030",
        "permanent",
        "permanente",
        "indeterminado",
        "indefinite",
        "para sempre",
        "forever",
    ),
    *(
        "sim",
        "true",
        "1",
        "2030",
        "2030-13-01",
        "2030-02-30",
        "0000-00-00",
        "-infinity",
        "never",
        "-",
        "n/d",
        "null",
    ),
    *(
        "2030-01-01T00:00:00+25:00",
        "2030-01-01 nowhere",
        "1893456000",
        "-2030-01-01T00:00:00Z",
        "epoch",
        "NaN",
    ),
)
UNREADABLE_BIRTHS = (
    "31/12/1990",
    "1990-02-30",
    "epoch",
    "infinity",
    "1990-01-01xyz",
    "1990",
    "32",
    "adult",
    "0000-00-00",
    # What software writes where it has no date, and years of which the century was left out.
    *("0001-01-01", "0090-01-01", "0190-01-01", "1753-01-01", "1899-12-30", "1900-01-01", "1906-02-27"),
    "NaN",
)
UNREADABLE_CONSENTS = (
    "???",
    "pigeon",
    "tudo",
    "VERDADEIRO",
    "1",
    "X",
    '["email"',
    '{"email": tru',
    '{"pigeon": true}',
    '{"email": "maybe"}',
    '{"email": "maybe", "sms": true}',
    '{"email": 2}',
    '{"email": {"optin": true}}',
    '{"email": [true]}',
    '{"email": true, "email": false}',
    '{"email": false, "email": true}',
    '{"email": true, "EMAIL": false}',
    '{"email": true, "e-mail": false}',
    '{"zap": false, "whatsapp": "sim", "sms": true}',
    '{"email": true, "e-mail\\t": false}',
    '{"email": true, "\u00a0e-mail": false}',
    '{"email": true, "email\\n": false}',
    '{"email\u3000": true, "EMAIL": false}',
    '{"email": true, "e-mail\u200b": false}',
)
NO_CONSENTS = (
    "[]",
    "{}",
    "none",
    "nenhum",
    "não",
    '{"email": false, "sms": "no"}',
    '{"email": null}',
    "false",
    "0",
)


def features_of(
    engine: duckdb.DuckDBPyConnection, world: World, store: FolderStore, cleaned: Mapping[str, CleanedSource]
) -> dict[str, dict[str, Any]]:
    """User to features of a world in which some sources are those that were really cleaned."""
    create_world(engine, world)
    for source, of in cleaned.items():
        if rows := segments.rows_of_days(store, of.days):
            engine.execute(f"CREATE OR REPLACE TEMPORARY TABLE {source} AS FROM {rows}")
        if quarantined := segments.quarantined_rows(store, of.quarantined_days):
            lost = render(
                "features/themes/read_unreadable_exclusions",
                source=quarantined,
                name=literal(source),
            )
            engine.execute(f"CREATE OR REPLACE TEMPORARY TABLE unreadable_exclusions AS {lost}")
    cursor = engine.execute(query_world(engine, world))
    names = [column[0] for column in cursor.description or ()]
    return {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}


@pytest.fixture
def players(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> Any:
    """Cleans texts of a column of players; text to features, and what was cleaned."""

    def judge(
        column: str, texts: Sequence[str | None]
    ) -> tuple[dict[str | None, dict[str, Any]], CleanedSource]:
        store, contract = FolderStore(tmp_path), contracts()["players"]
        rows = [{**ALLOWED, "user_id": f"p{number:03d}", column: text} for number, text in enumerate(texts)]
        key = "raw/players/dt=2026-02-28/p.csv"
        cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows, key))
        assert cleaned.accepted == len(texts)
        features = features_of(engine, World(as_of_date=AS_OF), store, {"players": cleaned})
        return {text: features[f"p{number:03d}"] for number, text in enumerate(texts)}, cleaned

    return judge


Verdict = tuple[bool, list[str] | None]
"""Whether marketing is allowed, and what cannot be read."""


def each(texts: Sequence[str | None], verdict: Verdict) -> dict[str | None, Verdict]:
    """The same verdict for all texts."""
    return dict.fromkeys(texts, verdict)


def verdicts(
    features: Mapping[Any, Mapping[str, Any]],
) -> dict[str | None, Verdict]:
    return {text: (row["marketing_allowed"], row["protection_unreadable"]) for text, row in features.items()}


@pytest.mark.parametrize("column", ["prohibited", "is_blocked", "is_test"])
def test_flags(players: Any, column: str) -> None:
    features, cleaned = players(column, [*YES, *NO, *NOTHING, *UNREADABLE_FLAGS])

    assert verdicts(features) == {
        **each(YES, (False, None)),
        **each([*NO, *NOTHING], (True, None)),
        **each(UNREADABLE_FLAGS, (False, [column])),
    }
    assert cleaned.discarded == {column: len(UNREADABLE_FLAGS)}
    if column == "prohibited":
        assert all(features[text]["rg_prohibited_flag"] for text in (*YES, *UNREADABLE_FLAGS))


def test_self_exclusions_of_players(players: Any) -> None:
    features, cleaned = players(
        "self_excluded_until", [*ENDS_LATER, *UNREADABLE_ENDS, *NOTHING, "2026-01-01"]
    )

    assert verdicts(features) == {
        **each(ENDS_LATER, (False, None)),
        **each(UNREADABLE_ENDS, (False, ["self_excluded_until"])),
        **each([*NOTHING, "2026-01-01"], (True, None)),
    }
    active = {text for text, row in features.items() if row["rg_self_exclusion_status"] == "active"}
    assert active == {*ENDS_LATER, *UNREADABLE_ENDS}
    assert cleaned.discarded == {"self_excluded_until": len(UNREADABLE_ENDS)}


def test_dates_of_birth(players: Any) -> None:
    of_age = (
        "1906-02-28",
        "2008-03-01",
        "1990-01-01",
        "19900101",
        "1990-01-01T00:00:00Z",
        "1990-01-01 00:00:00",
        "1990/01/01",
    )
    minors = ("2015-01-01", "9999-12-31", "200000-01-01", "294246-12-31", "294247-01-10")

    features, _ = players("birth_date", [*of_age, *minors, *UNREADABLE_BIRTHS, *NOTHING])

    assert verdicts(features) == {
        **each(of_age, (True, None)),
        **each([*minors, *NOTHING], (False, None)),
        **each(UNREADABLE_BIRTHS, (False, ["birth_date"])),
    }


def test_consents(players: Any) -> None:
    given = (
        "email",
        "E-MAIL; pigeon",
        '["sms"]',
        '{"email": true}',
        '{"email": "sim", "sms": "no"}',
        "zap|push",
        '{"email": " sim ", "sms": null}',
        '{"e-mail\\t": true, "sms": false}',
        "\u00a0push\t; sms",
    )

    features, cleaned = players("consents", [*given, *NO_CONSENTS, *UNREADABLE_CONSENTS, *NOTHING])

    assert verdicts(features) == {
        **each(given, (True, None)),
        **each([*NO_CONSENTS, *NOTHING], (False, None)),
        **each(UNREADABLE_CONSENTS, (False, ["consents"])),
    }
    # An unknown word beside a known one is counted, and forbids nothing.
    assert cleaned.discarded == {"consents": len(UNREADABLE_CONSENTS) + 1}


@pytest.mark.few(2)
@pytest.mark.parametrize("column", now("self_excluded_until", full=["prohibited"]))
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("objects", [("a.csv", "a.csv"), ("a.csv", "b.csv")])
def test_among_rows_of_one_player_that_which_cannot_be_read_stands(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, column: str, first: bool, objects: tuple[str, str]
) -> None:
    store, contract = FolderStore(tmp_path), contracts()["players"]
    good: Row = {**ALLOWED, "user_id": "u"}
    rows: list[Row] = [{**good, column: "?"}, good]
    keys = [f"raw/players/dt=2026-02-28/{name}" for name in objects]
    by_key: dict[str, list[Row]] = {key: [] for key in keys}
    for key, row in zip(keys, rows if first else reversed(rows), strict=True):
        by_key[key].append(row)
    captured = [capture(engine, store, RUN, contract, of, key) for key, of in by_key.items()]

    cleaned = clean(engine, store, RUN, contract, *captured)

    assert (cleaned.accepted, cleaned.duplicates) == (1, 1)
    features = features_of(engine, World(as_of_date=AS_OF), store, {"players": cleaned})
    assert verdicts(features) == {"u": (False, [column])}


def test_a_rejected_row_of_players_protects(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    store, contract = FolderStore(tmp_path), contracts()["players"]
    rows: list[Row] = [
        {**ALLOWED, "user_id": "twice"},
        {**ALLOWED, "user_id": "twice", "_reject": "a name twice"},
        {**ALLOWED, "user_id": "whole"},
        {**ALLOWED, "user_id": "alone", "_reject": "a name twice"},
        {**ALLOWED, "user_id": None, "_reject": "6 fields instead of 5"},
    ]
    key = "raw/players/dt=2026-02-28/p.csv"
    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows, key))

    lost = quarantined_rows(engine, store, cleaned)
    assert {row["protected_user_id"] for row in lost} == {"twice", "alone", None}
    features = features_of(engine, World(as_of_date=AS_OF), store, {"players": cleaned})
    assert verdicts(features) == {"twice": (False, ["players.record"]), "whole": (True, None)}


LIMITS: Mapping[str, tuple[Row, list[str] | None]] = {
    "of thirty days": ({"kind": "self_exclusion", "new_value": "30"}, None),
    "permanent": ({"kind": "self_exclusion", "new_value": "permanente"}, ["limits.new_value"]),
    "365 days": ({"kind": "autoexclusão", "new_value": "365 dias"}, ["limits.new_value"]),
    "no duration": ({"kind": "self_exclusion"}, ["limits.new_value"]),
    "blank duration": ({"kind": "autoexclusao", "new_value": " ", "old_value": "NULL"}, ["limits.new_value"]),
    "not a number": ({"kind": "self_exclusion", "new_value": "NaN"}, ["limits.new_value"]),
    "ended, or not a number": (
        {"kind": "self_exclusion", "old_value": "180", "new_value": "nan"},
        ["limits.new_value"],
    ),
    "ended": ({"kind": "self_exclusion", "old_value": "180"}, None),
    "infinite": ({"kind": "self_exclusion", "new_value": "infinity"}, ["limits.new_value"]),
    "minus one": ({"kind": "self_exclusion", "new_value": "-1"}, ["limits.new_value"]),
    "too long": ({"kind": "self_exclusion", "new_value": "99999999999"}, ["limits.new_value"]),
    "old value": ({"kind": "self_exclusion", "old_value": "?", "new_value": "30"}, ["limits.old_value"]),
    "brazilian date": ({"kind": "self_exclusion", "changed_at": "20/02/2026"}, ["limits.changed_at"]),
    "no instant": ({"kind": "self_exclusion", "changed_at": None}, ["limits.changed_at"]),
    "1970": ({"kind": "self_exclusion", "changed_at": "1970-01-01"}, ["limits.changed_at"]),
    "unknown kind": ({"kind": "auto exclusão definitiva", "new_value": "30"}, ["limits.kind"]),
    "no kind": ({"kind": None, "new_value": "30"}, ["limits.kind"]),
    "nested kind": ({"kind": '{"type": "self_exclusion"}'}, ["limits.kind"]),
    "kind twice": ({"kind": "deposit", "_reject": "a name twice"}, ["limits.record"]),
    "broken record": ({"kind": None, "_reject": "6 fields instead of 5"}, ["limits.record"]),
    "deposit limit": ({"kind": "deposit", "new_value": "much"}, None),
    "deposit limit without a time": ({"kind": "deposit", "changed_at": "soon"}, None),
}
"""By user: a row of limits, and the reason that it gives, if it cannot be read."""


def test_self_exclusions_of_limits(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    store, contract = FolderStore(tmp_path), contracts()["limits"]
    rows = [
        {"changed_at": "2026-02-20T12:00:00Z", **row, "user_id": user} for user, (row, _) in LIMITS.items()
    ]
    cleaned = clean(
        engine, store, RUN, contract, capture(engine, store, RUN, contract, rows, "raw/limits/a.csv")
    )
    world = World(as_of_date=AS_OF, players=[{**ALLOWED, "user_id": user} for user in (*LIMITS, "nobody's")])

    features = features_of(engine, world, store, {"limits": cleaned})

    assert {user: row["protection_unreadable"] for user, row in features.items()} == {
        "nobody's": None,
        **{user: reason for user, (_, reason) in LIMITS.items()},
    }
    assert {user for user, row in features.items() if row["marketing_allowed"]} == {
        *("nobody's", "deposit limit", "deposit limit without a time", "ended")
    }
    assert {user for user, row in features.items() if row["rg_self_exclusion_status"] == "active"} == {
        "of thirty days",
        *(user for user, (_, reason) in LIMITS.items() if reason),
    }
    assert cleaned.accepted + sum(cleaned.quarantined.values()) == len(LIMITS)


def test_a_self_exclusion_without_a_duration_ends_none_that_runs(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    store, contract = FolderStore(tmp_path), contracts()["limits"]
    later: Mapping[str, Row] = {
        "nothing": {},
        "not a number": {"new_value": "nan"},
        "removed": {"old_value": "180"},
        "removed, or not a number": {"old_value": "180", "new_value": "nan"},
    }
    rows: list[Row] = [
        {"user_id": user, "kind": "self_exclusion", **row}
        for user, cells in later.items()
        for row in (
            {"changed_at": "2026-02-20T12:00:00Z", "new_value": "180"},
            {"changed_at": "2026-02-25T12:00:00Z", **cells},
        )
    ]
    captured = capture(engine, store, RUN, contract, rows, "raw/limits/a.csv")
    cleaned = clean(engine, store, RUN, contract, captured)
    world = World(as_of_date=AS_OF, players=[{**ALLOWED, "user_id": user} for user in later])

    features = features_of(engine, world, store, {"limits": cleaned})

    assert {user: row["rg_self_exclusion_status"] for user, row in features.items()} == {
        **dict.fromkeys(later, "active"),
        "removed": "past",
    }


FAULTY_IDS: Mapping[str, Sequence[str]] = {
    "p1\u200b": ["p1"],
    "\u00ad p2": ["p2"],
    "p\x003": ["p3"],
    "\uff304\u2060": ["p4"],
    "p5\ufe0f": ["p5", "P5"],
    "p\u31646": ["p6"],
    "p\u00a07\u200d": ["p7"],
    "JOSE\u0301\ufeff": ["josé"],
    "STRASSE\u200b": ["straße"],
    "8.0\u200b": ["8", "8.0"],
    "\uff19\u200b": ["9"],
    "somebody\u200b": [],
    "0010\u200b": [],
    "nan": [],
    "undefined": [],
    '{"id": "p11"}': [],
    "x" * 60: [],
    "\u200b": [],
}
"""By an id at fault: the players whose ids have the same form."""


@pytest.mark.parametrize("source", ["limits", "players"])
def test_a_row_with_a_faulty_id_protects_the_players_whose_ids_look_like_it(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, source: str
) -> None:
    store, contract = FolderStore(tmp_path), contracts()[source]
    protected = {user for users in FAULTY_IDS.values() for user in users}
    good: list[Row] = [{**ALLOWED, "user_id": user} for user in (*protected, "10", "p10", "p11", "p111")]
    row: Row = {"changed_at": "2026-02-20T12:00:00Z", "kind": "self_exclusion", "new_value": "30"}
    faulty: list[Row] = [{**row, **ALLOWED, "prohibited": "true", "user_id": user} for user in FAULTY_IDS]
    named = [{name: cell for name, cell in each.items() if name in contract.columns} for each in faulty]
    rows = [*good, *named] if source == "players" else named
    key = f"raw/{source}/dt=2026-02-28/p.csv"
    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows, key))
    assert sum(cleaned.quarantined.values()) == len(FAULTY_IDS)

    features = features_of(engine, World(as_of_date=AS_OF, players=good), store, {source: cleaned})

    assert verdicts(features) == {
        **each([*protected], (False, [f"{source}.user_id"])),
        **each(["10", "p10", "p11", "p111"], (True, None)),
    }


def test_a_number_that_is_no_exact_id_protects_the_player_of_its_digits(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """As a file with single-precision numbers is captured."""
    store, contract = FolderStore(tmp_path), contracts()["limits"]
    rows: list[Row] = [
        {"user_id": "7.0", "kind": "self_exclusion", "_reject": "user_id: a number that is not exact"}
    ]
    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows, "raw/limits/a"))
    good: list[Row] = [{**ALLOWED, "user_id": user} for user in ("7", "70", "p1")]

    features = features_of(engine, World(as_of_date=AS_OF, players=good), store, {"limits": cleaned})

    assert {user for user, row in features.items() if not row["marketing_allowed"]} == {"7"}


MAY_FORBID: Sequence[Row] = (
    {"prohibited": "sim"},
    {"is_blocked": "1"},
    {"is_test": "X"},
    {"self_excluded_until": "2030-01-01"},
    {"consents": "[]"},
    {"prohibited": "?"},
    {"birth_date": "31/12/1990"},
)
FORBIDS_NOTHING: Sequence[Row] = (
    {},
    {"consents": "email;pigeon"},
    {"timezone": "nowhere"},
    dict.fromkeys(ALLOWED),
)


@pytest.mark.parametrize("spelled", ["p1\u200b", "nan", None])
def test_a_row_of_players_with_a_faulty_id_counts_if_it_may_forbid_something(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, spelled: str | None
) -> None:
    store, contract = FolderStore(tmp_path), contracts()["players"]
    rows = [{**ALLOWED, **cells, "user_id": spelled} for cells in (*MAY_FORBID, *FORBIDS_NOTHING)]
    captured = capture(engine, store, RUN, contract, rows, "raw/players/dt=2026-02-28/p.csv")

    with typed_batch(engine, contract, store, [captured], [date(2026, 2, 28)]):
        found = engine.execute("SELECT _row, _protection FROM typed WHERE _fault IS NOT NULL").fetchall()

    assert {row for row, said in found if said} == {*range(1, len(MAY_FORBID) + 1)}
    assert len(found) == len(rows)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("31/12/2030", "99/99/9999"),
        ("João\u00a01²\t(x)", "aaaa 99 (a)"),
        ("a\u200bb\u202ec\x00\x7f\ufeff", "a?a?a???"),
        ("\U0001f4a5 \u2013 \u20ac\u0301", "? ? ??"),
        ('{"a": [true]}', '{"a": [aaaa]}'),
        ("x" * 10_000, "a" * 40),
        (None, None),
    ],
)
def test_a_shape_has_nothing_of_its_text(
    engine: duckdb.DuckDBPyConnection, text: str | None, shape: str | None
) -> None:
    assert engine.execute("SELECT shape_of(?::VARCHAR)", [text]).fetchone() == (shape,)
