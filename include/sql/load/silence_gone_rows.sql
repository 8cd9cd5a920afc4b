-- Ends the marketing of players of whom the history says that they are gone since their row was computed.
UPDATE {table} AS target
SET marketing_allowed = false, marketing_reason = 'gone'
WHERE (target.marketing_reason IS DISTINCT FROM 'gone' OR target.marketing_allowed)
  AND (
      SELECT later.marketing_reason
      FROM {history} AS later
      WHERE later.{key} = target.{key} AND later.as_of >= target.as_of
      ORDER BY later.as_of DESC
      LIMIT 1
  ) = 'gone'
