-- Until the session ends, nobody has the store alone.
SELECT pg_catalog.pg_advisory_lock_shared(pg_catalog.hashtextextended(%(lock)s::text, 0::bigint))
