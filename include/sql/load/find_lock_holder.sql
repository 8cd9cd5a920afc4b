-- pg_locks shows a 64-bit advisory key as two halves, with objsubid 1.
SELECT activity.pid, activity.application_name
FROM pg_catalog.pg_locks AS held
JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = held.pid
WHERE held.locktype = 'advisory'
  AND held.granted
  AND held.objsubid = 1
  AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND ((held.classid::bigint << 32) | held.objid::bigint) = pg_catalog.hashtextextended(%(lock)s::text, 0::bigint)
