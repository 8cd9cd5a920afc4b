-- True if no living session claims the staging table.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(lock)s, 0))
