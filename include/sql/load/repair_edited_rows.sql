-- The clock says when the row was last changed, and tells it from those that the load writes. What the row says of the run
-- that computed it stays, unless it is the row of another run.
UPDATE {table} AS target
SET {assignments},
    marketing_allowed = recorded.marketing_allowed AND edited.marketing_reason IS NULL,
    marketing_reason = edited.marketing_reason,
    gone = CASE
        WHEN edited.marketing_reason IS NOT NULL THEN %(marks)s OR target.gone IS TRUE
        WHEN target.marketing_reason IS NOT NULL THEN false
        ELSE target.gone
    END,
    as_of = recorded.as_of,
    row_hash = pg_catalog.regexp_replace(recorded.row_hash, '^gone '::text, ''::text),
    known_at = CASE WHEN edited.is_same THEN target.known_at ELSE recorded.known_at END,
    feature_set_version = CASE WHEN edited.is_same THEN target.feature_set_version ELSE recorded.feature_set_version END,
    execution_id = CASE WHEN edited.is_same THEN target.execution_id ELSE recorded.execution_id END,
    updated_at = pg_catalog.clock_timestamp()
FROM (
    {edited}
) AS edited
CROSS JOIN LATERAL (
    SELECT *
    FROM {history} AS history
    WHERE history.{key} = edited.{key} AND history.as_of = edited.recorded_as_of
    LIMIT 1
) AS recorded
WHERE target.{key} = edited.{key} AND edited.verdict = 'table'
