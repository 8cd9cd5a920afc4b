-- A row never goes back in time. A difference only in known_at, execution_id or feature_set_version causes no write.
UPDATE {table} AS target
SET {assignments},
    gone = CASE WHEN %(is_newest)s THEN false ELSE target.gone END,
    updated_at = %(written_at)s
FROM {staging} AS staged
WHERE target.{key} = staged.{key}
  AND staged.as_of >= target.as_of
  AND (
      (staged.as_of, staged.row_hash) IS DISTINCT FROM (target.as_of, target.row_hash)
      OR (target.gone AND %(is_newest)s)
  )
