-- A row that says the same as before is not written again.
INSERT INTO {table} AS live ({columns}, committed_at)
SELECT {columns}, pg_catalog.clock_timestamp()
FROM {staging}
ON CONFLICT (user_id, day) DO UPDATE SET {assignments}, committed_at = excluded.committed_at
WHERE ({old}) IS DISTINCT FROM ({new})
