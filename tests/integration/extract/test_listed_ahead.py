"""Listings that are taken at once: each serves once, and none outlives its block."""

from __future__ import annotations

import pytest

from crmbet.failures import SourceMissing
from crmbet.storage.object_store import ObjectStore

pytestmark = pytest.mark.integration


def _keys(store: ObjectStore, prefix: str) -> list[str]:
    return [entry.key for entry in store.list(prefix)]


def test_a_listing_ahead_serves_the_first_look_and_no_other(store: ObjectStore) -> None:
    store.write("a/1", b"")
    store.write("b/1", b"")

    with store.listed_ahead(["a/", "b/", "a/", "empty/"]):
        store.write("a/2", b"")
        store.write("b/2", b"")
        store.leave_out("b/1")

        assert _keys(store, "empty/") == []
        assert _keys(store, "a/") == ["a/1"]
        assert _keys(store, "a/") == ["a/1", "a/2"]
        assert _keys(store, "b/") == []

    assert _keys(store, "b/") == ["b/2"]


def test_after_a_failure_nothing_is_left_of_it(store: ObjectStore) -> None:
    def fail() -> None:
        with store.listed_ahead(["a/"]):
            store.write("a/1", b"")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert _keys(store, "a/") == ["a/1"]


def test_a_bucket_that_is_missing_is_told_as_it_is_by_any_listing(store: ObjectStore) -> None:
    gone = ObjectStore(store._client, "no-such-bucket")

    with pytest.raises(SourceMissing, match="no-such-bucket"), gone.listed_ahead(["a/"]):
        pass
