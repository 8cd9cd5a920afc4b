"""What the meter counts, beside what the servers saw."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from bench.far_store import Request, open_far_store
from crmbet import metering
from crmbet.databases import postgres
from crmbet.databases.sessions import open_session
from crmbet.run.settings import TimeoutSettings
from crmbet.storage.object_store import ObjectStore
from local.credentials import credentials
from local.object_store import REGION

pytestmark = pytest.mark.integration

LARGE = 9 << 20
"""The client sends it in two parts."""


def kind_of(request: Request) -> str:
    """What a server sees of a request's kind. A copy is a PUT with a header, which the proxy does not log."""
    if request.method == "POST":
        return "delete" if re.search(r"\?delete", request.path) else "part"
    if request.method == "PUT":
        return "part" if "partNumber=" in request.path else "put or copy"
    if request.method == "GET":
        return "list" if "list-type=2" in request.path else "get"
    return request.method.lower()


def test_each_request_to_s3_is_counted_by_kind_and_size(services: Any, bucket: str, tmp_path: Path) -> None:
    keys = credentials(services.workspace)
    source, copy = tmp_path / "large", tmp_path / "copy"
    source.write_bytes(b"x" * LARGE)
    with open_far_store(services.object_store.endpoint, tmp_path) as proxy:
        client = boto3.client(
            "s3",
            endpoint_url=proxy.endpoint,
            region_name=REGION,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            config=Config(s3={"addressing_style": "path"}),
        )
        # Two stores share the client, and each request counts once.
        store, _ = ObjectStore(client, bucket), ObjectStore(client, bucket)
        before = metering.read()
        store.write_all({f"small/{number}": b"12345" for number in range(20)})
        assert store.read("small/1") == b"12345"
        assert store.read("nothing") is None
        store.upload(source, "large")
        [listed] = store.list("large")
        store.download(listed, copy)
        store.move("small/1", "moved")
        store.delete_all([entry.key for entry in store.list("small/")])
        used = metering.read().minus(before)
        seen = Counter(kind_of(request) for request in proxy.requests())

    counted = Counter(used.requests)
    counted["put or copy"] = counted.pop("put") + counted.pop("copy")
    assert counted == seen
    assert used.requests["copy"] == 1
    assert used.requests["part"] == 4, "a beginning, two parts and an end"
    assert used.bytes_sent == pytest.approx(LARGE + 20 * 5, abs=5_000)
    assert used.bytes_received == pytest.approx(LARGE, abs=50_000)
    assert copy.stat().st_size == LARGE


def test_rows_of_postgres_are_counted(services: Any) -> None:
    services.postgres.create_database("metered")
    with closing(open_session(services.postgres.url("metered"), TimeoutSettings())) as session:
        before = metering.read()
        with postgres.transaction(session, where="metered") as cursor:
            cursor.execute("CREATE TABLE public.numbers AS SELECT n FROM generate_series(1, 100) AS n")
            cursor.execute("UPDATE public.numbers SET n = -n WHERE n <= 30")
            cursor.execute("DELETE FROM public.numbers WHERE n = 100")
            cursor.copy_expert("COPY public.numbers FROM STDIN", StringIO("7\n8\n"))
            written = metering.read().minus(before)
            cursor.execute("SELECT n FROM public.numbers WHERE n < 0")
            assert len(cursor.fetchall()) == 30
            cursor.copy_expert("COPY (SELECT 1 UNION SELECT 2) TO STDOUT", StringIO())
            cursor.execute("SELECT pg_sleep(0.05)")
        used = metering.read().minus(before)

    assert (written.rows_written, written.rows_read) == (100 + 30 + 1 + 2, 0)
    assert (used.rows_written, used.rows_read) == (written.rows_written, 30 + 2 + 1)
    assert used.postgres_seconds >= 0.05
