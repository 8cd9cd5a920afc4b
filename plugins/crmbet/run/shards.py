"""One of several parts of a step, which tasks make side by side on as many machines. Pure.

A part makes some of what the step will look for, and the step makes what is missing. So which part makes what decides
about speed alone, and never about the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from crmbet.storage.digests import digest


@dataclass(frozen=True)
class Shard:
    """The part with a number from 1 to `of`."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read what `str` writes, such as "3 of 8"."""
        number, of = text.split(" of ")
        return cls(int(number), int(of))

    @classmethod
    def all_of(cls, count: int) -> list[Shard]:
        """All parts of a step."""
        return [cls(number, count) for number in range(1, count + 1)]

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"

    def has(self, name: str) -> bool:
        """Whether the part has the thing of this name. Every part agrees on it, whatever else there is."""
        return int(digest(name), 16) % self.of == self.number - 1

    def days(self, rows: Mapping[date, int]) -> list[date]:
        """The part's range of days; `rows` has the rows that each day is made from. Parts are about equally large."""
        # A day without rows costs something, too.
        weights = {day: rows[day] + 1 for day in sorted(rows)}
        total = sum(weights.values())
        before = 0
        chosen = []
        for day, weight in weights.items():
            # The middle of the day's rows says which part it belongs to.
            if (2 * before + weight) * self.of // (2 * total) == self.number - 1:
                chosen.append(day)
            before += weight
        return chosen
