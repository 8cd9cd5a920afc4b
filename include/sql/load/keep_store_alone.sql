-- Until the session ends, nobody else works on the store.
SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended(%(lock)s::text, 0::bigint))
