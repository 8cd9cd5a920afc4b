"""The brands of a deployment: `config/brands/<brand>.yaml` names the settings of a brand that differ.

A file is laid over the environment: each of its keys stands for the variable `CRMBET_<KEY>`. So all code reads the
settings of a brand as it reads those of a deployment, from variables (docs/adr/0038-a-brand-is-a-file.md). The DAGs of
a brand have its name in theirs, `user_features_daily__aurora`, from which every task and callback knows it.

Without a file there is one brand, that of the environment. `default.yaml` keeps that one beside others, with its DAGs
as they were.

A DAG file reads all of this every few seconds. So nothing heavy is imported here, and what only a run needs is checked
by the run (`crmbet.run.settings`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from crmbet.failures import BadSetting
from crmbet.run.brand import DEFAULT, SEPARATOR, Brand, refusal, variable_of
from crmbet.run.brand_clashes import clashes
from crmbet.run.brand_settings import SETTINGS_OF_A_BRAND
from crmbet.run.schedule import (
    CONNECTIONS,
    MINUTES,
    SHARDS_VARIABLE,
    checked_daily_schedule,
    checked_language,
    checked_minutes,
    checked_questions,
    checked_topics,
    checked_weekly_schedule,
    checked_zone,
    connection_of,
    shards,
)
from crmbet.run.schemas import DEFAULT_SCHEMA, checked_schema

PROJECT = Path(__file__).parents[3]
FOLDER = PROJECT / "config" / "brands"
FOLDER_VARIABLE = variable_of("brands_directory")
NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")
"""A brand's name is part of names of DAGs, schemas, roles and folders."""

_CHECKS: Mapping[str, Callable[[str], object]] = {
    "target_schema": checked_schema,
    "operator_timezone": checked_zone,
    "language": checked_language,
    "daily_schedule": checked_daily_schedule,
    "weekly_schedule": checked_weekly_schedule,
    "stream_topics": checked_topics,
    "ask_on": checked_questions,
    "shards": lambda given: shards({SHARDS_VARIABLE: given}),
    **dict.fromkeys(MINUTES, checked_minutes),
}
"""What a DAG file needs of a brand. A bad value of another setting fails the first task."""


@dataclass(frozen=True, kw_only=True)
class Brands:
    """What the folder holds."""

    brands: tuple[Brand, ...]
    """Those that make sense, in the order of their names; that of the environment is first."""
    refused: Mapping[str, BadSetting]
    """The reason for each of the others, by its file's name without an ending."""


def read_brands(environ: Mapping[str, str]) -> Brands:
    """Read all brands. One that makes no sense is refused, and the others stay.

    Raises `BadSetting` if the folder that the environment names does not exist.
    """
    folder = _folder(environ)
    files = [path for path in folder.iterdir() if path.suffix in (".yaml", ".yml")] if folder else []
    files.sort(key=lambda path: (path.stem != DEFAULT, path.name))
    if not files:
        only = Brand(suffix="", environ=environ, file="", given=frozenset())
        return Brands(brands=(only,), refused={})
    brands: dict[str, Brand] = {}
    refused: dict[str, BadSetting] = {}
    for path in files:
        try:
            if path.stem in brands or path.stem in refused:
                raise refusal(
                    path.stem, _shown(path), "there is another file of this name, so its DAGs would be two"
                )
            brands[path.stem] = _read_brand(path, environ)
        except BadSetting as reason:
            refused[path.stem] = reason
            brands.pop(path.stem, None)
    refused |= dict(clashes(brands))
    good = tuple(brand for stem, brand in brands.items() if stem not in refused)
    return Brands(brands=good, refused=refused)


def brand_of(dag_id: str, environ: Mapping[str, str]) -> Brand:
    """The brand that a DAG belongs to.

    Raises `BadSetting` if there is none, or if its file is refused: a run must not go on with the settings of another.
    """
    _, separator, name = dag_id.partition(SEPARATOR)
    return _find(name if separator else DEFAULT, environ)


def find_brand(name: str | None, environ: Mapping[str, str]) -> Brand:
    """A brand by its name; None stands for that of the environment. Raises `BadSetting` as `brand_of` does."""
    own = environ.get("CRMBET_BRAND", "").strip()
    return _find(DEFAULT if name is None or name == own else name, environ)


def brand_name(dag_id: str, environ: Mapping[str, str]) -> str:
    """The name of the brand that a DAG belongs to, whether or not its file makes sense."""
    _, separator, name = dag_id.partition(SEPARATOR)
    return name if separator else environ.get("CRMBET_BRAND", "").strip() or DEFAULT


def _find(stem: str, environ: Mapping[str, str]) -> Brand:
    found = read_brands(environ)
    if stem in found.refused:
        raise found.refused[stem]
    suffix = "" if stem == DEFAULT else f"{SEPARATOR}{stem}"
    for brand in found.brands:
        if brand.suffix == suffix:
            return brand
    known = ", ".join(brand.suffix.removeprefix(SEPARATOR) or DEFAULT for brand in found.brands)
    raise BadSetting(
        f"there is no brand {stem}",
        where=str(_folder(environ) or _shown(FOLDER)),
        why=f"the brands are {known or 'none'}",
        next_step=f"put {stem}.yaml back if it was removed by mistake, or name another brand",
    )


def _folder(environ: Mapping[str, str]) -> Path | None:
    given = environ.get(FOLDER_VARIABLE, "").strip()
    if not given:
        return FOLDER if FOLDER.is_dir() else None
    folder = PROJECT / given
    if not folder.is_dir():
        raise BadSetting(
            f"{FOLDER_VARIABLE} names no folder",
            where=given,
            next_step="make the folder, or take the variable away: then config/brands is read, if it is there",
        )
    return folder


def _read_brand(path: Path, environ: Mapping[str, str]) -> Brand:
    stem, file = path.stem, _shown(path)
    if not NAME.fullmatch(stem):
        raise refusal(
            stem,
            file,
            "its file's name has to be lower-case letters, digits and '_', at most 30, a letter first",
        )
    try:
        found = path.stat()
        given = dict(_read(path, found.st_mtime_ns, found.st_size))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise refusal(stem, file, f"the file cannot be read: {' '.join(str(error).split())}") from None
    except TypeError:
        raise refusal(stem, file, "the file has to hold names and values") from None
    for key, value in given.items():
        if key not in SETTINGS_OF_A_BRAND:
            raise refusal(stem, file, f"unknown key {key}")
        if not isinstance(value, str | int | float) or not str(value).strip():
            raise refusal(stem, file, f"{key} has to have one value, a text or a number")
        try:
            _CHECKS.get(key, str)(str(value))
        except (ValueError, BadSetting) as error:
            raise refusal(stem, file, f"{key} has a bad value: {error}") from None
    own = {variable_of(key): str(value) for key, value in given.items()}
    is_default = stem == DEFAULT
    return Brand(
        suffix="" if is_default else f"{SEPARATOR}{stem}",
        environ={**environ, **({} if is_default else _identity(stem, {**environ, **own})), **own},
        file=file,
        given=frozenset(given),
    )


@lru_cache(maxsize=256)
def _read(path: Path, changed_at: int, size: int) -> tuple[tuple[str, Any], ...]:  # noqa: ARG001 - they are the cache's
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    if content is None:
        return ()
    if not isinstance(content, dict):
        raise TypeError
    return tuple((str(key), value) for key, value in content.items())


def _identity(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What a brand never takes over from the environment, because it would be another brand's."""
    return {
        "CRMBET_BRAND": name,
        "CRMBET_TARGET_SCHEMA": f"{DEFAULT_SCHEMA}_{name}",
        "CRMBET_STREAM_TOPICS": "",
        # The login of the environment's page may read the tables of the environment's brand alone.
        "CRMBET_MONITORING_CONNECTION": connection_of(environ, "target"),
        # Whoever may have players of one brand erased may not have those of another.
        "CRMBET_PRIVACY_CONNECTION": f"{CONNECTIONS['privacy']}_{name}",
        "CRMBET_PRIVACY_OFFICERS": "",
    }


def _shown(path: Path) -> str:
    """A path as a person knows it: from the folder of the project, or whole."""
    return os.path.relpath(path, PROJECT) if path.is_relative_to(PROJECT) else str(path)
