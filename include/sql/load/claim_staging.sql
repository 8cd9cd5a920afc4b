-- The lock lasts until the session ends for whatever reason. Another try of the run waits for it.
SELECT pg_advisory_lock(hashtextextended(%(lock)s, 0))
