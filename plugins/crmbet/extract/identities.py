"""What lake objects are known by in the ledger, and which of them have been captured.

A capture's digest names the object's content and all that decides how it is read and dated, with the names of its
columns. If a contract has other names since then, the digest is another one. Then a capture still counts if these names
would read the object as it was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from crmbet.contracts.source import PathName, SourceContract, one_name_digests
from crmbet.contracts.strict import content_digest
from crmbet.extract.ledger import Ledger, chunk_digest
from crmbet.extract.names import file_names, names_at, reads_alike
from crmbet.extract.records import Capture
from crmbet.run.run import Run
from crmbet.storage.object_store import StoredObject

SAMPLED_OBJECTS = 20
"""Of an earlier version's captures, so many show which names its contract had."""


@dataclass(frozen=True)
class Identity:
    """What an object of a certain content is known by."""

    digest: str
    """With the names by which its columns are looked for."""
    content: str
    """Whatever these names."""


@dataclass(frozen=True)
class Identities:
    """The identities of one feed's objects in a run."""

    run: Run
    contract: SourceContract

    def look_up(
        self, objects: Iterable[StoredObject], ledger: Ledger
    ) -> tuple[list[Capture], dict[Identity, StoredObject]]:
        """The captures that count for objects, and the other objects, which have to be captured."""
        found = []
        missing = {}
        columns = content_digest(sorted(self.contract.columns))
        for entry in objects:
            identity = Identity(
                self._digest(entry, self.contract.column_digest), self._digest(entry, columns)
            )
            capture = ledger.find(identity.digest) or ledger.find_alike(identity.content, self._is_alike)
            if capture:
                found.append(capture)
            else:
                missing[identity] = entry
        for identity, capture in self._captured_by_one_name(missing, ledger).items():
            del missing[identity]
            found.append(capture)
        return found, missing

    def _is_alike(self, capture: Capture) -> bool:
        return reads_alike(capture, self.contract)

    def _captured_by_one_name(
        self, objects: dict[Identity, StoredObject], ledger: Ledger
    ) -> dict[Identity, Capture]:
        """Captures of an earlier version, whose contracts had one name a column and which did not record it.

        Its names were among those of the present contract, or the objects have to be captured again.
        """
        unrecorded = {chunk for chunk, capture in ledger.newest.items() if not capture.columns_read}
        known = {
            identity: entry
            for identity, entry in objects.items()
            if entry.key in unrecorded and not self._path_counts(entry.key)
        }
        if not known or all(len(names) == 1 for names in self.contract.source_names.values()):
            return {}
        names = file_names(self.contract)
        sample = [*islice(known.values(), SAMPLED_OBJECTS)]
        used = [columns for columns in one_name_digests(names) if self._any_captured(sample, columns, ledger)]
        captured = {
            identity: ledger.find(*(self._digest(entry, columns) for columns in used))
            for identity, entry in known.items()
        }
        return {identity: capture for identity, capture in captured.items() if capture}

    def _path_counts(self, key: str) -> bool:
        """Whether a column has the path's value whatever the object holds. Earlier versions did not read the path."""
        return any(
            isinstance(name, PathName)
            for names in names_at(self.contract, key).values()
            for name in names[:1]
        )

    def _any_captured(self, objects: Sequence[StoredObject], columns: str, ledger: Ledger) -> bool:
        return any(ledger.find(self._digest(entry, columns)) for entry in objects)

    def _digest(self, entry: StoredObject, columns: str) -> str:
        return chunk_digest(
            self.contract.name,
            entry.key,
            entry.etag,
            str(entry.size),
            columns,
            self.contract.placement_digest,
            self.run.settings.operator_timezone,
        )
