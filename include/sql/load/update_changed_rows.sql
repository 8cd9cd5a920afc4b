-- A row never goes back in time. A difference only in known_at, execution_id or feature_set_version causes no write.
-- An older day does not bring back a player who is gone by now: no campaign may write to such a player.
UPDATE {table} AS target
SET {assignments},
    marketing_allowed = staged.marketing_allowed
        AND (%(is_newest)s OR (target.gone IS NOT TRUE AND target.marketing_reason IS NULL)),
    marketing_reason = CASE
        WHEN NOT %(is_newest)s AND (target.gone OR target.marketing_reason IS NOT NULL) THEN 'gone'
    END,
    gone = CASE WHEN %(is_newest)s THEN false ELSE target.gone END,
    updated_at = %(written_at)s
FROM {staging} AS staged
WHERE target.{key} = staged.{key}
  AND staged.as_of >= target.as_of
  AND (
      (staged.as_of, staged.row_hash) IS DISTINCT FROM (target.as_of, target.row_hash)
      OR (%(is_newest)s AND (target.gone OR target.marketing_reason IS NOT NULL))
  )
