-- Gives rows that somebody has edited the features that were staged. What they say of the run that computed them stays.
UPDATE {table} AS history
SET {assignments}, updated_at = clock_timestamp()
FROM {staging} AS staged
WHERE history.{key} = staged.{key}
  AND history.as_of = staged.as_of
  AND history.as_of BETWEEN %(oldest_staged)s AND %(newest_staged)s
  AND history.row_hash = staged.row_hash
  AND {cells_differ}
