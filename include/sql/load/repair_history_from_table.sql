-- Gives rows of the history that somebody has edited the features of the table's row, which have the row_hash of both. The
-- table's row of a player who is gone has no marketing: the hash says whether there was any.
UPDATE {history} AS history
SET {assignments},
    marketing_allowed = CASE
        WHEN history.marketing_reason IS NOT NULL THEN false
        WHEN target.marketing_reason IS NULL THEN target.marketing_allowed
        ELSE target.row_hash = {hash_with_marketing}
    END,
    updated_at = pg_catalog.clock_timestamp()
FROM (
    {edited}
) AS edited
JOIN {table} AS target ON target.{key} = edited.{key}
WHERE history.{key} = edited.{key}
  AND history.as_of = edited.recorded_as_of
  AND history.as_of BETWEEN %(oldest_edited)s AND %(newest_edited)s
  AND edited.verdict = 'history'
