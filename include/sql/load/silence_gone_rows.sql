-- Ends the marketing of players who are gone. The newest row of the history says which players are.
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
