"""Objects of ours that tell whether they are whole: a file has a checksum in its name, a record one at its end.

Nothing in the store is believed without it. A checksum is taken before an object is sent and compared after it has
come back, so it does not matter where an object was damaged, or what the server says of it. What an earlier version
wrote has none: such a record must fit its model, and such a file must begin and end as Parquet does.

A checksum is against accidents. Whoever may write to the bucket may write a checksum too (docs/security.md).
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from crmbet.failures import DamagedObject, LostConnection, SourceMissing
from crmbet.storage.digests import digest
from crmbet.storage.layout import aside
from crmbet.storage.object_store import ObjectStore

log = logging.getLogger(__name__)

LETTERS = 24
"""The length of a checksum, as of all our digests."""
NAMED = re.compile(r"\.([0-9a-f]{24})\.[a-z]+\Z")
SEAL = re.compile(rb',?"checksum":"([0-9a-f]{24})"\}\Z')
LONGEST_SEAL = 64
PARQUET = b"PAR1"
"""The first and the last bytes of a Parquet file."""
LOOKS = 2
"""A file is fetched again before it is called damaged: it may have been damaged on the way."""

Model = TypeVar("Model", bound=BaseModel)


def keep_file(store: ObjectStore, path: Path, key: str) -> str:
    """Copy a local file to the store. Returns its key, which is the given one with the file's checksum in it."""
    named = checked_key(path, key)
    store.upload(path, named)
    return named


def checked_key(path: Path, key: str) -> str:
    """The key under which a local file is kept: the given one with the file's checksum in it."""
    stem, _, ending = key.rpartition(".")
    return f"{stem}.{_checksum(path)}.{ending}"


def keep_files(store: ObjectStore, keys: Mapping[Path, str]) -> dict[Path, str]:
    """Copy local files to the store, several at a time. Returns their keys, as `keep_file` does."""
    return dict(zip(keys, store.in_parallel(lambda item: keep_file(store, *item), keys.items()), strict=True))


def fetch_file(store: ObjectStore, key: str, path: Path) -> None:
    """Copy a file of the store to the local disk.

    Raises `DamagedObject` if it is not what was written, or is gone. A damaged one has been moved aside then, so that
    it counts as missing from now on, and whoever needs it makes it again.
    """
    differences: list[str] = []
    for _ in range(LOOKS):
        try:
            store.fetch(key, path)
        except SourceMissing:
            # Nothing is moved: what the server will not give it may still have.
            store.leave_out(key)
            raise damage(store, key, "it is gone") from None
        except LostConnection as failure:
            cut = _cut_off_at(failure)
            # A connection that breaks does not break twice at the same byte. A server whose disk lost the rest does.
            if cut is None or differences not in ([], [cut]):
                raise
            differences.append(cut)
        else:
            why = _difference(key, path)
            if not why:
                return
            differences.append(why)
    set_aside(store, key)
    raise damage(store, key, differences[-1])


def set_aside(store: ObjectStore, key: str) -> None:
    """Move a damaged object where nobody reads it, and where a person can look at it."""
    log.warning("%s is damaged and moves to %s", store.url(key), store.url(aside(key)))
    try:
        store.move(key, aside(key))
    except LostConnection as failure:
        # A server whose own disk is damaged may not be able to copy it. This task leaves it out all the same.
        log.warning("it cannot be moved: %s", failure)


def write_record(store: ObjectStore, key: str, record: BaseModel, *, indent: int | None = None) -> None:
    """Write a record in one PUT, sealed."""
    store.write(key, seal(key, record.model_dump_json(indent=indent).encode()))


def read_record(store: ObjectStore, key: str, model: type[Model]) -> Model | None:
    """Read a record; None if there is none. Raises `DamagedObject`."""
    content = store.read(key)
    return None if content is None else parse_record(store, key, content, model)


def read_records(store: ObjectStore, keys: Collection[str], model: type[Model]) -> dict[str, Model]:
    """Read many records by key, several at a time; those that are gone are left out. Raises `DamagedObject`."""
    contents = store.read_all(keys)
    return {
        key: parse_record(store, key, content, model)
        for key, content in contents.items()
        if content is not None
    }


def parse_record(store: ObjectStore, key: str, content: bytes, model: type[Model]) -> Model:
    """The record of an object's content. Raises `DamagedObject`."""
    try:
        return model.model_validate_json(unseal(key, content))
    except (ValidationError, ValueError):
        # Neither the parser's words nor the model's are repeated, since they quote the content.
        raise damage(store, key, "its content is not what was written there") from None


def seal(key: str, content: bytes) -> bytes:
    """A JSON object with its checksum as the last field. The checksum covers the key, so no other place has it."""
    body = content[:-1]
    comma = b"" if body == b"{" else b","
    return body + comma + f'"checksum":"{digest(key, content, length=LETTERS)}"}}'.encode()


def unseal(key: str, content: bytes) -> bytes:
    """A JSON object without its seal. What was never sealed is returned as it is: its model must not allow a checksum.

    Raises `ValueError` if the checksum is wrong.
    """
    # Only the end is searched: a manifest may be megabytes.
    found = SEAL.search(content, max(0, len(content) - LONGEST_SEAL))
    if not found:
        return content
    body = content[: found.start()] + b"}"
    if digest(key, body, length=LETTERS) != found.group(1).decode():
        raise ValueError("the checksum is wrong")
    return body


def damage(store: ObjectStore, key: str, why: str) -> DamagedObject:
    """The failure for one object, if nobody makes it again."""
    return DamagedObject(
        "an object in the store is damaged or gone",
        key=key,
        where=store.url(key),
        why=why,
        next_step="put it back as it was from a backup or an earlier version of the object; docs/runbook.md says "
        "for each kind of object what else to do",
    )


def checksum_in(key: str) -> str | None:
    """The checksum in a file's name; None if an earlier version wrote it."""
    found = NAMED.search(key)
    return found.group(1) if found else None


def _cut_off_at(failure: LostConnection) -> str | None:
    """Where an answer ended before its time, in words; None if it was something else."""
    from botocore.exceptions import IncompleteReadError

    cause = failure.__cause__ or failure.__context__
    if not isinstance(cause, IncompleteReadError):
        return None
    return f"the server gives {cause.kwargs['actual_bytes']} of its {cause.kwargs['expected_bytes']} bytes"


def _difference(key: str, path: Path) -> str:
    """Why a copy is not the file that was written; an empty text if it is."""
    expected = checksum_in(key)
    if expected:
        found = _checksum(path)
        return "" if found == expected else f"its {path.stat().st_size} bytes have the checksum {found}"
    if key.endswith(".parquet") and not _is_parquet(path):
        return f"its {path.stat().st_size} bytes are no Parquet file"
    return ""


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.read(len(PARQUET))
        if file.seek(0, 2) < 3 * len(PARQUET):
            return False
        file.seek(-len(PARQUET), 2)
        return first == file.read() == PARQUET


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LETTERS]
