-- The row that was known later wins. If the features are equal, the row stays as it was first written.
UPDATE {table} AS history
SET {assignments},
    marketing_reason = NULL,
    reconstructed = %(is_reconstructed)s,
    reconstructed_because = %(reconstructed)s,
    updated_at = %(written_at)s
FROM {staging} AS staged
WHERE history.{key} = staged.{key}
  AND history.as_of = staged.as_of
  AND history.as_of BETWEEN %(oldest_staged)s AND %(newest_staged)s
  AND (staged.known_at >= history.known_at OR history.marketing_reason IS NOT NULL)
  AND staged.row_hash IS DISTINCT FROM history.row_hash
