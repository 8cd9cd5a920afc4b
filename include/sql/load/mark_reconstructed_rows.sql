-- Rows that a release wrote that did not mark a reconstruction. One that was known on the day of its as_of is none.
UPDATE {table} AS history
SET reconstructed = true, reconstructed_because = %(reconstructed)s
FROM {staging} AS staged
WHERE history.{key} = staged.{key}
  AND history.as_of = staged.as_of
  AND history.as_of BETWEEN %(oldest_staged)s AND %(newest_staged)s
  AND history.row_hash = staged.row_hash
  AND history.reconstructed IS NULL
  AND history.known_at >= history.as_of + interval '1 day'
