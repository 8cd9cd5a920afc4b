"""The settings that a DAG file or a callback needs: zone, language, schedules, time limits, topics, and the target.

They live apart from `crmbet.run.settings` because a DAG file is parsed every few seconds, and importing the model of
all settings takes longer than the whole rest of the parse. `Settings` takes their defaults and bounds from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crmbet.failures import BadSetting
from crmbet.run.schemas import DEFAULT_SCHEMA, checked_schema
from crmbet.run.shards import Shard
from crmbet.texts import DEFAULT_LANGUAGE, LANGUAGES, Language, Texts, texts_in

VARIABLE = "CRMBET_OPERATOR_TIMEZONE"
DEFAULT_TIMEZONE = "America/Sao_Paulo"

MINUTES = {
    "extract_timeout_minutes": 120,
    "clean_timeout_minutes": 120,
    "features_timeout_minutes": 120,
    "validate_timeout_minutes": 120,
    "backup_timeout_minutes": 120,
    "load_timeout_minutes": 120,
    "approval_timeout_minutes": 240,
    "audiences_timeout_minutes": 60,
    "record_timeout_minutes": 10,
    "weekly_timeout_minutes": 360,
    "restore_timeout_minutes": 120,
    "erasure_timeout_minutes": 360,
    "stream_timeout_minutes": 120,
    "deadline_minutes": 360,
}
"""How long each operation may take by default, by the name of its setting."""
LONGEST_MINUTES = 7 * 24 * 60

SHARDS_VARIABLE = "CRMBET_SHARDS"
MOST_SHARDS = 64
DAILY, WEEKLY = "@daily", "0 5 * * 0"
"""When the daily and the weekly DAG start by default, in the operator's zone."""
TIME_OF_DAY = r"[0-5]?\d ([01]?\d|2[0-3])"
RAW_PREFIX = "raw/"
"""Folder of the feeds in the bucket, by default."""
CONNECTIONS = {
    "lake": "crmbet_lake",
    "source": "crmbet_source",
    "target": "crmbet_target",
    "stream": "crmbet_stream",
    "monitoring": "crmbet_monitoring",
    "privacy": "crmbet_privacy",
}
"""The id of each Airflow connection by default. The setting of another id is `<name>_connection`."""

SCHEMA_VARIABLE = "CRMBET_TARGET_SCHEMA"
QUESTIONS_VARIABLE = "CRMBET_ASK_ON"
APPROVERS_VARIABLE = "CRMBET_APPROVERS"
QUESTIONS = ("replace", "loss", "CRITICAL", "HIGH", "MEDIUM", "LOW")
"""What a person can be asked about: a load by replace, one that loses more than allowed, a failed check by severity."""
AUDIENCES_VARIABLE = "CRMBET_AUDIENCES_FOLDER"
TOPICS_VARIABLE = "CRMBET_STREAM_TOPICS"
STREAMED = ("bets", "transactions", "limits", "sessions", "communications")
"""The sources that the stream can read."""
TOPIC = re.compile(r"(?P<source>[a-z_]+)=(?P<topic>[A-Za-z0-9._-]{1,249})")


def operator_timezone(environ: Mapping[str, str]) -> str:
    """Read the operator's zone. The daily DAG starts at its midnights.

    Raises `BadSetting` for an unknown zone; Airflow shows it as an import error of the DAG.
    """
    zone = environ.get(VARIABLE, "").strip() or DEFAULT_TIMEZONE
    with _explained(VARIABLE):
        return checked_zone(zone)


def operator_texts(environ: Mapping[str, str]) -> Texts:
    """The texts of the language that is set, in which the form of a DAG speaks.

    Raises `BadSetting` for an unknown language; Airflow shows it as an import error of the DAG.
    """
    given = environ.get("CRMBET_LANGUAGE", "").strip() or DEFAULT_LANGUAGE
    with _explained("CRMBET_LANGUAGE"):
        return texts_in(checked_language(given))


def target_schema(environ: Mapping[str, str]) -> str:
    """The schema of the target. A run whose other settings are bad is recorded there, too.

    Raises `BadSetting` for a name that cannot be ours.
    """
    with _explained(SCHEMA_VARIABLE, "the environment of the Airflow worker"):
        return checked_schema(environ.get(SCHEMA_VARIABLE, "").strip() or DEFAULT_SCHEMA)


def time_limit(environ: Mapping[str, str], setting: str) -> timedelta:
    """How long an operation may take; `setting` is a name of `MINUTES`.

    Raises `BadSetting` for anything but a whole number of minutes within a week; Airflow shows it as an import error of
    the DAG.
    """
    variable = f"CRMBET_{setting.upper()}"
    given = environ.get(variable, "").strip()
    with _explained(variable):
        return timedelta(minutes=checked_minutes(given) if given else MINUTES[setting])


def daily_schedule(environ: Mapping[str, str]) -> str:
    """When the daily DAG starts, as cron has it. Raises `BadSetting`, which Airflow shows as an import error."""
    with _explained("CRMBET_DAILY_SCHEDULE"):
        return checked_daily_schedule(environ.get("CRMBET_DAILY_SCHEDULE", "").strip() or DAILY)


def weekly_schedule(environ: Mapping[str, str]) -> str:
    """When the weekly DAG starts, as cron has it. Raises `BadSetting`, which Airflow shows as an import error."""
    with _explained("CRMBET_WEEKLY_SCHEDULE"):
        return checked_weekly_schedule(environ.get("CRMBET_WEEKLY_SCHEDULE", "").strip() or WEEKLY)


def connection_of(environ: Mapping[str, str], name: str) -> str:
    """The id of an Airflow connection; `name` is one of `CONNECTIONS`."""
    return environ.get(f"CRMBET_{name.upper()}_CONNECTION", "").strip() or CONNECTIONS[name]


def questions(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Read what a person is asked about before a load; nothing if nobody is asked.

    Raises `BadSetting`, which Airflow shows as an import error of the DAG.
    """
    try:
        return checked_questions(environ.get(QUESTIONS_VARIABLE, ""))
    except ValueError as error:
        raise BadSetting(
            f"{QUESTIONS_VARIABLE} has a bad value: {error}",
            where="the environment of the DAG processor",
            next_step="correct the variable",
        ) from None


def approvers(environ: Mapping[str, str]) -> list[str]:
    """The ids of the users who may answer; empty if everybody may who may answer a required action of the DAG."""
    return environ.get(APPROVERS_VARIABLE, "").split()


def checked_questions(given: str) -> tuple[str, ...]:
    """Words of `QUESTIONS`, from a text with blanks between them. Raises `ValueError`."""
    words = given.replace(",", " ").split()
    if not {*words} <= {*QUESTIONS}:
        raise ValueError(f"use words among {', '.join(QUESTIONS)}, with blanks between them")
    return tuple(word for word in QUESTIONS if word in words)


def has_audiences(environ: Mapping[str, str]) -> bool:
    """Whether a folder of audiences is set, so that a run hands them over. The task that does it reads the folder."""
    return bool(environ.get(AUDIENCES_VARIABLE, "").strip())


def shards(environ: Mapping[str, str]) -> int:
    """Into how many parts the heavy steps of a run are cut; 1 if they are not cut.

    Raises `BadSetting` for anything but a number from 1 to `MOST_SHARDS`.
    """
    given = environ.get(SHARDS_VARIABLE, "").strip() or "1"
    count = int(given) if given.isdecimal() else 0
    if not 1 <= count <= MOST_SHARDS:
        raise BadSetting(
            f"{SHARDS_VARIABLE} has a bad value: use a whole number from 1 to {MOST_SHARDS}",
            where="the environment of the DAG processor",
            next_step="correct the variable",
        )
    return count


def parts_of(environ: Mapping[str, str]) -> list[str]:
    """The parts of a heavy step, each as `Shard.parse` reads it."""
    return [str(shard) for shard in Shard.all_of(shards(environ))]


def stream_topics(environ: Mapping[str, str]) -> dict[str, str]:
    """Read which sources are streamed, each with its topic; none if the stream is not configured.

    Raises `BadSetting`, which Airflow shows as an import error of the DAG.
    """
    with _explained(TOPICS_VARIABLE):
        return checked_topics(environ.get(TOPICS_VARIABLE, ""))


@contextmanager
def _explained(variable: str, where: str = "the environment of the DAG processor") -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise BadSetting(
            f"{variable} has a bad value: {error}", where=where, next_step="correct the variable"
        ) from None


def checked_language(given: str) -> Language:
    """Return a language's name as it is. Raises `ValueError` for one that we do not speak."""
    for language in LANGUAGES:
        if language == given:
            return language
    raise ValueError(f"use one of {', '.join(LANGUAGES)}")


def checked_minutes(given: str) -> int:
    """A number of minutes. Raises `ValueError` for anything but a whole number within a week."""
    minutes = int(given) if given.isdecimal() else 0
    if not 1 <= minutes <= LONGEST_MINUTES:
        raise ValueError(f"use a whole number of minutes from 1 to {LONGEST_MINUTES}")
    return minutes


def checked_daily_schedule(given: str) -> str:
    """Return a schedule of once a day as it is. Raises `ValueError` for any other: a run is about a whole day."""
    if given != DAILY and not re.fullmatch(rf"{TIME_OF_DAY} \* \* \*", given):
        raise ValueError("use @daily, or a minute and an hour such as `30 4 * * *`")
    return given


def checked_weekly_schedule(given: str) -> str:
    """Return a schedule of once a week as it is. Raises `ValueError` for any other."""
    if not re.fullmatch(rf"{TIME_OF_DAY} \* \* [0-6]", given):
        raise ValueError("use a minute, an hour and a day of the week such as `0 5 * * 0`")
    return given


def checked_topics(given: str) -> dict[str, str]:
    """Topics by source, from words such as `bets=casino.bets`. Raises `ValueError`."""
    topics: dict[str, str] = {}
    for word in given.replace(",", " ").split():
        found = TOPIC.fullmatch(word)
        if not found or found["source"] not in STREAMED or found["source"] in topics:
            raise ValueError(
                f"use source=topic for each source once, with blanks between them; sources: {', '.join(STREAMED)}"
            )
        topics[found["source"]] = found["topic"]
    if len({*topics.values()}) < len(topics):
        raise ValueError("each source needs a topic of its own")
    return topics


def checked_zone(zone: str) -> str:
    """Return the zone's name as it is. Raises `ValueError`, which does not repeat it, if there is no such zone."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("not an IANA time zone such as America/Sao_Paulo") from error
    return zone
