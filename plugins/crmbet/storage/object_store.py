"""S3 as the core uses it: list, read, write once. The data engine reads large data itself, and writes local files.

Every error of the client becomes one of ours, so that the retry policy can tell a wrong key (permanent) from a server
that went away (temporary).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmbet import metering
from crmbet.failures import AccessRefused, LostConnection, SourceChanged, SourceMissing
from crmbet.storage.threads import in_parallel

if TYPE_CHECKING:
    from botocore.client import BaseClient

PARALLEL_REQUESTS = 16
"""Requests at the same time. Each small object costs a round trip, whatever its size."""

BYTES_AT_ONCE = 1 << 20
KEPT_CONNECTIONS = 2 * PARALLEL_REQUESTS
"""Connections that a client keeps: a task sends files beside those that it fetches."""
KEYS_A_DELETION = 1000
"""S3 takes no more in one request."""

REFUSED = frozenset({"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
REPLACED = frozenset({"412", "PreconditionFailed"})


KINDS = {
    "ListObjectsV2": "list",
    "GetObject": "get",
    "HeadObject": "head",
    "HeadBucket": "head",
    "PutObject": "put",
    "CopyObject": "copy",
    "CreateMultipartUpload": "part",
    "UploadPart": "part",
    "UploadPartCopy": "part",
    "CompleteMultipartUpload": "part",
    "AbortMultipartUpload": "part",
    "DeleteObject": "delete",
    "DeleteObjects": "delete",
}
"""Operations of S3 by the kind that the meter counts them as. All others are `other`."""


@dataclass(frozen=True, kw_only=True, order=True)
class StoredObject:
    """One object as a listing shows it. `size` is in bytes."""

    key: str
    etag: str
    size: int
    last_modified: datetime


class ObjectStore:
    """One bucket. `client` is a boto3 S3 client; it is safe to share between threads."""

    def __init__(self, client: BaseClient, bucket: str) -> None:
        self._client: Any = client
        _count_requests(client)
        self.bucket = bucket
        self._left_out: set[str] = set()
        self._listed: dict[str, Sequence[StoredObject]] = {}
        self._read: dict[str, bytes | None] = {}

    def url(self, key: str) -> str:
        """The address by which the data engine reads the key."""
        return f"s3://{self.bucket}/{key}"

    def urls(self, keys: Iterable[str]) -> Sequence[str]:
        """The addresses of some keys."""
        return [self.url(key) for key in keys]

    def download(self, entry: StoredObject, path: Path) -> None:
        """Copy an object of any size to a file, in the version that a listing showed.

        Raises `SourceChanged` if it has been replaced or deleted in the meantime.
        """
        from botocore.exceptions import ClientError

        changed = SourceChanged(
            "a lake object was replaced or deleted while it was read",
            where=self.url(entry.key),
            why="whoever delivers it writes to the same key twice",
            next_step="the task retries by itself, with what is there then; have each delivery written once",
        )
        with failures_explained(self.bucket, entry.key):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=entry.key, IfMatch=entry.etag)
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING | REPLACED:
                    raise changed from None
                raise
            with closing(answer["Body"]) as body, path.open("wb") as file:
                while content := body.read(BYTES_AT_ONCE):
                    file.write(content)
                received = file.tell()
        # Not every server obeys IfMatch, and not every server keeps an object while it is read.
        if (answer["ETag"].strip('"'), received) != (entry.etag, entry.size):
            raise changed

    def fetch(self, key: str, path: Path) -> None:
        """Copy an object of ours to a file. Objects of ours are written once, so it has one version.

        Raises `SourceMissing` if it is not there any more.
        """
        from botocore.exceptions import ClientError

        with failures_explained(self.bucket, key):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    raise SourceMissing(
                        "an object is not there any more",
                        where=self.url(key),
                        next_step="find out who deletes objects of ours; then clear the tasks that made it",
                    ) from None
                raise
            with closing(answer["Body"]) as body, path.open("wb") as file:
                shutil.copyfileobj(body, file, BYTES_AT_ONCE)

    def upload(self, path: Path, key: str) -> None:
        """Copy a file of any size to an object. The object appears whole or not at all."""
        from boto3.exceptions import S3UploadFailedError

        with failures_explained(self.bucket, key):
            try:
                # The client uploads a large file in parts, in threads of its own.
                self._client.upload_file(str(path), self.bucket, key)
            except S3UploadFailedError as error:
                # The context is the client's own error, which says whether trying again helps.
                raise error.__context__ or error from None

    def move(self, key: str, to: str) -> None:
        """Give an object another key. Nothing happens if it is not there."""
        from botocore.exceptions import ClientError

        self.leave_out(key)
        with failures_explained(self.bucket, key):
            try:
                # The client copies a large object in parts.
                self._client.copy({"Bucket": self.bucket, "Key": key}, self.bucket, to)
            except ClientError as error:
                if error.response["Error"]["Code"] not in MISSING:
                    raise
            else:
                self._client.delete_object(Bucket=self.bucket, Key=key)

    def leave_out(self, key: str) -> None:
        """Show a key in no listing any more. A server that caches its listings may show it for a while."""
        self._left_out.add(key)

    def delete_all(self, keys: Iterable[str]) -> None:
        """Delete objects. A key without an object is no error."""
        wanted = list(keys)
        for start in range(0, len(wanted), KEYS_A_DELETION):
            part = wanted[start : start + KEYS_A_DELETION]
            with failures_explained(self.bucket, part[0]):
                answer = self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in part], "Quiet": True}
                )
            if errors := answer.get("Errors"):
                raise AccessRefused(
                    f"S3 refused to delete {len(errors)} objects ({errors[0]['Code']})",
                    where=self.url(errors[0]["Key"]),
                    next_step="grant the key of the connection crmbet_lake s3:DeleteObject below crmbet/",
                )

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object below a prefix, in the order of the keys, from all pages of the listing.

        Raises `SourceMissing` if the bucket does not exist.
        """
        found = self._listed.pop(prefix, None)
        for entry in self._pages(prefix) if found is None else found:
            if entry.key not in self._left_out:
                yield entry

    @contextmanager
    def listed_ahead(self, prefixes: Iterable[str]) -> Iterator[Mapping[str, Sequence[StoredObject]]]:
        """List some prefixes, several at a time. In the `with` block the first `list` of each needs no request.

        It takes what was found here, so it must come before the task writes anything below that prefix. Yields the
        listings by prefix.
        """
        wanted = list(dict.fromkeys(prefixes))
        listings = self.in_parallel(lambda prefix: [*self.list(prefix)], wanted)
        listed: dict[str, Sequence[StoredObject]] = dict(zip(wanted, listings, strict=True))
        self._listed = {**listed}
        try:
            yield listed
        finally:
            self._listed = {}

    @contextmanager
    def held(self, contents: Mapping[str, bytes | None]) -> Iterator[None]:
        """In the `with` block the first `read` of each of these keys needs no request: it takes what is given here."""
        self._read = {**contents}
        try:
            yield
        finally:
            self._read = {}

    def _pages(self, prefix: str) -> Iterator[StoredObject]:
        with failures_explained(self.bucket, prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield StoredObject(
                        key=entry["Key"],
                        etag=entry["ETag"].strip('"'),
                        size=entry["Size"],
                        last_modified=entry["LastModified"],
                    )

    def read(self, key: str) -> bytes | None:
        """The content of a small object; None if there is no such object."""
        from botocore.exceptions import ClientError

        with suppress(KeyError):
            return self._read.pop(key)
        with failures_explained(self.bucket, key):
            try:
                content: bytes = self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    return None
                raise
            return content

    def write(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        """Write a small object in one PUT, so that it appears whole or not at all."""
        with failures_explained(self.bucket, key):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content, ContentType=content_type)

    def read_all(self, keys: Iterable[str]) -> dict[str, bytes | None]:
        """The contents of many small objects by key, several read at a time; None for a key without an object."""
        wanted = list(keys)
        return dict(zip(wanted, self.in_parallel(self.read, wanted), strict=True))

    def write_all(self, contents: dict[str, bytes]) -> None:
        """Write many small objects, several at a time."""
        self.in_parallel(lambda item: self.write(*item), contents.items())

    def in_parallel(self, function: Callable[[Any], Any], arguments: Iterable[Any]) -> Iterable[Any]:
        """The results of a function for each argument, several at a time, in order."""
        return in_parallel(function, arguments, PARALLEL_REQUESTS)

    def at_once(self, *calls: Callable[[], Any]) -> Sequence[Any]:
        """The results of some calls that wait for requests, all made at the same time, in order."""
        return in_parallel(lambda call: call(), calls, len(calls))


def _count_requests(client: BaseClient) -> None:
    """Have the client count each request that it sends, also those of its own threads and those that it repeats."""
    for event, count in (("before-send.s3", _count_sent), ("response-received.s3", _count_received)):
        # Two stores may share a client.
        client.meta.events.register(event, count, unique_id=f"crmbet {event}")


def _count_sent(request: Any, event_name: str, **_: Any) -> None:
    # A body with a checksum at its end has another length than the object.
    size = request.headers.get("X-Amz-Decoded-Content-Length") or request.headers.get("Content-Length") or 0
    metering.count_request(KINDS.get(event_name.rpartition(".")[2], "other"), int(size))


def _count_received(response_dict: Any, **_: Any) -> None:
    if response_dict is None:
        return
    body = response_dict["body"]
    size = len(body) if isinstance(body, bytes) else response_dict["headers"].get("Content-Length", 0)
    metering.count_received(int(size))


@contextmanager
def failures_explained(bucket: str, key: str = "") -> Iterator[None]:
    """Turn the errors of S3's client into ours. Raises `SourceMissing`, `AccessRefused` or `LostConnection`."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    where = f"s3://{bucket}/{key}"
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "NoSuchBucket":
            raise SourceMissing(
                f"the bucket {bucket} does not exist",
                where=where,
                next_step="correct CRMBET_LAKE_BUCKET, or the endpoint of the Airflow connection crmbet_lake",
            ) from None
        if code in REFUSED:
            raise AccessRefused(
                f"S3 refuses our key ({code})",
                where=where,
                next_step="correct login, password and rights of the Airflow connection crmbet_lake",
            ) from None
        # The client's own error is left out of the log: an answer may repeat the request with its signature.
        raise LostConnection(
            f"S3 answered {code}",
            where=where,
            why=error.response["Error"].get("Message", ""),
            next_step="the task retries by itself",
        ) from None
    except NoCredentialsError:
        raise AccessRefused(
            "there is no key for S3",
            where=where,
            next_step="give the connection crmbet_lake a login and password",
        ) from None
    except BotoCoreError as error:
        raise LostConnection(
            "S3 cannot be reached",
            where=where,
            why=f"{type(error).__name__}: {error}",
            next_step="the task retries by itself; if it goes on, test the connection crmbet_lake from the worker",
        ) from None
