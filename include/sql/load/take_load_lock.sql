SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(%(lock)s::text, 0::bigint))
