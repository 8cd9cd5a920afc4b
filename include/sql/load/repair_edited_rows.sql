-- Rows that the load writes itself are left to it. The clock says when the row was last changed, and tells it from those
-- that the load writes.
UPDATE {table} AS target
SET {assignments},
    marketing_allowed = recorded.marketing_allowed AND target.marketing_reason IS NULL,
    updated_at = clock_timestamp()
FROM (
    {edited}
) AS edited
CROSS JOIN LATERAL (
    SELECT *
    FROM {history} AS history
    WHERE history.{key} = edited.{key} AND history.as_of = edited.as_of
    LIMIT 1
) AS recorded
WHERE target.{key} = edited.{key}
  AND (
      %(leaves_alone)s
      OR NOT EXISTS (
          SELECT FROM {staging} AS staged WHERE staged.{key} = target.{key} AND staged.as_of >= target.as_of
      )
  )
