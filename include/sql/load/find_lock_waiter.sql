-- Whether somebody waits for an advisory lock. pg_locks shows its key as two halves.
SELECT EXISTS (
    SELECT
    FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory'
      AND NOT granted
      AND objsubid = 1
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      AND ((classid::bigint << 32) | objid::bigint) = pg_catalog.hashtextextended(%(lock)s::text, 0::bigint)
)
