UPDATE {table} AS target
SET gone = true, updated_at = %(written_at)s
WHERE target.gone IS NOT TRUE
  AND NOT EXISTS (SELECT FROM {staging} AS staged WHERE staged.{key} = target.{key})
