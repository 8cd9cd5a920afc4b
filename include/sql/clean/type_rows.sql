-- Captured rows as values, each with its first fault.
-- The texts are trimmed by a step of their own. Parsers and faults look at a text in dozens of places, and planning its
-- expression for each of them would take seconds.
WITH trimmed AS (
    SELECT _row, _reject, _source_key, {day} AS _placed, {raw}, {trimmed}
    FROM {files}
),
spelled AS (
    SELECT *, {spelled}
    FROM trimmed
),
raw AS (
    SELECT *, {values}
    FROM spelled
),
-- A look at all texts of a row together costs less than half of a look at each.
looked_at AS (
    SELECT *, regexp_matches(concat({texts}), '{unseen}') AS _unseen, {unknown_words}
    FROM raw
),
judged AS (
    SELECT
        *,
        CASE
            WHEN _reject IS NOT NULL THEN 'record: ' || _reject
            {faults}
        END AS _fault
    FROM looked_at
)
SELECT
    {columns},
    _fault,
    {discarded} AS _discarded,
    {protection} AS _protection,
    _row,
    _source_key,
    coalesce(_placed, DATE '0001-01-01') AS _day,
    {known} AS _known,
    CASE WHEN _fault IS NOT NULL THEN to_json(struct_pack({record})) END AS _raw
FROM judged
