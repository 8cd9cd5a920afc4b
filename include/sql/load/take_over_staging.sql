-- True if no living session claims the staging table.
SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended(%(lock)s::text, 0::bigint))
