"""What no two brands may share, since one would then read or write what is the other's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from crmbet.failures import BadSetting
from crmbet.run.brand import DEFAULT, Brand, refusal, variable_of
from crmbet.run.schedule import RAW_PREFIX, checked_topics, connection_of, target_schema
from crmbet.run.schemas import ROLES, role_of


@dataclass(frozen=True, kw_only=True)
class _Property:
    """Something that no two brands may share, since one would then read or write what is the other's."""

    keys: tuple[str, ...]
    """The settings that say it. A brand whose file names none of them did not choose it."""
    values: Callable[[Brand], Iterator[tuple[str, ...]]]
    shared: str
    """What is wrong if another brand has the same, whose file is put in."""
    clash: Callable[[tuple[str, ...], tuple[str, ...]], bool] = lambda one, other: one == other


def _read_value(brand: Brand, key: str, default: str = "") -> str:
    return brand.environ.get(variable_of(key), "").strip() or default


def _feeds(brand: Brand) -> Iterator[tuple[str, ...]]:
    bucket = _read_value(brand, "lake_bucket") or brand.environ.get("DATA_LAKE_BUCKET", "").strip()
    yield connection_of(brand.environ, "lake"), bucket, _read_value(brand, "raw_prefix", RAW_PREFIX)


def _inside(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    (*lake, prefix), (*other_lake, other_prefix) = one, other
    return lake == other_lake and (prefix.startswith(other_prefix) or other_prefix.startswith(prefix))


def _transactions(brand: Brand) -> Iterator[tuple[str, ...]]:
    yield connection_of(brand.environ, "source"), _read_value(brand, "contracts_directory")


def _topics(brand: Brand) -> Iterator[tuple[str, ...]]:
    server = connection_of(brand.environ, "stream")
    for topic in checked_topics(_read_value(brand, "stream_topics")).values():
        yield server, topic


def _roles(brand: Brand) -> Iterator[tuple[str, ...]]:
    # Schemas of two names may have roles of one name.
    yield (role_of(ROLES[0], target_schema(brand.environ)),)


_OWN = (
    _Property(
        keys=("brand",),
        values=lambda brand: iter([(brand.name,)]),
        shared="its name is that of the brand of {other}, so both would write to one store",
    ),
    _Property(
        keys=("target_schema",),
        values=_roles,
        shared="target_schema is used by {other}, too, or has roles of the same names",
    ),
    _Property(
        keys=("lake_connection", "lake_bucket", "raw_prefix"),
        values=_feeds,
        clash=_inside,
        shared="raw_prefix is that of {other}, or one is inside the other, so it would read feeds that are not its own",
    ),
    _Property(
        keys=("source_connection", "contracts_directory"),
        values=_transactions,
        shared="source_connection is that of {other}, so it would read transactions that are not its own; name another "
        "one, or a contracts_directory whose contract names another table",
    ),
    _Property(
        keys=("stream_connection", "stream_topics"),
        values=_topics,
        shared="stream_topics has a topic of {other}",
    ),
)


def clashes(brands: Mapping[str, Brand]) -> Iterator[tuple[str, BadSetting]]:
    """The brands that have something of another's. The other one stays if its file did not choose to have it."""
    stems = list(brands)
    for own in _OWN:
        values = {stem: list(own.values(brand)) for stem, brand in brands.items()}
        for place, one in enumerate(stems):
            for other in stems[place + 1 :]:
                if any(own.clash(ours, theirs) for ours in values[one] for theirs in values[other]):
                    yield from _refuse_either(own, brands, one, other)


def _refuse_either(
    own: _Property, brands: Mapping[str, Brand], one: str, other: str
) -> Iterator[tuple[str, BadSetting]]:
    pair = (one, other)
    kept = [stem for stem in pair if stem == DEFAULT] or [
        stem for stem in pair if not brands[stem].given & {*own.keys}
    ]
    for stem, counterpart in (pair, pair[::-1]):
        if kept != [stem]:
            why = own.shared.format(other=brands[counterpart].file)
            yield stem, refusal(stem, brands[stem].file, why)
