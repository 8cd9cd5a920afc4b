SELECT pg_advisory_xact_lock(hashtextextended(%(lock)s, 0))
