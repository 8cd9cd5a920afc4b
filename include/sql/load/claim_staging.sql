-- The lock lasts until the session ends for whatever reason. Another try of the run waits for it.
SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended(%(lock)s::text, 0::bigint))
