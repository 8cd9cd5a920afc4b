"""What a report says about an expectation: what is allowed, and what was found in a breach.

    21.60% of rows have no user_id (allowed: 5%)

The first part is `describe_breach`, the part in brackets `describe_allowed`. Both take the arguments of an expectation
as they were run, with thresholds in place of `$PARAMETER`, and what Great Expectations found. They speak the language
of `say`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from crmbet.contracts.bounds import is_unseen
from crmbet.texts import ENGLISH, Texts

LONGEST_ALLOWED = 200
"""Characters of what is allowed that a report shows. A list of all columns is in the suite."""
NAMED_EXAMPLES = 3
"""Rows in breach that a sentence names. The report lists more."""
SUBJECTS = frozenset({"column", "columns", "condition", "among", "unit", "threshold", "batch_id"})
"""Arguments that say what is judged, not what is allowed."""


def describe_allowed(
    kwargs: Mapping[str, Any], result: Mapping[str, Any] | None = None, say: Texts = ENGLISH
) -> str | None:
    """What an expectation allows, such as '5%' or 'at least 10'. None if it has no limit of its own.

    A limit that chance has widened is the one that was applied, with the reason.
    """
    limits = {name: value for name, value in kwargs.items() if name not in SUBJECTS and value is not None}
    shares = [] if allowed_share(kwargs) is None else [_share_in_words(kwargs, result or {}, say)]
    ranges = [_range(limits, kwargs.get("column"), say)] if {"min_value", "max_value"} & limits.keys() else []
    known = {"mostly", "tolerance", "min_value", "max_value", "strict_min", "strict_max"}
    others = [_other(name, value, say) for name, value in limits.items() if name not in known]
    text = ", ".join([*ranges, *others, *shares])
    return (text if len(text) <= LONGEST_ALLOWED else text[:LONGEST_ALLOWED] + "...") or None


def describe_breach(
    type_: str,
    kwargs: Mapping[str, Any],
    result: Mapping[str, Any],
    *,
    rows: str,
    breach: str,
    counts: bool,
    key: Sequence[str] = (),
    say: Texts = ENGLISH,
) -> str:
    """What was found, as a sentence without its full stop.

    `type_` and `kwargs` are the expectation's; `result` is what Great Expectations found. `rows` is what the suite
    calls its rows, in the plural. `breach` is the suite's text about rows in breach, '' if it has none. `counts` says
    that the table is small, so that rows are counted rather than given as a share, and the first ones in breach are
    named by their `key`, with the value that was judged.
    """
    observed = result.get("observed_value")
    column = kwargs.get("column", say("the column"))
    if type_ == "expect_table_columns_to_match_ordered_list":
        return _describe_columns(result, say)
    if "unexpected_count" in result:
        about = say(f"the {rows} concerned" if "among" in kwargs else rows)
        found = breach or _default_breach(type_, kwargs, say)
        if not counts:
            of = say(f"of the {rows} concerned" if "among" in kwargs else f"of {rows}")
            return f"{_share_found(result, say)} {of} {found}"
        return f"{_count_found(result, say)} {about} {found}{_examples(kwargs, result, key, say)}"
    if type_.startswith("expect_table_row_count_"):
        return say("there are {count} {rows}", count=figure(observed, say), rows=say(rows))
    if type_ == "expect_column_type_to_be":
        return say("{column} is of type {type}", column=column, type=observed)
    if type_ == "expect_column_max_to_be_between":
        return say(
            "the newest {column} is {value}"
            if isinstance(observed, date)
            else "the largest {column} is {value}",
            column=column,
            value=in_words(observed, say),
        )
    return say("found {value}", value=in_words(observed, say))


def allowed_share(kwargs: Mapping[str, Any]) -> float | None:
    """The share of rows that may be in breach, before any margin. A suite gives it, or the share that must not be.

    None if the expectation is not about a share of rows.
    """
    if kwargs.get("tolerance") is not None:
        return float(kwargs["tolerance"])
    if kwargs.get("mostly") not in (None, 1):
        return round(1 - float(kwargs["mostly"]), 9)
    return None


def judged_rows(result: Mapping[str, Any]) -> int:
    """How many rows an expectation judged: those that are not missing."""
    return int(result.get("element_count") or 0) - int(result.get("missing_count") or 0)


def percent(share: float, say: Texts = ENGLISH) -> str:
    """A share for a reader. It is never rounded to nothing."""
    return say.figure(f"{share:.2%}" if share == 0 or share >= 0.0001 else "< 0.01%")


def figure(value: str | int | float | None, say: Texts = ENGLISH) -> str:
    """A figure for a reader: integers with separators of thousands, reals with six significant digits."""
    if isinstance(value, float):
        return say.figure(f"{value:.6g}")
    if isinstance(value, int):
        return say.figure(f"{value:,}")
    return "-" if value is None else value


def in_words(value: Any, say: Texts = ENGLISH) -> str:
    """Any argument or finding for a reader. An instant is in UTC; one without a zone is taken as UTC."""
    if isinstance(value, datetime):
        instant = value.astimezone(UTC) if value.tzinfo else value
        precision = "seconds" if instant.second or instant.microsecond else "minutes"
        return f"{instant.replace(tzinfo=None).isoformat(' ', precision)} UTC"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return figure(float(value), say)
    if isinstance(value, list | tuple):
        return ", ".join(in_words(each, say) for each in value)
    return figure(value, say) if isinstance(value, str | int | float | None) else str(value)


def visible(text: str) -> str:
    """A text for a reader, with letters that nobody sees by their numbers: `u1<U+200B>`."""
    return "".join(
        f"<U+{ord(letter):04X}>"
        if is_unseen(letter) or (letter.isspace() and letter != " ") or "\ud800" <= letter <= "\udfff"
        else letter
        for letter in text
    )


def _share_in_words(kwargs: Mapping[str, Any], result: Mapping[str, Any], say: Texts) -> str:
    share = allowed_share(kwargs) or 0.0
    text = _round_percent(share, say) if share else say("none")
    if kwargs.get("unit") is None:
        return text
    applied = result.get("allowed_share")
    if applied is None:
        return say("{share}, plus chance", share=text)
    if applied <= share:
        return text
    return say(
        "{applied}: {share} and a margin for chance, since {count} players count"
        if kwargs["unit"] == "user_id"
        else "{applied}: {share} and a margin for chance, since {count} values of {unit} count",
        applied=percent(applied, say),
        share=text,
        count=say.figure(f"{result['units']:,.0f}"),
        unit=kwargs["unit"],
    )


def _range(limits: Mapping[str, Any], column: str | None, say: Texts) -> str:
    low, high = limits.get("min_value"), limits.get("max_value")
    if low is not None and low == high:
        return say("exactly {value}", value=_limit_of(column, low, say))
    ends = []
    if low is not None:
        value, is_strict = _limit_of(column, low, say), limits.get("strict_min")
        if isinstance(low, date):
            ends.append(say("after {value}" if is_strict else "from {value}", value=value))
        else:
            ends.append(say("above {value}" if is_strict else "at least {value}", value=value))
    if high is not None:
        value, is_strict = _limit_of(column, high, say), limits.get("strict_max")
        if isinstance(high, date):
            ends.append(say("before {value}" if is_strict else "until {value}", value=value))
        else:
            ends.append(say("below {value}" if is_strict else "at most {value}", value=value))
    return say(" and ").join(ends)


def _other(name: str, value: Any, say: Texts) -> str:
    """A limit that is no range and no share."""
    if name == "value":
        return say("exactly {value}", value=in_words(value, say))
    if name == "type_":
        return str(value)
    if name == "column_list":
        return say("{count} columns: {names}", count=len(value), names=in_words(value, say))
    return f"{name} {in_words(value, say)}"


def _share_found(result: Mapping[str, Any], say: Texts) -> str:
    breaking, judged = int(result["unexpected_count"]), judged_rows(result)
    return percent(breaking / judged if judged else 0.0, say)


def _count_found(result: Mapping[str, Any], say: Texts) -> str:
    breaking, judged = (figure(rows, say) for rows in (int(result["unexpected_count"]), judged_rows(result)))
    return say("{some} of {all}", some=breaking, all=judged)


def _examples(kwargs: Mapping[str, Any], result: Mapping[str, Any], key: Sequence[str], say: Texts) -> str:
    """The first figures in breach: ': bets 66.67%'. Empty if the expectation is not about one figure of a row."""
    column, found = kwargs.get("column"), result.get("partial_unexpected_index_list") or ()
    named = [
        " ".join([*(in_words(row[name], say) for name in key), _value_of(column, row[column], say)])
        for row in found[:NAMED_EXAMPLES]
        if column in row and row[column] is not None
    ]
    others = int(result["unexpected_count"]) - len(named)
    more = say(", and {others} more", others=figure(others, say)) if others else ""
    return f": {', '.join(named)}{more}" if named else ""


def _value_of(column: str | None, value: Any, say: Texts) -> str:
    """A value of a column in words. Columns that are shares are named so."""
    if (column or "").endswith("_share") and isinstance(value, int | float):
        return percent(value, say)
    return in_words(value, say)


def _limit_of(column: str | None, value: Any, say: Texts) -> str:
    """A limit of a column in words."""
    if (column or "").endswith("_share") and isinstance(value, int | float):
        return _round_percent(value, say)
    return in_words(value, say)


def _round_percent(share: float, say: Texts) -> str:
    """A share that somebody chose, such as 5%."""
    # 1 - 0.95 is 0.050000000000000044.
    return say.figure(f"{round(100 * share, 7):g}%")


def _default_breach(type_: str, kwargs: Mapping[str, Any], say: Texts) -> str:
    """What rows in breach are like, for an expectation whose suite does not say."""
    match type_:
        case "expect_column_values_to_not_be_null":
            return say("have no {column}", column=kwargs["column"])
        case "expect_column_copies_to_be_within":
            return say("repeat the {column} of another row", column=kwargs["column"])
        case "expect_compound_copies_to_be_within":
            return say("repeat the {column} of another row", column=_and(kwargs["columns"], say))
        case "expect_column_values_to_be_between":
            return say("have a value of {column} outside what is allowed", column=kwargs["column"])
        case _:
            return say("are not as expected")


def _describe_columns(result: Mapping[str, Any], say: Texts) -> str:
    differing = [
        say(
            "position {position} has {found} instead of {expected}",
            position=each["Expected Column Position"],
            found=each["Found"] or say("nothing"),
            expected=each["Expected"] or say("nothing"),
        )
        for each in (result.get("details") or {}).get("mismatched", ())
    ]
    if not differing:
        return say("the columns differ")
    more = say(", and {others} more differ", others=len(differing) - 1) if len(differing) > 1 else ""
    return f"{differing[0]}{more}"


def _and(names: Sequence[str], say: Texts) -> str:
    return say(" and ").join([", ".join(names[:-1]), names[-1]])
