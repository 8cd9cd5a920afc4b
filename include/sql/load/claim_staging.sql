-- The lock lasts until the session ends for whatever reason. Other tries of the run can share it.
SELECT pg_advisory_lock_shared(hashtextextended(%(lock)s, 0))
