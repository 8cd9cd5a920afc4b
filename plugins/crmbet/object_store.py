"""S3 as the core sees it: list, read, write once. Bulk data goes through the engine; this carries small objects.

Every failure of the client is turned into one of ours, so that the retry policy can tell a wrong key (permanent) from
a server that went away (temporary).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from crmbet.failures import AccessRefused, LostConnection, SourceMissing

if TYPE_CHECKING:
    from botocore.client import BaseClient

PARALLEL_REQUESTS = 16
"""Requests under way at once: small objects cost a round trip each, whatever their size."""

REFUSED = frozenset({"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


@dataclass(frozen=True, kw_only=True, order=True)
class StoredObject:
    """One object as a listing shows it."""

    key: str
    etag: str
    size: int
    last_modified: datetime


class ObjectStore:
    """One bucket. `client` is a boto3 S3 client; it is safe to share between threads."""

    def __init__(self, client: BaseClient, bucket: str) -> None:
        self._client: Any = client
        self.bucket = bucket

    def url(self, key: str) -> str:
        """The address that the engine reads."""
        return f"s3://{self.bucket}/{key}"

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """The content of an object of any size, to be read from start to end."""
        with self._failures_explained(key):
            body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
            with closing(body):
                yield body

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object below a prefix, in key order, however many pages that takes.

        Raises `SourceMissing` if the bucket does not exist.
        """
        with self._failures_explained(prefix):
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
        """The content of a small object, None if there is none."""
        from botocore.exceptions import ClientError

        with self._failures_explained(key):
            try:
                content: bytes = self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    return None
                raise
            return content

    def write(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        """Write a small object in one PUT: it appears whole or not at all."""
        with self._failures_explained(key):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content, ContentType=content_type)

    def read_all(self, keys: Iterable[str]) -> dict[str, bytes | None]:
        """The contents of many small objects, read side by side."""
        wanted = list(keys)
        return dict(zip(wanted, self._side_by_side(self.read, wanted), strict=True))

    def write_all(self, contents: dict[str, bytes]) -> None:
        """Write many small objects side by side."""
        self._side_by_side(lambda item: self.write(*item), list(contents.items()))

    def _side_by_side(self, function: Callable[[Any], Any], arguments: Iterable[Any]) -> Iterable[Any]:
        with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
            return list(pool.map(function, arguments))

    @contextmanager
    def _failures_explained(self, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        where = f"s3://{self.bucket}/{key}"
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "NoSuchBucket":
                raise SourceMissing(
                    f"the bucket {self.bucket} does not exist",
                    where=where,
                    next_step="correct CRMBET_LAKE_BUCKET, or the endpoint of the Airflow connection crmbet_lake",
                ) from None
            if code in REFUSED:
                raise AccessRefused(
                    f"S3 refuses our key ({code})",
                    where=where,
                    next_step="correct login, password and rights of the Airflow connection crmbet_lake",
                ) from None
            raise LostConnection(
                f"S3 answered {code}", where=where, next_step="the task retries by itself"
            ) from error
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
                why=type(error).__name__,
                next_step="the task retries by itself; if it goes on, test the connection crmbet_lake from the worker",
            ) from error
