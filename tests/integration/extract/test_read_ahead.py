"""Done-files of several datasets are read at once, and say then what they say when each dataset is read alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import pytest

from crmbet.datasets.records import DayFiles, Segment
from crmbet.datasets.segments import content_of, folder_of_days
from crmbet.storage.done_files import INDEX_FROM, DoneFiles, read_ahead
from crmbet.storage.layout import Layout, attempt_name
from crmbet.storage.object_store import ObjectStore

pytestmark = pytest.mark.integration

LAYOUT = Layout(brand="default")
DATASETS = ("state", "sessions")


def read(store: ObjectStore, dataset: str) -> DoneFiles[Segment]:
    return DoneFiles.read(store, LAYOUT.dataset(dataset), content_of(LAYOUT, dataset))


def add(store: ObjectStore, dataset: str, number: int) -> str:
    day = DayFiles(
        day=date(2026, 1, 1 + number),
        digest="ab12",
        files=[],
        rows=0,
        made_at=datetime(2026, 2, 1, tzinfo=UTC),
    )
    key = folder_of_days(LAYOUT, dataset, [day]).done_file(attempt_name())
    done_files = DoneFiles(store, LAYOUT.dataset(dataset), content_of(LAYOUT, dataset))
    done_files.write({key: Segment(days=[day])})
    return key


@contextmanager
def no_request(client: Any) -> Iterator[None]:
    def refuse(**_: Any) -> None:
        raise AssertionError("a request")

    client.meta.events.register("before-send.s3", refuse)
    try:
        yield
    finally:
        client.meta.events.unregister("before-send.s3", refuse)


@pytest.fixture
def filled(store: ObjectStore) -> ObjectStore:
    """An index, a done-file that is younger than it, and a dataset without an index."""
    for number in range(INDEX_FROM):
        add(store, "state", number)
    read(store, "state").write_index("first")
    add(store, "state", INDEX_FROM)
    add(store, "sessions", 0)
    return store


def nothing(_store: ObjectStore) -> None:
    """The store is whole."""


def spoil_index(store: ObjectStore) -> None:
    store.write(f"{LAYOUT.dataset('state')}_index/first.json", b"{}x")


def spoil_done_file(store: ObjectStore) -> None:
    store.write(add(store, "sessions", 1), b"nonsense")


@pytest.mark.parametrize("spoil", [nothing, spoil_index, spoil_done_file])
def test_what_is_read_ahead_is_what_each_would_read(
    filled: ObjectStore, client: Any, spoil: Callable[[ObjectStore], None]
) -> None:
    spoil(filled)
    alone = [read(filled, dataset) for dataset in DATASETS]

    with read_ahead(filled, map(LAYOUT.dataset, DATASETS)):
        if spoil is not spoil_done_file:
            with no_request(client):
                ahead = [read(filled, dataset) for dataset in DATASETS]
        else:
            ahead = [read(filled, dataset) for dataset in DATASETS]

    assert [each.records for each in ahead] == [each.records for each in alone]
    assert [each.damaged for each in ahead] == [each.damaged for each in alone]
    assert [len(each.records) for each in ahead] == [INDEX_FROM + 1, 1]


def test_afterwards_each_is_read_again(filled: ObjectStore) -> None:
    with read_ahead(filled, map(LAYOUT.dataset, DATASETS)):
        added = add(filled, "state", INDEX_FROM + 1)
        assert added not in read(filled, "state").records
        assert added in read(filled, "state").records
    assert added in read(filled, "state").records
