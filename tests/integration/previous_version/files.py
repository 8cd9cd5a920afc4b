"""Reads the files of this folder, and puts them back into a bucket and into databases."""

from __future__ import annotations

import lzma
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from crmbet.storage.object_store import ObjectStore
from local.postgres import programs

FOLDER = Path(__file__).parent

WRITERS = 8


def read_archive(name: str) -> dict[str, bytes]:
    """The objects of an archive by their keys."""
    objects: dict[str, bytes] = {}
    with tarfile.open(FOLDER / name) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            assert content is not None
            objects[entry.name] = content.read()
    return objects


def put_objects(store: ObjectStore, objects: dict[str, bytes]) -> None:
    """Write objects side by side."""
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(store.write, objects, objects.values()))


def restore_database(admin_url: str, name: str) -> None:
    """Run a dump in a database. The roles that own what it holds must be there, and its schema must not."""
    run_sql(admin_url, lzma.decompress((FOLDER / name).read_bytes()).decode())


def run_sql(url: str, text: str) -> None:
    """Run statements and COPY by psql, which stops at the first error."""
    subprocess.run(
        [str(programs() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", url],
        input=text,
        text=True,
        check=True,
    )
