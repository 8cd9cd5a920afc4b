"""When a captured row happened, and when it was known, as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crmbet.contracts.source import SourceContract
from crmbet.contracts.values import read_value, spelled
from crmbet.databases.statements import Fragment, identifier


@dataclass(frozen=True)
class Instant:
    """An instant of a captured row as SQL, in two steps.

    A parser looks at its text in a dozen places. If a step before it trims the text, the engine plans that once.
    """

    spelled: Fragment
    """The expression of the captured value, without white space around it."""
    value: Fragment
    """The expression of the instant, as naive UTC. It reads the other one's result as `_spelled`."""


def event_instant(contract: SourceContract, types: Mapping[str, str]) -> Instant:
    """The instant at which a captured row happened; NULL for a current-state feed.

    `types` holds the engine types of the captured columns that are not text.
    """
    return _instant(contract, contract.event_time, types)


def known_instant(contract: SourceContract, types: Mapping[str, str]) -> Instant:
    """The instant at which a captured row reached the lake; NULL if the contract has no known_time."""
    return _instant(contract, contract.known_time, types)


def _instant(contract: SourceContract, name: str | None, types: Mapping[str, str]) -> Instant:
    if name is None:
        return Instant(Fragment("NULL"), Fragment("NULL::TIMESTAMP"))
    engine_type = types.get(name, "VARCHAR")
    text = identifier(name)
    if engine_type == "VARCHAR":
        text = Fragment(spelled(contract, name, f"parse_text({text})"))
    return Instant(text, Fragment(read_value(contract, name, engine_type, "_spelled")))
