"""What a report says about an expectation: what is allowed, and what was found in a breach.

    21.60% of rows have no user_id (allowed: 5%)

The first part is `describe_breach`, the part in brackets `describe_allowed`. Both take the arguments of an expectation
as they were run, with thresholds in place of `$PARAMETER`, and what Great Expectations found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from crmbet.contracts.bounds import is_unseen

LONGEST_ALLOWED = 200
"""Characters of what is allowed that a report shows. A list of all columns is in the suite."""
NAMED_EXAMPLES = 3
"""Rows in breach that a sentence names. The report lists more."""
SUBJECTS = frozenset({"column", "columns", "condition", "among", "unit", "threshold", "batch_id"})
"""Arguments that say what is judged, not what is allowed."""


def describe_allowed(kwargs: Mapping[str, Any], result: Mapping[str, Any] | None = None) -> str | None:
    """What an expectation allows, such as '5%' or 'at least 10'. None if it has no limit of its own.

    A limit that chance has widened is the one that was applied, with the reason.
    """
    limits = {name: value for name, value in kwargs.items() if name not in SUBJECTS and value is not None}
    shares = [] if allowed_share(kwargs) is None else [_share_in_words(kwargs, result or {})]
    ranges = [_range(limits, kwargs.get("column"))] if {"min_value", "max_value"} & limits.keys() else []
    known = {"mostly", "tolerance", "min_value", "max_value", "strict_min", "strict_max"}
    others = [_other(name, value) for name, value in limits.items() if name not in known]
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
) -> str:
    """What was found, as a sentence without its full stop.

    `type_` and `kwargs` are the expectation's; `result` is what Great Expectations found. `rows` is what the suite
    calls its rows, in the plural. `breach` is the suite's text about rows in breach, '' if it has none. `counts` says
    that the table is small, so that rows are counted rather than given as a share, and the first ones in breach are
    named by their `key`, with the value that was judged.
    """
    observed = result.get("observed_value")
    column = kwargs.get("column", "the column")
    if type_ == "expect_table_columns_to_match_ordered_list":
        return _describe_columns(result)
    if "unexpected_count" in result:
        about = f"the {rows} concerned" if "among" in kwargs else rows
        subject = f"{_how_many(result, counts=counts)} {about}"
        return f"{subject} {breach or _default_breach(type_, kwargs)}{_examples(kwargs, result, key) if counts else ''}"
    if type_.startswith("expect_table_row_count_"):
        return f"there are {figure(observed)} {rows}"
    if type_ == "expect_column_type_to_be":
        return f"{column} is of type {observed}"
    if type_ == "expect_column_max_to_be_between":
        extreme = "newest" if isinstance(observed, date) else "largest"
        return f"the {extreme} {column} is {in_words(observed)}"
    return f"found {in_words(observed)}"


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


def percent(share: float) -> str:
    """A share for a reader. It is never rounded to nothing."""
    return f"{share:.2%}" if share == 0 or share >= 0.0001 else "< 0.01%"


def figure(value: str | int | float | None) -> str:
    """A figure for a reader: integers with separators of thousands, reals with six significant digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else value


def in_words(value: Any) -> str:
    """Any argument or finding for a reader. An instant is in UTC; one without a zone is taken as UTC."""
    if isinstance(value, datetime):
        instant = value.astimezone(UTC) if value.tzinfo else value
        precision = "seconds" if instant.second or instant.microsecond else "minutes"
        return f"{instant.replace(tzinfo=None).isoformat(' ', precision)} UTC"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return figure(float(value))
    if isinstance(value, list | tuple):
        return ", ".join(in_words(each) for each in value)
    return figure(value) if isinstance(value, str | int | float | None) else str(value)


def visible(text: str) -> str:
    """A text for a reader, with letters that nobody sees by their numbers: `u1<U+200B>`."""
    return "".join(
        f"<U+{ord(letter):04X}>"
        if is_unseen(letter) or (letter.isspace() and letter != " ") or "\ud800" <= letter <= "\udfff"
        else letter
        for letter in text
    )


def _share_in_words(kwargs: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    share = allowed_share(kwargs) or 0.0
    text = _round_percent(share) if share else "none"
    if kwargs.get("unit") is None:
        return text
    applied = result.get("allowed_share")
    if applied is None:
        return f"{text}, plus chance"
    if applied <= share:
        return text
    units = "players" if kwargs["unit"] == "user_id" else f"values of {kwargs['unit']}"
    return f"{percent(applied)}: {text} and a margin for chance, since {result['units']:,.0f} {units} count"


def _range(limits: Mapping[str, Any], column: str | None) -> str:
    low, high = limits.get("min_value"), limits.get("max_value")
    if low is not None and low == high:
        return f"exactly {_limit_of(column, low)}"
    ends = []
    if low is not None:
        words = ("after", "from") if isinstance(low, date) else ("above", "at least")
        ends.append(f"{words[not limits.get('strict_min')]} {_limit_of(column, low)}")
    if high is not None:
        words = ("before", "until") if isinstance(high, date) else ("below", "at most")
        ends.append(f"{words[not limits.get('strict_max')]} {_limit_of(column, high)}")
    return " and ".join(ends)


def _other(name: str, value: Any) -> str:
    """A limit that is no range and no share."""
    if name == "value":
        return f"exactly {in_words(value)}"
    if name == "type_":
        return str(value)
    if name == "column_list":
        return f"{len(value)} columns: {in_words(value)}"
    return f"{name} {in_words(value)}"


def _how_many(result: Mapping[str, Any], *, counts: bool) -> str:
    breaking, judged = int(result["unexpected_count"]), judged_rows(result)
    if counts:
        return f"{breaking:,} of {judged:,}"
    return f"{percent(breaking / judged if judged else 0.0)} of"


def _examples(kwargs: Mapping[str, Any], result: Mapping[str, Any], key: Sequence[str]) -> str:
    """The first figures in breach: ': bets 66.67%'. Empty if the expectation is not about one figure of a row."""
    column, found = kwargs.get("column"), result.get("partial_unexpected_index_list") or ()
    named = [
        " ".join([*(in_words(row[name]) for name in key), _value_of(column, row[column])])
        for row in found[:NAMED_EXAMPLES]
        if column in row and row[column] is not None
    ]
    others = int(result["unexpected_count"]) - len(named)
    return (": " + ", ".join(named) + (f", and {others:,} more" if others else "")) if named else ""


def _value_of(column: str | None, value: Any) -> str:
    """A value of a column in words. Columns that are shares are named so."""
    if (column or "").endswith("_share") and isinstance(value, int | float):
        return percent(value)
    return in_words(value)


def _limit_of(column: str | None, value: Any) -> str:
    """A limit of a column in words."""
    if (column or "").endswith("_share") and isinstance(value, int | float):
        return _round_percent(value)
    return in_words(value)


def _round_percent(share: float) -> str:
    """A share that somebody chose, such as 5%."""
    # 1 - 0.95 is 0.050000000000000044.
    return f"{round(100 * share, 7):g}%"


def _default_breach(type_: str, kwargs: Mapping[str, Any]) -> str:
    """What rows in breach are like, for an expectation whose suite does not say."""
    match type_:
        case "expect_column_values_to_not_be_null":
            return f"have no {kwargs['column']}"
        case "expect_column_copies_to_be_within":
            return f"repeat the {kwargs['column']} of another row"
        case "expect_compound_copies_to_be_within":
            return f"repeat the {_and(kwargs['columns'])} of another row"
        case "expect_column_values_to_be_between":
            return f"have a value of {kwargs['column']} outside what is allowed"
        case _:
            return "are not as expected"


def _describe_columns(result: Mapping[str, Any]) -> str:
    differing = [
        f"position {each['Expected Column Position']} has {each['Found'] or 'nothing'} instead of"
        f" {each['Expected'] or 'nothing'}"
        for each in (result.get("details") or {}).get("mismatched", ())
    ]
    if not differing:
        return "the columns differ"
    more = f", and {len(differing) - 1} more differ" if len(differing) > 1 else ""
    return f"{differing[0]}{more}"


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]])
