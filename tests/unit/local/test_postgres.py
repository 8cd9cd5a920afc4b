"""Where the socket is, and how a URL says so."""

from __future__ import annotations

from pathlib import Path

import psycopg2.extensions
import pytest
from sqlalchemy.engine import make_url

from local.postgres import LONGEST_SOCKET_PATH, EmbeddedPostgres
from local.workspace import Workspace

pytestmark = pytest.mark.unit


def test_the_socket_is_in_the_workspace() -> None:
    postgres = EmbeddedPostgres(Workspace(Path("/home/ana/crmbet/.local")))
    assert postgres.socket_folder == Path("/home/ana/crmbet/.local/postgres/socket")


def test_a_deep_workspace_has_its_socket_in_a_short_folder_of_its_own() -> None:
    deep = Path("/home/ana") / "/".join(["a-rather-long-folder-name"] * 5)
    first, second = (EmbeddedPostgres(Workspace(deep / name)).socket_folder for name in ("first", "second"))

    assert first != second
    assert first == EmbeddedPostgres(Workspace(deep / "first")).socket_folder
    assert len(str(first / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH


@pytest.mark.parametrize("folder", ["plain", "with space", "50%", "a&b=c?d#e", "maçã", "it's"])
def test_a_url_names_the_socket_whatever_the_folder_is_called(folder: str) -> None:
    postgres = EmbeddedPostgres(Workspace(Path("/home") / folder))

    parsed = psycopg2.extensions.parse_dsn(postgres.url("lake"))
    assert parsed == {"user": "postgres", "dbname": "lake", "host": str(postgres.socket_folder)}
    for_sqlalchemy = make_url(postgres.url("lake", "postgresql+psycopg2"))
    assert for_sqlalchemy.drivername == "postgresql+psycopg2"
    assert for_sqlalchemy.query["host"] == str(postgres.socket_folder)
