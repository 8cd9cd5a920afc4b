-- Ends the marketing of players who are gone. They are marked, unless they are to be kept as they were.
UPDATE {table} AS target
SET gone = %(marks)s OR target.gone IS TRUE,
    marketing_allowed = false,
    marketing_reason = 'gone',
    updated_at = %(written_at)s
WHERE NOT EXISTS (SELECT FROM {staging} AS staged WHERE staged.{key} = target.{key})
  AND (
      target.marketing_reason IS DISTINCT FROM 'gone'
      OR target.marketing_allowed
      OR (%(marks)s AND target.gone IS NOT TRUE)
  )
